"""Measures against closed forms and against slow formulas written a second time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from tests.warehouse.harmonize.phantoms import LEVELS, SCALP, SIGMA, Head, round_head
from warehouse.imaging.geometry import Image
from warehouse.quality.measures import (
    MEASURES,
    UndefinedMeasureError,
    cjv,
    cnr,
    efc,
    fber,
    measure,
    sample_of,
    snr,
    wm2max,
)
from warehouse.quality.tissues import has_background

AIR_BASED = {"cnr", "efc", "fber", "wm2max"}
TISSUE_BASED = {"snr_csf", "snr_gm", "snr_wm", "snr_total", "cnr", "cjv", "wm2max"}
RAYLEIGH_DEVIATION = math.sqrt(2 - math.pi / 2) * SIGMA
RAYLEIGH_MEDIAN = math.sqrt(2 * math.log(2)) * SIGMA


@pytest.fixture(scope="module")
def whole() -> Head:
    return round_head()


def values_of(head: Head, is_background: bool = True) -> dict[str, float | None]:
    return {name: value for name, (value, _) in measure(head.image, head.mask, head.tissue, is_background).items()}


def reasons_of(head: Head, is_background: bool) -> dict[str, str | None]:
    return {name: why for name, (_, why) in measure(head.image, head.mask, head.tissue, is_background).items()}


def slow_median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def slow_deviation(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))


def slow_mad(values: Sequence[float]) -> float:
    middle = slow_median(values)
    return slow_median([abs(value - middle) for value in values]) / 0.674489750196082


def slow_efc(values: Sequence[float]) -> float:
    n = len(values)
    energy = math.sqrt(sum(value**2 for value in values))
    entropy = -sum(value / energy * math.log(value / energy) for value in values if value > 0)
    return entropy / (math.sqrt(n) * math.log(math.sqrt(n)))


def test_snr_of_three_even_levels() -> None:
    sample = sample_of(np.repeat([90.0, 100.0, 110.0], 100))
    assert snr(sample) == pytest.approx(100 / (math.sqrt(200 / 3) * math.sqrt(300 / 299)))


def test_cjv_of_two_tissues() -> None:
    wm, gm = sample_of(np.repeat([90.0, 100.0, 110.0], 100)), sample_of(np.repeat([55.0, 60.0, 65.0], 100))
    assert cjv(wm, gm) == pytest.approx(1.4826 * (10 + 5) / 40)


def test_cnr_of_two_tissues_and_air() -> None:
    wm, gm = sample_of(np.repeat([90.0, 110.0], 100)), sample_of(np.repeat([58.0, 62.0], 100))
    assert cnr(wm, gm, 3.0) == pytest.approx(40 / math.sqrt(9 + 100 + 4))


def test_efc_is_one_for_an_even_volume_and_nought_for_a_point() -> None:
    assert efc(np.full(1000, 7.0)) == pytest.approx(1.0)
    point = np.zeros(1000)
    point[3] = 9.0
    assert efc(point) == 0.0


def test_efc_of_two_levels_is_the_entropy_by_hand() -> None:
    half = math.sqrt(1 / 50)  # 50 of 100 voxels share all the energy
    by_hand = -50 * half * math.log(half) / (10 * math.log(10))
    assert efc(np.repeat([4.0, 0.0], 50)) == pytest.approx(by_hand)


def test_blur_and_ghosts_raise_efc(whole: Head) -> None:
    sharp = values_of(whole)["efc"]
    ghost = whole.with_voxels(whole.image.voxels + 0.2 * np.roll(whole.image.voxels, 32, axis=1))
    assert values_of(ghost)["efc"] > sharp  # type: ignore[operator]


def test_fber_is_the_ratio_of_median_energies() -> None:
    assert fber(np.array([10.0, 20.0, 1000.0]), np.array([1.0, 2.0, 50.0])) == pytest.approx(400 / 4)


def test_wm2max_is_one_where_white_matter_is_brightest() -> None:
    assert wm2max(sample_of(np.full(200, 8.0)), np.full(1000, 8.0)) == 1.0


def test_every_measure_equals_the_slow_formulas(whole: Head) -> None:
    found = values_of(whole)
    voxels = whole.image.voxels.astype(float)
    tissue = {name: voxels[whole.tissue == label].tolist() for name, label in (("csf", 1), ("gm", 2), ("wm", 3))}
    ratios = {}
    for name, values in tissue.items():
        n = len(values)
        ratios[name] = slow_median(values) / (slow_deviation(values) * math.sqrt(n / (n - 1)))
        assert found[f"snr_{name}"] == pytest.approx(ratios[name])
    contrast = abs(slow_median(tissue["wm"]) - slow_median(tissue["gm"]))
    assert found["snr_total"] == pytest.approx(sum(ratios.values()) / 3)
    assert found["cjv"] == pytest.approx((slow_mad(tissue["wm"]) + slow_mad(tissue["gm"])) / contrast, rel=1e-4)
    assert found["efc"] == pytest.approx(slow_efc(voxels.ravel().tolist()), rel=1e-6)
    top = float(np.quantile(voxels, 0.9995))
    assert found["wm2max"] == pytest.approx(slow_median(tissue["wm"]) / top, rel=1e-4)


def test_air_holds_the_noise_that_was_put_there(whole: Head) -> None:
    found = values_of(whole)
    noise = math.sqrt(RAYLEIGH_DEVIATION**2 + 2 * SIGMA**2)
    assert found["cnr"] == pytest.approx((LEVELS[3] - LEVELS[2]) / noise, rel=0.02)
    inside = whole.image.voxels[whole.distance_mm < 75].astype(float)
    assert found["fber"] == pytest.approx(np.median(inside**2) / RAYLEIGH_MEDIAN**2, rel=0.05)
    assert LEVELS[2] < SCALP  # the head is more than the brain


@pytest.mark.parametrize("factor", [1e-3, 1e4], ids=["tiny_units", "huge_units"])
def test_units_do_not_matter(whole: Head, factor: float) -> None:
    scaled = whole.with_voxels(whole.image.voxels * factor)
    assert values_of(scaled) == pytest.approx(values_of(whole), rel=1e-3)


def test_padding_with_zeros_changes_nothing(whole: Head) -> None:
    wide = np.pad(whole.image.voxels, 10)
    affine = whole.image.affine.copy()
    affine[:3, 3] -= 10 * affine[0, 0]
    padded = measure(Image(wide, affine), np.pad(whole.mask, 10), np.pad(whole.tissue, 10), True)
    plain = values_of(whole)
    assert {name: value for name, (value, _) in padded.items()} == pytest.approx(plain, rel=0.02)


def test_negative_values_count_as_nought(whole: Head) -> None:
    voxels = whole.image.voxels.copy()
    voxels[0, 0, 0] = 0
    negative = voxels.copy()
    negative[0, 0, 0] = -500
    assert values_of(whole.with_voxels(negative)) == values_of(whole.with_voxels(voxels))


def test_ghosts_in_the_air_are_left_out_of_its_noise(whole: Head) -> None:
    voxels = whole.image.voxels.copy()
    voxels[4:9, 4:9, 50:56] = 400
    assert values_of(whole.with_voxels(voxels))["cnr"] == pytest.approx(values_of(whole)["cnr"], rel=0.01)


def test_a_stripped_scan_has_no_measure_of_its_air(whole: Head) -> None:
    stripped = whole.with_voxels(np.where(whole.mask, whole.image.voxels, 0))
    is_background, why = has_background(stripped.image.voxels, stripped.mask)
    found = measure(stripped.image, stripped.mask, stripped.tissue, is_background, why)
    assert {name for name, (value, _) in found.items() if value is None} == AIR_BASED
    assert all("skull-stripped" in str(found[name][1]) for name in AIR_BASED)


def test_without_tissues_only_the_whole_volume_is_measured(whole: Head) -> None:
    found = measure(whole.image, whole.mask, None, True)
    assert {name for name, (value, _) in found.items() if value is None} == TISSUE_BASED
    assert {found[name][1] for name in TISSUE_BASED} == {"tissues were not segmented"}


def test_a_missing_tissue_is_named(whole: Head) -> None:
    without = np.where(whole.tissue == 3, 0, whole.tissue).astype(np.uint8)
    found = measure(whole.image, whole.mask, without, True)
    assert {name for name, (value, _) in found.items() if value is None} == TISSUE_BASED - {"snr_csf", "snr_gm"}
    assert found["snr_wm"] == (None, "WM has 0 voxels, fewer than 100")


def test_a_constant_volume_has_no_measures(whole: Head) -> None:
    constant = whole.with_voxels(np.full(whole.mask.shape, 5.0))
    is_background, _ = has_background(constant.image.voxels, constant.mask)
    assert all(value is None for value in values_of(constant, is_background).values())


@pytest.mark.parametrize("is_background", [True, False])
@pytest.mark.parametrize("kind", ["noise", "zeros", "stripped", "nan"])
def test_there_is_a_finite_value_or_a_reason_and_never_both(whole: Head, kind: str, is_background: bool) -> None:
    voxels = {
        "noise": whole.image.voxels,
        "zeros": np.zeros(whole.mask.shape),
        "stripped": np.where(whole.mask, whole.image.voxels, 0),
        "nan": np.where(whole.distance_mm < 20, np.nan, whole.image.voxels),
    }[kind]
    found = measure(whole.with_voxels(voxels).image, whole.mask, whole.tissue, is_background)
    assert tuple(found) == MEASURES
    for value, reason in found.values():
        assert (value is None) != (reason is None)
        assert value is None or math.isfinite(value)


def test_each_measure_refuses_what_it_cannot_say() -> None:
    level = sample_of(np.full(200, 5.0))
    for refused in (
        lambda: snr(level),
        lambda: cjv(level, level),
        lambda: cnr(level, level, 0.0),
        lambda: efc(np.zeros(10)),
        lambda: fber(np.ones(10), np.zeros(10)),
        lambda: wm2max(level, np.zeros(10)),
        lambda: sample_of(np.zeros(200)),
    ):
        with pytest.raises(UndefinedMeasureError):
            refused()


def test_grids_that_differ_are_refused(whole: Head) -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        measure(whole.image, whole.mask[1:], None, True)
