"""What settings of a prompt do to an image whose network knows them from simulated scans alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from model.data.catalogue import Source
from model.data.target_voxels import TargetVoxels
from model.inference.named_settings import (
    GAINS,
    log_factors,
    multiplied,
    of_contrast,
    tells_contrast,
    tissue_shares,
)
from model.inference.synthesize import Synthesizer, load_synthesizer
from model.physics.expected import names_settings, with_usual_settings
from tests.model.tiny_models import save_synthesis
from tests.warehouse.quality.test_tissues import head
from warehouse.imaging.brain_scale import BrainScale
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord

MPRAGE = PromptRecord("T1w", repetition_time_s=2.3, echo_time_s=0.003, inversion_time_s=0.9, flip_angle_deg=9.0)
SPIN_ECHO = PromptRecord("T1w", repetition_time_s=0.5, echo_time_s=0.012, flip_angle_deg=90.0)
T2W = PromptRecord("T2w", repetition_time_s=4.0, echo_time_s=0.1, flip_angle_deg=150.0)
FLAIR = PromptRecord("FLAIR", repetition_time_s=9.0, echo_time_s=0.12, inversion_time_s=2.5, flip_angle_deg=150.0)
FLUID, GREY, WHITE = range(3)
BRIGHT = {"T1w": (0.4, 0.85, 1.0), "T2w": (2.0, 1.2, 1.0), "FLAIR": (0.5, 1.1, 1.0)}  # as networks make them


def blocks(contrast: str) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return a signal of three tissues side by side with air at the end, and their shares."""
    shares = np.zeros((3, 8, 2, 2), np.float32)
    for tissue in range(3):
        shares[tissue, 2 * tissue : 2 * tissue + 2] = 1
    return np.tensordot(BRIGHT[contrast], shares, 1) + 0.01, shares


def with_settings(signal: NDArray[np.float64], shares: NDArray[np.float32], asked: PromptRecord) -> NDArray[np.float64]:
    """Return an image of the usual settings as it would be with others."""
    factors = log_factors(signal, shares, asked)
    return signal if factors is None else multiplied(signal, shares, factors)


def ratios(signal: NDArray[np.float64]) -> tuple[float, float]:
    """Return fluid and grey matter beside white matter."""
    return float(signal[0, 0, 0] / signal[4, 0, 0]), float(signal[2, 0, 0] / signal[4, 0, 0])


@pytest.mark.parametrize("record", [MPRAGE, SPIN_ECHO, T2W, FLAIR], ids=["mprage", "spin echo", "T2w", "FLAIR"])
def test_the_usual_settings_change_nothing(record: PromptRecord) -> None:
    signal, shares = blocks(record.contrast or "")
    assert with_settings(signal, shares, with_usual_settings(record)) is signal


@pytest.mark.parametrize(
    ("record", "field", "low", "high", "tissue", "rises"),
    [
        (T2W, "echo_time_s", 0.03, 0.12, FLUID, True),
        (T2W, "repetition_time_s", 2.0, 8.0, FLUID, True),
        (FLAIR, "echo_time_s", 0.08, 0.16, FLUID, True),
        (FLAIR, "inversion_time_s", 1.6, 2.5, FLUID, False),
        (MPRAGE, "inversion_time_s", 0.7, 1.2, FLUID, True),
        (MPRAGE, "flip_angle_deg", 5.0, 15.0, GREY, True),
        (SPIN_ECHO, "repetition_time_s", 0.3, 1.0, GREY, True),
    ],
    ids=["T2w TE", "T2w TR", "FLAIR TE", "FLAIR TI", "MPRAGE TI", "MPRAGE FA", "spin echo TR"],
)
def test_contrast_goes_the_way_of_the_signal_equation(
    record: PromptRecord, field: str, low: float, high: float, tissue: int, rises: bool
) -> None:
    signal, shares = blocks(record.contrast or "")
    first, last = (
        ratios(with_settings(signal, shares, replace(record, **{field: value})))[tissue] for value in (low, high)
    )
    assert (last > 1.03 * first) if rises else (first > 1.03 * last)


def test_an_image_of_half_the_contrast_keeps_the_order_of_tissues() -> None:
    signal, shares = blocks("T2w")  # fluid has twice white matter's signal, and four times by the equation
    fluid, grey = ratios(with_settings(signal, shares, replace(T2W, echo_time_s=0.02)))
    assert 1.0 < fluid < 1.4, "by the whole factor of the equation it would be darker than white matter"
    assert grey > 1.0


def test_what_lies_around_the_brain_does_not_change() -> None:
    signal, shares = blocks("T2w")
    made = with_settings(signal, shares, replace(T2W, echo_time_s=0.03))
    np.testing.assert_array_equal(made[6:], signal[6:])


@pytest.mark.parametrize("missing", [(), (FLUID,), (GREY, WHITE), (FLUID, GREY, WHITE)])
def test_tissues_that_are_not_there_are_no_obstacle(missing: tuple[int, ...]) -> None:
    signal, shares = blocks("T2w")
    shares[list(missing)] = 0
    made = with_settings(signal, shares, replace(T2W, echo_time_s=0.03))
    assert np.isfinite(made).all()
    assert (made == signal).all() == (len(missing) >= 2), "one tissue alone has no contrast"


@pytest.mark.parametrize("record", [FLAIR, MPRAGE], ids=["FLAIR", "MPRAGE"])
def test_a_nulled_tissue_keeps_a_part_of_its_signal(record: PromptRecord) -> None:
    signal, shares = blocks(record.contrast or "")
    for inversion_s in np.linspace(0.2, 4.0, 39):
        made = with_settings(signal, shares, replace(record, inversion_time_s=float(inversion_s)))
        tissues = made[[0, 2, 4], 0, 0] / signal[[0, 2, 4], 0, 0]
        assert tissues.max() / tissues.min() < 60, "white matter is nulled first, at 0.4 to 0.6 s"


def test_a_repetition_time_of_excitations_after_an_inversion_is_that_of_an_mprage() -> None:
    signal, shares = blocks("T1w")
    philips = PromptRecord("T1w", repetition_time_s=0.0081, echo_time_s=0.0037, flip_angle_deg=8.0)
    inverted = replace(philips, inversion_time_s=0.9)
    by_philips = with_settings(signal, shares, inverted)
    by_siemens = with_settings(signal, shares, replace(inverted, repetition_time_s=2.3))
    np.testing.assert_allclose(by_philips, by_siemens, rtol=1e-6)
    assert with_usual_settings(inverted).repetition_time_s == 2.3
    assert with_usual_settings(philips).repetition_time_s == pytest.approx(0.008)


@pytest.mark.parametrize("order", [1.0, -1.0], ids=["right order", "wrong order"])
def test_an_image_against_the_equation_is_changed_least(order: float) -> None:
    _, shares = blocks("T2w")
    signal = np.tensordot(np.exp(order * np.array([3.0, 0.2, 0.0])), shares, 1) + 1e-3
    fluid = ratios(signal)[0] / ratios(with_settings(signal, shares, replace(T2W, echo_time_s=0.03)))[0]
    whole = np.log(fluid) / max(GAINS) if order > 0 else np.log(fluid) / min(GAINS)
    assert whole == pytest.approx(np.log(ratios_of_equation(0.1) / ratios_of_equation(0.03)), rel=0.3)


def ratios_of_equation(echo_time_s: float) -> float:
    """Return fluid beside white matter by the equation of a spin echo, with the textbook's T2 of 1.7 s and 58 ms."""
    return float(np.exp(-echo_time_s / 1.7 + echo_time_s / 0.058))


@pytest.mark.parametrize(
    ("record", "names"),
    [
        (PromptRecord("T2w"), False),
        (PromptRecord("T2w", echo_time_s=0.09), True),
        (PromptRecord("T2w", age_years=40.0, field_strength_t=3.0), False),
        (PromptRecord("T1w", echo_time_s=0.003), False),
        (PromptRecord("T1w", inversion_time_s=0.9), True),
        (PromptRecord("SWI", repetition_time_s=0.03, echo_time_s=0.02), False),
        (PromptRecord("bold", repetition_time_s=2.0, echo_time_s=0.03), False),
        (PromptRecord(repetition_time_s=2.0), False),
    ],
    ids=["nothing", "TE alone", "person and field", "a T1w of which no sequence is sure", "TI", "SWI", "bold", "none"],
)
def test_a_prompt_names_settings_where_their_effect_is_known(record: PromptRecord, names: bool) -> None:
    assert (names_settings(record) and tells_contrast(record)) is names


def brain() -> tuple[Source, NDArray[np.float64]]:
    """Return the template's T1w as a source placed in MNI152, and its signal."""
    image, labels = head("t1_like")
    mask = labels > 0
    scale = BrainScale.of(image.voxels, mask)
    source = Source(scale.to_network(image.voxels), mask, PromptRecord("T1w"), relative_spread=scale.relative_spread)
    return replace(source, affine=image.affine), image.voxels / scale.median


@pytest.fixture
def real_one(tmp_path: object) -> Synthesizer:
    home = Home(tmp_path / "home")  # type: ignore[operator]
    return load_synthesizer(home, save_synthesis(home, relative_spread={"T1w": 0.3, "T2w": 0.7}), "cpu")


@pytest.mark.parametrize("degrees", [0.0, 20.0], ids=["upright", "tilted"])
def test_tissues_are_found_in_a_scan_that_was_not_placed(degrees: float) -> None:
    image, labels = head("t1_like")
    voxels = ndimage.rotate(image.voxels, degrees, (1, 2), reshape=False, order=1)
    turned = ndimage.rotate(labels, degrees, (1, 2), reshape=False, order=0)
    mask = turned > 0
    scale = BrainScale.of(voxels, mask)
    source = Source(scale.to_network(voxels), mask, PromptRecord("T1w"), relative_spread=scale.relative_spread)
    shares = tissue_shares(source, 2.0)
    assert (shares.argmax(0) + 1 == turned)[mask].mean() > 0.85
    np.testing.assert_allclose(shares.sum(0)[ndimage.binary_erosion(mask, iterations=3)], 1.0, atol=0.05)


def test_a_scan_of_the_wanted_contrast_is_weighed_itself(real_one: Synthesizer) -> None:
    source, signal = brain()
    usual = with_usual_settings(PromptRecord("T1w"))
    made = real_one.signal([source], usual)
    np.testing.assert_allclose(made[source.mask], signal[source.mask], atol=1e-4)
    early = real_one.signal([source], replace(usual, inversion_time_s=0.7))
    shares = tissue_shares(source, 2.0)
    fluid = [float((one * shares[FLUID]).sum() / (one * shares[WHITE]).sum()) for one in (made, early)]
    assert fluid[1] < fluid[0], "fluid comes back late from an inversion"


def test_settings_that_real_scans_state_are_left_to_the_network(real_one: Synthesizer) -> None:
    source, _ = brain()
    asked = replace(T2W, echo_time_s=0.03, flip_angle_deg=None)
    ranges = {"contrasts": {"T2w": {"repetition_time_s": [2.0, 8.0], "echo_time_s": [0.02, 0.12]}}}
    stated = replace(real_one, trained_ranges=ranges)
    weighed, learned = (one.volume([source], asked) for one in (real_one, stated))
    assert (real_one.weighs(asked), stated.weighs(asked)) == (True, False)
    assert stated.weighs(replace(asked, echo_time_s=0.2)), "a protocol of one's own tells nothing of others"
    assert stated.weighs(replace(asked, flip_angle_deg=120.0)), "no scan stated a flip angle"
    simulated = replace(real_one, is_simulated=True).volume([source], asked)
    assert np.abs(weighed - learned).max() > 1e-3
    np.testing.assert_array_equal(simulated, learned)


@pytest.mark.parametrize("contrast", ["T1w", "FLAIR"])
def test_nearly_usual_settings_change_nearly_nothing(contrast: str, real_one: Synthesizer) -> None:
    source = replace(brain()[0], record=PromptRecord(contrast))
    usual = with_usual_settings(PromptRecord("T1w"))
    plain, spread = real_one.intensities([source], usual)
    nearly, its_spread = real_one.intensities([source], replace(usual, inversion_time_s=0.901))
    assert 0 < np.abs(nearly - plain)[source.mask].max() < 0.05, "it is not stretched to another scale"
    assert its_spread == pytest.approx(spread, rel=0.02)


def test_left_stays_left_on_another_grid(real_one: Synthesizer) -> None:
    source, _ = brain()
    voxels = source.voxels.copy()
    right = np.zeros_like(source.mask)
    right[len(right) // 2 :] = True  # axes are R, A, S
    voxels[source.mask & right] += 0.3
    one_sided = replace(source, voxels=voxels)
    asked = replace(with_usual_settings(PromptRecord("T1w")), inversion_time_s=1.2)
    here, _ = real_one.intensities([one_sided], asked)
    n = source.mask.shape[0]
    flipped = np.diag([-1.0, 1.0, 1.0, 1.0])
    flipped[0, 3] = n - 1
    there, _ = real_one.intensities([one_sided], asked, at=TargetVoxels(source.mask.shape, flipped))
    np.testing.assert_allclose(there[::-1][source.mask], here[source.mask], atol=1e-2)
    assert np.abs(there - here)[source.mask].mean() > 0.05, "the test would not see a mirror image"


def test_what_a_prompt_leaves_out_is_as_in_the_scan_itself(real_one: Synthesizer) -> None:
    source, signal = brain()
    own = PromptRecord("T1w", repetition_time_s=1.6, echo_time_s=0.004, inversion_time_s=0.9, flip_angle_deg=12.0)
    made = real_one.signal([replace(source, record=own)], PromptRecord("T1w", inversion_time_s=0.9))
    np.testing.assert_allclose(made[source.mask], signal[source.mask], atol=1e-4)


def test_another_sequence_keeps_nothing_of_the_scan_itself(real_one: Synthesizer) -> None:
    source = replace(brain()[0], record=MPRAGE)
    made = [real_one.signal([source], replace(SPIN_ECHO, repetition_time_s=tr_s)) for tr_s in (0.3, 1.0)]
    grey, white = (tissue_shares(source, 2.0)[tissue] for tissue in (GREY, WHITE))
    first, last = ((one * grey).sum() / (one * white).sum() for one in made)
    assert last > 1.03 * first, "an inversion time of 0.9 s and a repetition time of 0.3 s are no spin echo"


def test_a_grid_with_little_brain_has_the_contrast_of_the_whole(real_one: Synthesizer) -> None:
    source, _ = brain()
    asked = replace(with_usual_settings(PromptRecord("T1w")), inversion_time_s=1.2)
    whole = real_one.signal([source], asked)
    i, j, k = (int(place) for place in np.argwhere(source.mask).mean(0))
    for shape, corner in (((*source.mask.shape[:2], 2), (0, 0, k)), ((1, 1, 1), (i, j, k))):
        matrix = np.eye(4)
        matrix[:3, 3] = corner
        part = real_one.signal([source], asked, TargetVoxels(shape, matrix))
        box = tuple(slice(first, first + n) for first, n in zip(corner, shape, strict=True))
        np.testing.assert_allclose(part, whole[box], atol=1e-3)


@pytest.mark.parametrize("shape", [(7, 7, 7), (40, 40, 3), (1, 40, 40)])
def test_scans_that_cannot_be_registered_are_no_obstacle(shape: tuple[int, int, int], real_one: Synthesizer) -> None:
    voxels = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    source = Source(voxels, np.ones(shape, bool), PromptRecord("T1w"))
    assert np.isfinite(real_one.signal([source], replace(T2W, echo_time_s=0.03))).all()


def test_a_lower_slab_of_a_brain_has_most_tissues_right() -> None:
    image, labels = head("t1_like")
    slab = slice(20, 35)
    mask = labels[..., slab] > 0
    voxels = np.ascontiguousarray(image.voxels[..., slab])
    scale = BrainScale.of(voxels, mask)
    source = Source(scale.to_network(voxels), mask, PromptRecord("T1w"), relative_spread=scale.relative_spread)
    assert (tissue_shares(source, 2.0).argmax(0) + 1 == labels[..., slab])[mask].mean() > 0.6


@pytest.mark.parametrize("seen", [0.99, 0.5], ids=["nearly the same mask", "half"])
def test_a_stripped_scan_of_the_wanted_contrast_may_lack_a_few_voxels(seen: float) -> None:
    source, _ = brain()
    first = replace(source, record=PromptRecord("FLAIR"), seen=source.mask)
    inside = np.argwhere(source.mask)
    kept = np.zeros_like(source.mask)
    kept[tuple(inside[: int(seen * len(inside))].T)] = True
    second = replace(source, seen=kept)
    assert (of_contrast([first, second], MPRAGE) is second) is (seen > 0.9)
    assert of_contrast([replace(first, seen=None), second], MPRAGE) is None, "it shows no scalp"


@pytest.mark.parametrize(
    "asked",
    [PromptRecord("T1w", echo_time_s=0.003, flip_angle_deg=9.0), PromptRecord("T2w", flip_angle_variable=True)],
    ids=["a T1w of which no sequence is sure", "a variable flip angle"],
)
def test_settings_that_nothing_tells_of_do_not_reach_the_network(asked: PromptRecord, real_one: Synthesizer) -> None:
    flair = replace(brain()[0], record=PromptRecord("FLAIR"))
    assert real_one.weighs(asked) != real_one.ignores(asked)
    if real_one.ignores(asked):
        silent = real_one.volume([flair], PromptRecord(asked.contrast))
        np.testing.assert_array_equal(real_one.volume([flair], asked), silent)


def test_a_contrast_of_which_no_real_scan_is_known_is_left_to_the_network(real_one: Synthesizer) -> None:
    asked = PromptRecord("PDw", repetition_time_s=4.0, echo_time_s=0.015)
    assert (real_one.weighs(asked), real_one.ignores(asked)) == (False, False)
