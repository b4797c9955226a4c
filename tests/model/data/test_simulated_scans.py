"""Simulated scans of banked heads: a function of seed and name, true to the signal equations, never the same gain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.data.head_bank import CHANNELS
from model.data.simulated_scans import LABELS, Faults, SimulatedScans, blurred, rendered
from model.physics.protocol import SequenceProtocol
from model.physics.tissue import TISSUES, properties
from tests.model.data.small_bank import SmallBank
from warehouse.prompts.record import contrast_label

BANK = SmallBank()
PERFECT = Faults(
    snr=(1e6, 1e6),
    receive_bias=(0.0, 0.0),
    rotation_deg=0.0,
    shift_mm=0.0,
    stretch=0.0,
    stripped_share=0.0,
    cut_share=0.0,
    defaced_share=0.0,
    thick_share=0.0,
    gamma_share=0.0,
)
TR, TE = 4.0, 0.1
T2W = SequenceProtocol("T2w", "fast_spin_echo", 3.0, TR, TE, None, 150.0)


def test_the_same_name_gives_the_same_scan_and_another_another() -> None:
    scans = SimulatedScans(BANK, 0)
    one, same, other = scans.scan(0, "a"), scans.scan(0, "a"), scans.scan(0, "b")
    assert np.array_equal(one.volume, same.volume)
    assert one.record == same.record
    assert not np.array_equal(one.volume, other.volume)


def test_a_scan_does_not_depend_on_those_before_it() -> None:
    scans = SimulatedScans(BANK, 0)
    assert np.array_equal(list(scans.scans(1, ["x", "y"]))[1].volume, scans.scan(1, "y").volume)


def test_contrasts_are_drawn_equally_often() -> None:
    labels = [
        contrast_label(one.contrast, one.post_contrast)
        for one in (SimulatedScans(BANK, 1).record(n) for n in range(800))
    ]
    shares = {label: labels.count(label) / len(labels) for label in LABELS}
    assert min(shares.values()) > 0.5 / len(LABELS)
    assert sum(shares.values()) == 1


def test_a_record_is_complete_and_that_of_its_protocol() -> None:
    for scan in SimulatedScans(BANK, 2).scans(0, range(20)):
        said, played = scan.record, scan.protocol
        assert (said.repetition_time_s, said.echo_time_s) == (played.repetition_time_s, played.echo_time_s)
        assert said.inversion_time_s == played.inversion_time_s
        assert (said.flip_angle_deg is None) == said.flip_angle_variable
        assert None not in (
            said.contrast,
            said.vendor,
            said.field_strength_t,
            said.age_years,
            said.sex,
            said.voxel_size_mm,
        )


def test_voxels_have_the_ratio_of_their_tissues_signals() -> None:
    """In a perfect scan of pure voxels, tissue over white matter is what the equations say of this person."""
    scans = SimulatedScans(BANK, 3, faults=PERFECT, labels=("T2w", "PDw"))
    maps = BANK.head(0).maps.float()
    for number in range(6):
        scan = scans.scan(0, number)
        image = rendered(maps, scan.protocol, properties(scan.protocol.field_strength_t), 0.0, np.random.default_rng(0))
        cortex, white = (image[maps[CHANNELS.index(name)] > 0.99].mean() for name in ("cortex", "white_matter"))
        signals = dict(zip(TISSUES, scan.signals, strict=True))
        assert float(cortex / white) == pytest.approx(signals["cortex"] / signals["white_matter"], rel=0.15)


def test_people_differ_by_their_relaxation_times_though_their_head_is_one() -> None:
    scans = SimulatedScans(BANK, 4, labels=("T2w",), wide_share=0.0)
    ratios = [scan.signals[0] / scan.signals[2] for scan in scans.scans(0, range(8))]
    assert np.std(ratios) > 0.05


def test_left_and_right_are_exchanged_in_half_of_the_scans_and_never_up_and_down() -> None:
    """Fat lies on one side of the head: without pose, it is seen at either end of the first axis, and nowhere else."""
    scans = SimulatedScans(BANK, 5, faults=PERFECT, labels=("T1w",), wide_share=0.0)
    volumes = [scan.volume for scan in scans.scans(0, range(24))]
    right = [bool(volume[-2:, 7:11, 7:9].mean() > volume[:2, 7:11, 7:9].mean()) for volume in volumes]
    assert 4 < sum(right) < 20
    for volume, is_right in zip(volumes, right, strict=True):
        side = volume[-2:] if is_right else volume[:2]
        assert side[:, 6:12, 6:10].mean() > max(side[:, :5].mean(), side[:, :, :5].mean())


def test_a_stripped_scan_has_no_signal_outside_the_brain_and_says_so() -> None:
    scans = SimulatedScans(BANK, 6, faults=replace(PERFECT, stripped_share=1.0))
    for scan in scans.scans(0, range(4)):
        assert scan.is_stripped
        assert "stripped" in scan.words
        corner = scan.volume[0, 0, 0]
        assert np.allclose(scan.volume[[0, -1]], corner)
        assert scan.volume.min() == pytest.approx(corner)


def test_all_faults_leave_finite_network_intensities_of_the_box() -> None:
    scans = SimulatedScans(BANK, 7, faults=replace(Faults(), cut_share=1.0, defaced_share=1.0, gamma_share=1.0))
    for scan in scans.scans(2, range(12)):
        assert scan.volume.shape == BANK.box.shape
        assert scan.volume.dtype == np.float32
        assert np.isfinite(scan.volume).all()


def test_a_scan_that_deviates_from_its_equation_says_so() -> None:
    exact = SimulatedScans(BANK, 10).scan(0, 0)
    deviating = SimulatedScans(BANK, 10, faults=replace(Faults(), deviating_share=1.0)).scan(0, 0)
    assert exact.is_exact
    assert not deviating.is_exact
    change = np.log(deviating.signals / exact.signals)
    assert 0.05 < change.std() < 0.25


def test_a_slice_blurs_along_its_own_axis_and_keeps_the_sum() -> None:
    image = torch.zeros(9, 9, 9)
    image[4, 4, 4] = 1.0
    found = blurred(image, 1, 1.5)
    assert found.sum() == pytest.approx(1.0)
    assert found[4, 3, 4] == found[4, 5, 4] > 0
    assert found[3, 4, 4] == found[4, 4, 3] == 0
    offsets = torch.arange(9.0) - 4
    assert float((found[4, :, 4] * offsets**2).sum()) == pytest.approx(1.5**2 / 12, rel=1e-5)  # variance of a box


def test_a_phase_mask_darkens_swi_alone() -> None:
    maps = BANK.head(0).maps.float()
    maps[CHANNELS.index("swi_0") :] = 0.5
    swi = SequenceProtocol("SWI", "swi", 3.0, 0.03, 0.02, None, 15.0)
    gradient = replace(swi, contrast="T2starw", sequence="t2star")
    images = [rendered(maps, one, properties(3.0), 0.0, np.random.default_rng(0)) for one in (swi, gradient)]
    assert torch.allclose(images[0], 0.5 * images[1])
