"""The physics branch gives the signals of the equations, within bounds, and says nothing where it knows nothing."""

from __future__ import annotations

import itertools
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from model.data.digital_people import Relaxation
from model.evaluation import simulator
from model.evaluation.simulator import Acquisition
from model.networks.synthesis.physics import (
    BOUNDS,
    FAMILY_NAMES,
    T2STAR_SHARE,
    MapHead,
    Maps,
    Settings,
    brain_scale,
    network_intensities,
    signal,
)
from model.physics.contrast import tissue_signals
from model.physics.protocol import SequenceSettings, fitting_train
from model.physics.sequences import VELOCITY_MM_S
from model.physics.tissue import TISSUES, properties
from warehouse.imaging.brain_scale import BrainScale
from warehouse.prompts.record import PromptRecord

STATIC = [channel for channel, name in enumerate(TISSUES) if name not in VELOCITY_MM_S]
FLUID, CORTEX, WHITE = (TISSUES.index(name) for name in ("csf", "cortex", "white_matter"))


def record(contrast: str | None, tr_s: float | None, te_s: float | None, **other: Any) -> PromptRecord:
    return PromptRecord(contrast, repetition_time_s=tr_s, echo_time_s=te_s, field_strength_t=3.0, **other)


RECORDS = {
    "spin_echo": record("T1w", 0.5, 0.012, flip_angle_deg=90.0),
    "fast_spin_echo": record("T2w", 4.0, 0.1, flip_angle_deg=150.0),
    "inversion_recovery": record("FLAIR", 9.0, 0.12, inversion_time_s=2.2, flip_angle_deg=150.0),
    "spoiled_gradient_echo": record("T1w", 0.02, 0.004, flip_angle_deg=20.0),
    "mprage": record("T1w", 2.3, 0.003, inversion_time_s=0.9, flip_angle_deg=9.0),
    "t2star": record("T2starw", 0.65, 0.02, flip_angle_deg=20.0),
    "SPACE": record("T2w", 3.2, 0.5, flip_angle_variable=True),
}


def settings_of(*records: PromptRecord, scale: tuple[float, float] | None = (0.3, 0.2)) -> Settings:
    return Settings.of(records, [scale] * len(records))


def table_as_maps(n: int = 1) -> Maps:
    """A voxel of each tissue at 3 T, (n, n_tissues, 1, 1)."""
    table = properties(3.0)
    return Maps(*(getattr(table, field.name).float().reshape(1, -1, 1, 1).repeat(n, 1, 1, 1) for field in fields(Maps)))


def one_voxel(signal: Tensor, row: int, channel: int) -> float:
    return float(signal[row, 0, channel, 0, 0])


@pytest.mark.parametrize(("name", "wanted"), RECORDS.items(), ids=RECORDS.keys())
def test_a_voxel_of_a_tissue_gives_the_signal_of_the_tissue(name: str, wanted: PromptRecord) -> None:
    sequence = "fast_spin_echo" if name == "SPACE" else name
    tr_s, te_s, ti_s = wanted.repetition_time_s or 0.0, wanted.echo_time_s or 0.0, wanted.inversion_time_s or 0.0
    settings = SequenceSettings.of(
        *(tr_s, te_s, wanted.flip_angle_deg or 150.0, ti_s),
        n_readouts=float(fitting_train(tr_s, ti_s)) if sequence == "mprage" else 176.0,
        flip_angle_variable=wanted.flip_angle_variable,
    )
    for signed in (True, False):
        expected = tissue_signals(sequence, properties(3.0), settings, signed=signed)[0, STATIC]
        found = signal(table_as_maps(), settings_of(wanted), signed=signed)[0, 0, STATIC, 0, 0]
        assert (found.double() - expected).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("scan", "wanted", "within"),
    [  # the differences are those of tests/model/evaluation/test_simulator.py
        (Acquisition("spin_echo", 0.5, 0.012, 90.0), RECORDS["spin_echo"], 1e-5),
        (Acquisition("gradient_echo", 0.65, 0.02, 20.0), RECORDS["t2star"], 1e-5),
        (Acquisition("gradient_echo", 0.02, 0.004, 20.0), RECORDS["spoiled_gradient_echo"], 1e-5),
        (Acquisition("mprage", 2.3, 0.003, 9.0, 0.9), RECORDS["mprage"], 1e-5),
        (Acquisition("fast_spin_echo", 4.0, 0.1, 150.0), RECORDS["fast_spin_echo"], 0.03),
        (Acquisition("inversion_recovery", 9.0, 0.12, 150.0, 2.2), RECORDS["inversion_recovery"], 0.02),
    ],
)
def test_voxels_give_the_signal_of_stepped_spins(scan: Acquisition, wanted: PromptRecord, within: float) -> None:
    table, found = properties(3.0), signal(table_as_maps(), settings_of(wanted))
    for channel in (FLUID, CORTEX, WHITE):
        tissue = Relaxation(*(float(getattr(table, name)[channel]) for name in Relaxation._fields))
        assert one_voxel(found, 0, channel) == pytest.approx(simulator.signal(scan, tissue), abs=within)


def test_each_row_of_a_batch_has_its_own_sequence_and_its_own_maps() -> None:
    maps, rows = table_as_maps(len(RECORDS)), torch.arange(1.0, 1 + len(RECORDS)).reshape(-1, 1, 1, 1)
    together = signal(Maps(maps.pd * rows, maps.t1_s, maps.t2_s, maps.t2star_s), settings_of(*RECORDS.values()))
    for row, wanted in enumerate(RECORDS.values()):
        assert torch.allclose(together[row] / (row + 1), signal(table_as_maps(), settings_of(wanted))[0], atol=1e-6)


EXTREME = [
    record(contrast, tr_s, te_s, **other)
    for contrast in ("T1w", "T2w", "PDw", "FLAIR", "T2starw")
    for tr_s in (1e-4, 0.3, 2.0, 100.0)
    for te_s in (1e-6, 0.1, 1.0)
    for other in (
        {"flip_angle_deg": 0.01},
        {"flip_angle_deg": 360.0, "flip_angle_variable": contrast == "T2w"},
        {"inversion_time_s": 1e-4},
        {"inversion_time_s": 30.0},
    )
]


def test_signals_and_gradients_are_finite_for_extreme_maps_and_settings() -> None:
    corners = torch.tensor(list(itertools.product(*BOUNDS.values()))).T
    settings = settings_of(*EXTREME)
    assert (settings.family >= 0).all()
    voxels = [
        one.reshape(1, -1, 1, 1).repeat(len(EXTREME), 1, 1, 1).requires_grad_()
        for one in (*corners[:3], corners[2] * corners[3])
    ]
    found = signal(Maps(*voxels), settings)
    assert ((found >= 0) & (found <= 2 * BOUNDS["pd"][1])).all()
    network_intensities(found, settings).sum().backward()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in voxels)


def test_gradients_are_those_of_finite_differences() -> None:
    settings = settings_of(*RECORDS.values())
    table = properties(3.0)
    for channel in (CORTEX, FLUID):
        logs = torch.stack([getattr(table, name)[channel].log() for name in ("pd", "t1_s", "t2_s", "t2star_s")]).float()
        logs.requires_grad_()

        def mean(logs: Tensor) -> Tensor:
            maps = Maps(*(one.exp().expand(len(RECORDS), 1, 1, 1) for one in logs))
            return signal(maps, settings).flatten()

        exact = torch.autograd.functional.jacobian(mean, logs)
        for column, step in enumerate(0.02 * torch.eye(4)):
            slope = (mean(logs + step) - mean(logs - step)) / 0.04
            assert torch.allclose(exact[:, column], slope, atol=2e-3)


@pytest.mark.parametrize("name", ["spin_echo", "fast_spin_echo", "t2star"])
def test_a_longer_echo_time_lowers_the_signal(name: str) -> None:
    wanted = RECORDS[name]
    times = [record(wanted.contrast, wanted.repetition_time_s, te_s) for te_s in (0.01, 0.03, 0.06, 0.1)]
    soft = [channel for channel, tissue in enumerate(TISSUES) if tissue != "bone"]  # which has no signal at all
    assert (signal(table_as_maps(4), settings_of(*times))[:, 0, soft, 0, 0].diff(dim=0) < 0).all()


def test_the_inversion_time_nulls_fluid_and_nothing_else() -> None:
    tr_s, te_s = 9.0, 0.12
    t1_s = float(properties(3.0).t1_s[FLUID])
    null_s = t1_s * np.log(2 / (1 + np.exp(-(tr_s - te_s) / t1_s)))
    found = signal(table_as_maps(), settings_of(record("FLAIR", tr_s, te_s, inversion_time_s=null_s)))
    assert one_voxel(found, 0, FLUID) < 1e-4 < 0.05 < one_voxel(found, 0, WHITE)
    usual = signal(table_as_maps(), settings_of(record("FLAIR", tr_s, te_s)))
    assert one_voxel(usual, 0, FLUID) < 0.4 * one_voxel(usual, 0, WHITE)


OFF = {
    "no TR": record("T2w", None, 0.1),
    "no TE": record("T2w", 4.0, None),
    "no contrast": record(None, 4.0, 0.1),
    "unknown contrast": record("bold", 4.0, 0.1),
    "no TR, of three families": record("T1w", None, 0.003),
    "phase": record("SWI", 0.03, 0.02, flip_angle_deg=15.0),
    "flow": record("angio", 0.022, 0.005, flip_angle_deg=20.0),
}


@pytest.mark.parametrize("wanted", OFF.values(), ids=OFF.keys())
def test_the_branch_is_off_and_moves_nothing_where_the_sequence_is_not_known(wanted: PromptRecord) -> None:
    settings = settings_of(wanted, RECORDS["mprage"])
    assert settings.family.tolist() == [-1, FAMILY_NAMES.index("mprage")]
    assert settings.is_on.tolist() == [False, True]
    latent = torch.randn(2, 3, 2, 2, 2, requires_grad=True)
    found = signal(MapHead(3)(latent), settings)
    intensities = network_intensities(found, settings)
    assert not found[0].any()
    assert not intensities[0].any()
    (found.sum() + intensities.sum()).backward()
    assert latent.grad is not None
    assert not latent.grad[0].any()
    assert latent.grad[1].any()


def test_an_ambiguous_family_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "model.networks.synthesis.physics.likely_families",
        lambda contrast, stated: torch.tensor([[0.5, 0.5, 0.0]]).double() if contrast == "T1w" else torch.ones(1, 1),
    )
    assert settings_of(RECORDS["mprage"]).family.tolist() == [-1]


def test_without_a_scale_the_signal_is_rendered_but_no_intensity() -> None:
    unknown = settings_of(RECORDS["mprage"], RECORDS["mprage"], scale=None)
    assert not unknown.is_on.any()
    found = signal(table_as_maps(2), unknown)
    assert found.any()
    assert not network_intensities(found, unknown).any()
    known = unknown.scaled(torch.tensor([0.1, torch.nan]), torch.tensor([0.1, torch.nan]))
    assert known.is_on.tolist() == [True, False]
    assert network_intensities(found, known).flatten(1).any(1).tolist() == [True, False]


def test_intensities_and_scale_are_those_of_the_brain_scale() -> None:
    voxels = torch.from_numpy(np.random.default_rng(0).gamma(2.0, 0.2, (2, 1, 9, 8, 7))).float()
    mask = torch.from_numpy(np.random.default_rng(1).random((9, 8, 7)) < 0.4)
    median, spread = brain_scale(voxels, mask)
    found = network_intensities(
        voxels, settings_of(RECORDS["mprage"], RECORDS["t2star"], scale=None).scaled(median, spread)
    )
    for row in range(2):
        scale = BrainScale.of(voxels[row, 0].numpy(), mask.numpy())
        assert (float(median[row]), float(spread[row])) == pytest.approx((scale.median, scale.spread), rel=1e-5)
        assert np.allclose(found[row, 0].numpy(), scale.to_network(voxels[row, 0].numpy()), atol=1e-4)
    assert found.max() > 2  # some voxels are compressed


def test_a_brain_without_voxels_or_contrast_has_no_scale() -> None:
    voxels = torch.ones(1, 1, 4, 4, 4)
    for mask in (torch.zeros(4, 4, 4, dtype=torch.bool), torch.ones(4, 4, 4, dtype=torch.bool)):
        assert all(one.isnan().all() for one in brain_scale(voxels, mask))


@pytest.mark.parametrize("size", [0.0, 1e4, -1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_maps_stay_within_bounds_for_any_latent_map(size: float, dtype: torch.dtype) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = MapHead(4)(torch.full((2, 4, 3, 3, 3), size, dtype=dtype))
    for name, values in vars(maps).items():
        low, high = BOUNDS.get(name, (BOUNDS["t2_s"][0] * BOUNDS[T2STAR_SHARE][0], BOUNDS["t2_s"][1]))
        assert values.dtype == torch.float32
        assert values.shape == (2, 3, 3, 3)
        assert ((values >= low * (1 - 1e-5)) & (values <= high * (1 + 1e-5))).all()
    assert (maps.t2star_s <= maps.t2_s).all()


def test_an_untrained_head_sees_cortex_everywhere() -> None:
    maps, table = MapHead(4)(torch.zeros(1, 4, 1, 1, 1)), properties(3.0)
    for name, values in vars(maps).items():
        assert float(values.detach()) == pytest.approx(float(getattr(table, name)[CORTEX]), rel=1e-4)


@pytest.mark.parametrize("field_t", [1.5, 3.0])
def test_every_tissue_but_bone_lies_within_the_bounds(field_t: float) -> None:
    table = properties(field_t)
    soft = [channel for channel, name in enumerate(TISSUES) if name != "bone"]
    values = {**{name: getattr(table, name) for name in BOUNDS if name != T2STAR_SHARE}}
    values[T2STAR_SHARE] = table.t2star_s / table.t2_s
    for name, (low, high) in BOUNDS.items():
        assert ((values[name][soft] >= low) & (values[name][soft] <= high)).all()


@pytest.mark.slow
def test_a_head_learns_the_tissue_parameters_that_made_its_scans() -> None:
    torch.manual_seed(0)
    settings, table, channels = settings_of(*RECORDS.values()), properties(3.0), [FLUID, CORTEX, WHITE]
    truth = Maps(*(getattr(table, field.name)[channels].float().reshape(1, 3, 1, 1) for field in fields(Maps)))
    head, latent = MapHead(3), torch.eye(3).reshape(1, 3, 3, 1, 1)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.1)

    def scans(maps: Maps) -> Tensor:
        return signal(Maps(*(one.expand(len(RECORDS), -1, -1, -1) for one in vars(maps).values())), settings)

    wanted = scans(truth)
    for _ in range(200):
        loss = (scans(head(latent)) - wanted).square().mean().sqrt()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.01
    for name in ("pd", "t1_s", "t2_s", "t2star_s"):
        found = getattr(head(latent), name).flatten()[1:]
        assert found.tolist() == pytest.approx(getattr(truth, name).flatten()[1:].tolist(), rel=0.1)
