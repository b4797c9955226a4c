"""Pictures, read back pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from warehouse.errors import TumsynError
from warehouse.quality.mosaics import GAP_PX, MASK, OUTLINE, WIDTH_PX, Panel, draw
from warehouse.quality.slices import LEFT, RIGHT

SHAPE = (60, 72, 60)
STEP = (3.0, 3.0, 3.0)


def ball(radius_mm: float = 66.0, shape: tuple[int, ...] = SHAPE, step: tuple[float, ...] = STEP) -> NDArray[np.bool_]:
    """A ball in the middle of the grid."""
    axes = [size * (np.arange(n) - (n - 1) / 2) for n, size in zip(shape, step, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return np.asarray(x**2 + y**2 + z**2 < radius_mm**2)


def panel(**more: object) -> Panel:
    mask = ball()
    fields: dict[str, object] = {"title": "T1w", "voxels": mask * 0.4, "mask": mask, "reference_outline": mask} | more
    return Panel(**fields)  # type: ignore[arg-type]


def pixels_of(path: Path) -> NDArray[np.float64]:
    """Rows from above, columns from the left, RGB in [0, 1]."""
    return np.asarray(matplotlib.image.imread(path), np.float64)[:, :, :3]


def where(pixels: NDArray[np.float64], colour: str | tuple[float, float, float]) -> NDArray[np.intp]:
    """Row and column of the pixels of a colour."""
    return np.argwhere(np.abs(pixels - to_rgb(colour)).max(axis=2) < 0.02)


def middle(found: NDArray[np.intp]) -> NDArray[np.float64]:
    return np.asarray((found.min(axis=0) + found.max(axis=0)) / 2)


def columns_of(plane: int) -> slice:
    """Columns of the axial (0), coronal (1) or sagittal (2) picture: a ball is as wide in each."""
    width = (WIDTH_PX - 4 * GAP_PX) / 3
    start = GAP_PX + plane * (width + GAP_PX)
    return slice(round(start), round(start + width))


@pytest.mark.parametrize("plane", [0, 1], ids=["axial", "coronal"])
@pytest.mark.parametrize(("half", "letter"), [(slice(22, 26), LEFT), (slice(34, 38), RIGHT)], ids=["left", "right"])
def test_a_spot_in_a_hemisphere_is_on_the_side_that_bears_its_letter(
    tmp_path: Path, plane: int, half: slice, letter: str
) -> None:
    voxels = ball() * 0.2
    voxels[half, 30:42, 24:36] = 1.0  # the first axis runs from left to right
    pixels = pixels_of(draw([panel(voxels=voxels)], STEP, tmp_path / "m.png", "one"))[:, columns_of(plane)]
    spot = where(pixels, (1.0, 1.0, 1.0))[:, 1].mean()
    letters = {colour: where(pixels, colour)[:, 1].mean() for colour in (LEFT, RIGHT)}
    assert letters[LEFT] < letters[RIGHT]
    assert min(letters, key=lambda colour: abs(letters[colour] - spot)) == letter


def test_front_and_top_are_where_they_belong(tmp_path: Path) -> None:
    voxels = ball() * 0.2
    voxels[26:34, 46:54, 38:46] = 1.0  # in front, above
    pixels = pixels_of(draw([panel(voxels=voxels)], STEP, tmp_path / "m.png", "one"))
    sagittal = pixels[100:-40, columns_of(2)]
    row, column = where(sagittal, (1.0, 1.0, 1.0)).mean(axis=0)
    assert row < sagittal.shape[0] / 2
    assert column > sagittal.shape[1] / 2


def test_a_ball_is_round_on_a_grid_of_thick_slices(tmp_path: Path) -> None:
    shape, step = (90, 100, 30), (2.0, 2.0, 6.0)
    mask = ball(60.0, shape, step)
    path = draw([Panel("T2w", mask * 0.4, mask)], step, tmp_path / "m.png", "thick")
    outline = where(pixels_of(path)[100:-40, 430:800], MASK)
    height, width = outline.max(axis=0) - outline.min(axis=0)
    assert height == pytest.approx(width, rel=0.06)


def test_the_outline_of_the_mask_encloses_it(tmp_path: Path) -> None:
    pixels = pixels_of(draw([panel(voxels=ball(63.0) * 1.0)], STEP, tmp_path / "m.png", "one"))[100:-40]
    axial = pixels[:, columns_of(0)]
    brain, outline = where(axial, (1.0, 1.0, 1.0)), where(axial, MASK)
    assert (outline.min(axis=0) < brain.min(axis=0)).all()
    assert (outline.max(axis=0) > brain.max(axis=0)).all()
    assert np.abs(middle(outline) - middle(brain)).max() < 3


def test_a_shifted_scan_shows_two_outlines(tmp_path: Path) -> None:
    moved = np.roll(ball(), 4, axis=0)
    pixels = pixels_of(draw([panel(mask=moved)], STEP, tmp_path / "m.png", "one"))[100:-40, columns_of(0)]
    shift = where(pixels, MASK)[:, 1].max() - where(pixels, OUTLINE)[:, 1].max()
    assert shift == pytest.approx(4 * 3.0 * pixels.shape[1] / 180, abs=4)


def test_a_scan_without_mask_is_drawn_without_outline(tmp_path: Path) -> None:
    path = draw([panel(mask=None, reference_outline=None)], STEP, tmp_path / "m.png", "one")
    assert len(where(pixels_of(path)[100:-40], MASK)) == 0


@pytest.mark.parametrize("mask", [np.zeros(SHAPE, bool), np.ones(SHAPE, bool)], ids=["empty", "full"])
def test_a_mask_without_border_is_drawn_without_outline(tmp_path: Path, mask: NDArray[np.bool_]) -> None:
    path = draw([panel(mask=mask, reference_outline=None)], STEP, tmp_path / "m.png", "one")
    assert len(where(pixels_of(path)[100:-40], MASK)) == 0


@pytest.mark.slow
def test_each_scan_of_a_visit_has_a_row(tmp_path: Path) -> None:
    alone = pixels_of(draw([panel()], STEP, tmp_path / "1.png", "one"))
    three = pixels_of(draw([panel(), panel(verdict="flag: small"), panel()], STEP, tmp_path / "3.png", "three"))
    assert alone.shape[1] == three.shape[1] == WIDTH_PX
    assert three.shape[0] > 2.5 * alone.shape[0] - 200
    assert len(where(three, LEFT)) == pytest.approx(3 * len(where(alone, LEFT)), rel=0.15)  # letters have soft edges


def test_half_precision_and_long_names_are_drawn(tmp_path: Path) -> None:
    named = panel(title="T1w $x_1$ " * 30, voxels=(ball() * 0.4).astype(np.float16), verdict="flag: " + "why " * 200)
    path = draw([named], STEP, tmp_path / "deep" / "m.png", "open_ms/sub-$a_b$" * 20)
    assert path.is_file()
    assert [file.name for file in path.parent.iterdir()] == ["m.png"]  # no temporary is left


def test_the_same_visit_gives_the_same_file(tmp_path: Path) -> None:
    first, second = (draw([panel()], STEP, tmp_path / name, "one").read_bytes() for name in ("a.png", "b.png"))
    assert first == second


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    voxels = ball() * 0.4
    voxels[3, 3, 3] = value
    with pytest.raises(TumsynError, match="NaN or infinite"):
        draw([panel(voxels=voxels)], STEP, tmp_path / "m.png", "one")
    assert not (tmp_path / "m.png").exists()


def test_scans_on_different_grids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TumsynError, match="the first scan"):
        draw([panel(), panel(mask=np.ones((3, 3, 3)))], STEP, tmp_path / "m.png", "one")


def test_a_visit_without_scans_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TumsynError, match="no scan to draw"):
        draw([], STEP, tmp_path / "m.png", "one")
