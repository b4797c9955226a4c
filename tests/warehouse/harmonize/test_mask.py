from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from warehouse.errors import HarmonizeError
from warehouse.harmonize import mask as brain
from warehouse.harmonize.mask import dice, find_brain, implausible
from warehouse.imaging.geometry import Image
from warehouse.imaging.scan import read_scan


def ball(
    radius_mm: float, extent_mm: tuple[float, float, float] = (180, 200, 180), size_mm: float = 3.0
) -> tuple[np.ndarray, Image]:
    shape = [int(extent / size_mm) for extent in extent_mm]
    place = np.meshgrid(*((np.arange(n) - (n - 1) / 2) * size_mm for n in shape), indexing="ij")
    mask = sum(axis**2 for axis in place) < radius_mm**2
    return mask, Image(np.where(mask, 100.0, 1.0).astype(np.float32), np.diag([size_mm] * 3 + [1.0]))


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(("scan", "low_ml", "high_ml"), [("sub-skyra", 1350, 1650), ("sub-prisma", 1450, 1800)])
def test_the_brain_of_a_real_head_is_found(samples: Path, scan: str, low_ml: float, high_ml: float) -> None:
    image = read_scan(samples / "images" / "vendor_t1w" / f"{scan}_T1w.nii.gz").image
    mask = find_brain(image)
    assert low_ml < mask.sum() * image.voxel_ml < high_ml
    assert implausible(mask, image) is None


def test_a_brain_that_was_stripped_before_keeps_all_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    there, image = ball(68)
    image = image.like(np.where(there, image.voxels, -1e-4))
    almost, _ = ball(66)
    network = SimpleNamespace(run_model=lambda voxels: almost.astype(float), postprocess=lambda mask: mask)
    monkeypatch.setattr(brain, "_network", lambda detail: network)
    np.testing.assert_array_equal(find_brain(image), there)


def test_a_head_cut_out_of_its_air_is_not_taken_for_a_brain(monkeypatch: pytest.MonkeyPatch) -> None:
    there, image = ball(76)
    image = image.like(np.where(there, image.voxels, 0))
    inner, _ = ball(66)
    network = SimpleNamespace(run_model=lambda voxels: inner.astype(float), postprocess=lambda mask: mask)
    monkeypatch.setattr(brain, "_network", lambda detail: network)
    np.testing.assert_array_equal(find_brain(image), inner)


def test_where_the_coarse_network_finds_no_brain_both_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    right, image = ball(68)
    wrong, _ = ball(20)
    asked: list[str] = []

    def network(detail: str) -> SimpleNamespace:
        asked.append(detail)
        found = right if detail == "fine" else wrong
        return SimpleNamespace(run_model=lambda voxels, **_: found.astype(float), postprocess=lambda mask: mask)

    monkeypatch.setattr(brain, "_network", network)
    np.testing.assert_array_equal(find_brain(image, "coarse"), right)
    assert asked == ["coarse", "fine"]


def test_a_believable_brain_of_the_coarse_network_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    right, image = ball(66)
    network = SimpleNamespace(run_model=lambda voxels, **_: right.astype(float), postprocess=lambda mask: mask)
    monkeypatch.setattr(brain, "_network", lambda detail: {"coarse": network}[detail])
    np.testing.assert_array_equal(find_brain(image, "coarse"), right)


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize(
    "scan",
    [
        "vendor_t1w/sub-prisma_T1w",
        "open_ms_longitudinal/patient04/study1_T2W",
    ],
)
def test_the_coarse_network_agrees_with_both(samples: Path, scan: str) -> None:
    image = read_scan(samples / "images" / f"{scan}.nii.gz").image
    step = tuple(max(1, round(3 / size)) for size in image.voxel_size_mm)
    coarse = Image(image.voxels[:: step[0], :: step[1], :: step[2]], image.affine @ np.diag([*step, 1.0]))
    assert dice(find_brain(coarse, "coarse"), find_brain(coarse)) >= 0.95


def test_overlap_is_dices() -> None:
    one, other = np.zeros(10, bool), np.zeros(10, bool)
    one[:4] = other[2:8] = True
    assert dice(one, other) == pytest.approx(2 * 2 / (4 + 6))


def test_where_nothing_is_found_the_refusal_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind:
        def __init__(self, detail: str) -> None:
            pass

        def run_model(self, voxels: np.ndarray) -> np.ndarray:
            raise AssertionError("Not enough foreground to calculate bounding box")

    monkeypatch.setattr(brain, "_network", Blind)
    with pytest.raises(HarmonizeError, match="no brain") as caught:
        find_brain(Image(np.zeros((8, 8, 8), np.float32), np.eye(4)))
    assert caught.value.stage == "mask"


@pytest.mark.parametrize(("radius_mm", "believed"), [(68, True), (50, True), (40, False), (90, False)])
def test_a_volume_that_no_brain_has_is_not_believed(radius_mm: float, believed: bool) -> None:
    mask, image = ball(radius_mm)
    assert (implausible(mask, image) is None) is believed


def test_a_slab_of_70_mm_with_700_ml_of_brain_is_right() -> None:
    mask, image = ball(68, (180, 200, 70))
    volume_ml = mask.sum() * image.voxel_ml
    assert 600 < volume_ml < 1000
    assert implausible(mask, image) is None


def test_a_whole_head_with_250_ml_is_not() -> None:
    mask, image = ball(39)
    assert "ml of brain" in str(implausible(mask, image))


def test_a_ragged_mask_is_not_believed() -> None:
    mask, image = ball(85)
    mask &= np.random.default_rng(0).random(mask.shape) < 0.4
    assert implausible(mask, image) is not None


def test_an_empty_mask_is_not_believed() -> None:
    mask, image = ball(68)
    assert implausible(np.zeros_like(mask), image) == "the mask is empty"
