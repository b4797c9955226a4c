"""Patches of simulated heads: their images, records and truth are those of one head and one protocol."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.data import simulated_patches
from model.data.changes import Changes
from model.data.fine_heads import INTRACRANIAL, N_TISSUES, WHOLE
from model.data.patch_protocols import Acquisition, Acquisitions
from model.data.patches import Patch
from model.data.simulated_patches import SimulatedPatches
from model.data.simulated_scans import Faults
from model.physics.contrast import EQUATIONS, signals_of
from model.physics.protocol import SequenceProtocol, SequenceSettings
from model.physics.tissue import TISSUES, Properties
from model.simulation.ageing import relaxation_scale
from model.simulation.head import scaled_tissue
from model.simulation.scanner import Scanner
from tests.model.data.small_fine_heads import SmallFineHeads
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import BrainScale
from warehouse.prompts.record import PromptRecord

BANK = SmallFineHeads()
SIDE, VOXEL_MM = 16, BANK.voxel_mm
SAID = Changes(several_share=0.0, field_dropout=0.0, source_dropout=0.0)
PERFECT = Faults(
    snr=(1e6, 1e6),
    receive_bias=(0.0, 0.0),
    stripped_share=0.0,
    cut_share=0.0,
    thick_share=0.0,
    voxel_mm=(1.0, 1.0),
    gamma_share=0.0,
)
SCANNER = Scanner("Siemens", "Prisma", 3.0, transmit_bias=0.0)
T1W = SequenceProtocol("T1w", "spoiled_gradient_echo", 3.0, 0.02, 0.004, None, 20.0)
T2W = SequenceProtocol("T2w", "fast_spin_echo", 3.0, 4.0, 0.1, None, 150.0)


class Fixed(Acquisitions):
    """Draws the same scans for every patch."""

    scans: tuple[list[Acquisition], Acquisition]

    def draw(self, random: np.random.Generator) -> tuple[list[Acquisition], Acquisition]:
        return self.scans


def _patches(
    source: Acquisition | list[Acquisition] | None = None,
    target: Acquisition | None = None,
    *,
    side: int = SIDE,
    faults: Faults = PERFECT,
    changes: Changes = SAID,
    max_scans: int = 1,
) -> SimulatedPatches:
    made = SimulatedPatches(BANK, side=side, voxel_mm=VOXEL_MM, max_scans=max_scans, changes=changes, faults=faults)
    if source is not None and target is not None:
        fixed = Fixed(faults, VOXEL_MM, max_scans, 0.0)
        object.__setattr__(fixed, "scans", (source if isinstance(source, list) else [source], target))
        made.acquisitions = fixed
    return made


def _scan(protocol: SequenceProtocol, size_mm: tuple[float, float, float] = (VOXEL_MM,) * 3) -> Acquisition:
    return Acquisition(protocol, SCANNER, size_mm)


def _patch(made: SimulatedPatches, seed: int = 0) -> Patch:
    return made.patch(np.random.default_rng(seed))


@cache
def _many() -> list[Patch]:
    made = _patches(changes=replace(SAID, several_share=0.6), faults=Faults(), max_scans=3)
    return [_patch(made, seed) for seed in range(100)]


def _whole(seed: int) -> tuple[NDArray[np.uint8], Properties]:
    """Return shares of the whole head of a patch, and its tissues, in the order in which they are drawn."""
    random = np.random.default_rng(seed)
    head = BANK.head(int(random.integers(BANK.n_heads)))
    subject = replace(head.subject, seed=int(random.integers(2**31)))
    return head.maps, scaled_tissue(3.0, relaxation_scale(subject))


def _signal(maps: NDArray[np.uint8], protocol: SequenceProtocol, tissue: Properties) -> NDArray[np.float64]:
    """Return the magnitude of whole maps by the signal equations, the slow way."""
    signals = signals_of([protocol], tissue, signed=True)[0].numpy()
    return np.abs(np.tensordot(maps[..., :N_TISSUES] / WHOLE, signals, axes=1))


def test_the_same_generator_gives_the_same_patch_and_another_another() -> None:
    made = _patches(faults=Faults())
    one, same, other = _patch(made, 3), _patch(pickle.loads(pickle.dumps(made)), 3), _patch(made, 4)
    assert np.array_equal(one.target, same.target)
    assert np.array_equal(one.given[0].voxels, same.given[0].voxels)
    assert one.record == same.record
    assert not np.array_equal(one.given[0].voxels, other.given[0].voxels)


@pytest.mark.parametrize("protocol", [T1W, T2W])
def test_images_of_a_whole_head_are_those_of_the_signal_equations(protocol: SequenceProtocol) -> None:
    patch = _patch(_patches(_scan(protocol), _scan(protocol), side=BANK.side), 1)
    maps, tissue = _whole(1)
    signal, brain = _signal(maps, protocol, tissue), maps[..., INTRACRANIAL] > 0
    scale = BrainScale.of(signal, brain)
    noise = 0.03  # a wanted scan has an SNR of 50 or more in some patches
    assert np.abs(patch.given[0].voxels - scale.to_network(signal)).max() < 0.01
    assert np.abs(patch.target - scale.to_network(signal))[brain].std() < noise * scale.median / scale.spread
    assert np.array_equal(patch.mask, brain)
    assert patch.scale == pytest.approx((scale.median, scale.spread), rel=1e-3)
    assert patch.at is None


def test_parameters_give_the_wanted_signal_where_voxels_hold_one_tissue() -> None:
    patch = _patch(_patches(_scan(T1W), _scan(T2W), side=BANK.side), 2)
    maps, tissue = _whole(2)
    assert patch.maps is not None
    assert patch.scale is not None
    pure = (maps[..., [TISSUES.index(name) for name in ("csf", "cortex", "white_matter")]] == WHOLE).any(-1)
    pd, t1_s, t2_s, t2star_s = torch.from_numpy(patch.maps[:, pure]).double()
    voxels = Properties(t1_s, t2_s, t2star_s, pd, torch.zeros_like(pd))
    signal = EQUATIONS["fast_spin_echo"](SequenceSettings.from_protocols([T2W]).columns(), voxels)[0].abs().numpy()
    assert signal == pytest.approx(_signal(maps, T2W, tissue)[pure], rel=1e-3)
    expected = BrainScale(*patch.scale).to_network(signal)
    assert np.abs(patch.target[pure] - expected).mean() < 0.1


def test_the_scale_is_that_of_the_whole_brain_wherever_the_patch_lies() -> None:
    """Median, spread, lowest intensity and range are of 28³ voxels; a patch of 8³ has others."""
    made = _patches(_scan(T1W), _scan(T2W), side=8)
    n_unlike = 0
    for seed in range(6):
        patch = _patch(made, seed)
        maps, tissue = _whole(seed)
        brain = maps[..., INTRACRANIAL] > 0
        signal = _signal(maps, T2W, tissue)
        scale = BrainScale.of(signal, brain)
        low, high = np.percentile(scale.to_network(signal)[brain], (0.5, 99.5))
        assert patch.scale == pytest.approx((scale.median, scale.spread), rel=1e-3)
        assert (patch.low, patch.span) == pytest.approx((low, high - low), abs=1e-3)
        own = np.ptp(np.percentile(patch.target[patch.mask], (10, 90)))  # 1 in the whole brain
        n_unlike += abs(own - 1) > 0.1
    assert n_unlike >= 2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_wanted_scan_of_thick_slices_is_the_mean_over_each_slice(axis: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated_patches, "TURNED_SHARE", 0.0)
    size = tuple(3 * VOXEL_MM if at == axis else VOXEL_MM for at in range(3))
    patch = _patch(_patches(_scan(T1W), _scan(T2W, size)), 5)
    assert patch.at is not None
    assert patch.scale is not None
    assert np.allclose(patch.at.matrix[:3, :3], np.diag(np.array(size) / VOXEL_MM))
    assert patch.size_mm == pytest.approx(size)
    assert patch.record.voxel_size_mm == size
    assert patch.target.shape == patch.mask.shape == patch.at.shape
    assert patch.at.shape[axis] <= SIDE // 3
    again = _patch(_patches(_scan(T1W), _scan(T2W)), 5)
    assert again.scale is not None
    fine = BrainScale(*again.scale).from_network(again.target)
    thick = BrainScale(*patch.scale).from_network(patch.target)
    for row in range(patch.at.shape[axis]):
        middle = patch.at.matrix[axis, 3] + 3 * row
        places = np.linspace(middle - 1.5, middle + 1.5, 61)[1:-1].clip(0, SIDE - 1)
        low = np.floor(places).astype(int).clip(max=SIDE - 2)
        share = (places - low).reshape([-1 if at == axis else 1 for at in range(3)])
        mean = ((1 - share) * fine.take(low, axis) + share * fine.take(low + 1, axis)).mean(axis)
        assert np.abs(thick.take(row, axis) - mean).mean() < 0.1 * patch.scale[1]


@pytest.mark.slow
def test_sizes_and_shapes_of_wanted_scans_agree_with_their_records() -> None:
    n_own = 0
    for patch in _many():
        assert patch.target.shape == patch.mask.shape
        assert patch.record.voxel_size_mm is not None
        if patch.at is None:
            assert patch.target.shape == (SIDE,) * 3
            assert patch.size_mm == patch.record.voxel_size_mm == (VOXEL_MM,) * 3
            continue
        n_own += 1
        assert patch.at.shape == patch.target.shape
        steps = np.linalg.norm(patch.at.matrix[:3, :3], axis=0) * VOXEL_MM
        assert steps == pytest.approx(patch.record.voxel_size_mm, rel=1e-5)
    assert 0.2 < n_own / len(_many()) < 0.6


def test_fat_stays_on_its_side() -> None:
    """Fat is the right end of the head; it is bright in sources and targets, there alone."""
    faults = replace(PERFECT, thick_share=1.0)
    made = _patches(_scan(T1W, (VOXEL_MM, VOXEL_MM, 2 * VOXEL_MM)), _scan(T1W), side=BANK.side, faults=faults)
    for seed in range(4):
        patch = _patch(made, seed)
        for image in (patch.given[0].voxels, patch.target):
            assert image[-2:].mean() > image[:2].mean() + 1


def test_thick_slices_are_blurred_along_their_axis_alone_and_stay_in_place() -> None:
    sharp = _patch(_patches(_scan(T2W), _scan(T1W), side=BANK.side), 0).given[0].voxels
    for axis in range(3):
        size = tuple(2.6 * VOXEL_MM if at == axis else VOXEL_MM for at in range(3))
        thick = _patch(_patches(_scan(T2W, size), _scan(T1W), side=BANK.side), 0).given[0]
        assert thick.size_mm == size
        lost = [
            np.abs(np.diff(thick.voxels, axis=at)).mean() / np.abs(np.diff(sharp, axis=at)).mean() for at in range(3)
        ]
        assert int(np.argmin(lost)) == axis
        assert np.corrcoef(thick.voxels.ravel(), sharp.ravel())[0, 1] > 0.85


def test_stripped_sources_are_seen_as_far_as_they_have_signal() -> None:
    patch = _patch(_patches(_scan(T1W), _scan(T2W), side=BANK.side, faults=replace(PERFECT, stripped_share=1.0)), 0)
    given = patch.given[0]
    assert 0 < given.seen.mean() < 1
    assert np.unique(given.voxels[~given.seen]).size == 1
    assert not given.seen[-2:].any()
    assert given.voxels[-1, 0, 0] == given.voxels.min()


def test_a_cut_source_is_unseen_at_one_end_and_has_no_signal_there() -> None:
    made = _patches(_scan(T1W), _scan(T2W), side=BANK.side, faults=replace(PERFECT, cut_share=1.0))
    for seed in range(8):
        given = _patch(made, seed).given[0]
        unseen = ~given.seen
        assert 0.03 < unseen.mean() < 0.27
        assert [unseen.all(axis=axis).any() for axis in ((1, 2), (0, 2), (0, 1))].count(True) == 1
        assert np.unique(given.voxels[unseen]).size == 1


@pytest.mark.slow
def test_half_of_the_records_say_nothing_of_the_acquisition() -> None:
    records = [record for patch in _many() for record in (patch.record, *(one.record for one in patch.given))]
    unstated = [record for record in records if record.repetition_time_s is None]
    assert 0.4 < len(unstated) / len(records) < 0.6
    for record in unstated:
        stated = (record.echo_time_s, record.inversion_time_s, record.flip_angle_deg)
        assert stated == (None, None, None)
        assert not record.flip_angle_variable
    for record in records:
        assert None not in (record.contrast, record.vendor, record.field_strength_t, record.age_years, record.sex)


@pytest.mark.slow
def test_fields_and_source_prompts_are_hidden_as_often_as_asked() -> None:
    hidden = _patches(changes=replace(SAID, field_dropout=0.5, source_dropout=0.3), faults=Faults())
    patches = [_patch(hidden, seed) for seed in range(80)]
    assert 0.35 < np.mean([patch.record.vendor is None for patch in patches]) < 0.65
    assert all(patch.record.contrast for patch in patches)
    assert 0.2 < np.mean([patch.given[0].record == PromptRecord() for patch in patches]) < 0.5


@pytest.mark.slow
def test_several_sources_are_often_stacks_of_one_protocol_across_different_axes() -> None:
    several = [patch.given for patch in _many() if len(patch.given) > 1]
    assert 0.4 < len(several) / len(_many()) < 0.8
    assert max(len(given) for given in several) == 3
    stacks = [given for given in several if len({one.record.contrast for one in given}) == 1]
    axes = [[int(np.argmax(one.size_mm)) for one in given] for given in stacks]
    assert sum(len(set(one)) == len(one) for one in axes) > 0.25 * len(several)


def test_acquisitions_do_not_depend_on_the_head() -> None:
    """Heads are drawn before protocols, from the same generator: ages of two contrasts are alike."""
    drawn = [(patch.record.contrast, patch.record.age_years) for patch in _many()]
    assert len({age for _, age in drawn}) == BANK.n_heads
    first = BANK.head(0).subject.age_years
    for contrast in ("T1w", "T2w", "FLAIR"):
        ages = [age == first for one, age in drawn if one == contrast]
        assert 0.15 < np.mean(ages) < 0.85


def test_faults_leave_finite_intensities_and_truth() -> None:
    for patch in _many():
        assert all(np.isfinite(one.voxels).all() and one.voxels.dtype == np.float32 for one in patch.given)
        assert np.isfinite(patch.target).all()
        assert patch.target.dtype == np.float32
        assert patch.maps is not None
        assert np.isfinite(patch.maps).all()
        assert (patch.maps[1:] > 0).all()


def test_a_side_beyond_the_head_is_padded_with_air_that_is_not_seen() -> None:
    side = BANK.side + 6
    patch = _patch(_patches(_scan(T1W), _scan(T2W), side=side), 0)
    assert patch.given[0].voxels.shape == patch.target.shape == (side,) * 3
    assert patch.given[0].seen.sum() == BANK.side**3
    assert not patch.mask[BANK.side :].any()
    assert patch.maps is not None
    assert not patch.maps[0, BANK.side :].any()


@pytest.mark.parametrize(
    ("bank", "settings", "message"),
    [
        (SmallFineHeads(n_heads=0), {}, "no heads"),
        (SmallFineHeads(), {"voxel_mm": 1.0}, "heads of 4.0 mm"),
        (SmallFineHeads(), {"side": 0}, "cannot be made"),
        (SmallFineHeads(), {"max_scans": 0}, "cannot be made"),
    ],
)
def test_settings_that_give_no_patch_are_refused(
    bank: SmallFineHeads, settings: dict[str, float], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        SimulatedPatches(bank, **({"side": SIDE, "voxel_mm": VOXEL_MM} | settings))  # type: ignore[arg-type]
