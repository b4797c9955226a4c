"""Volumes in planes: left is left, scales are true, and windows are those that were given."""

from __future__ import annotations

import numpy as np
import pytest

from warehouse.imaging.geometry import Image
from warehouse.quality.planes import Shown, planes_figure, row_figure


def head(step_mm: tuple[float, float, float] = (2.0, 2.0, 4.0), shape: tuple[int, int, int] = (40, 50, 20)) -> Image:
    """A bright box in the middle, with a brighter mark on the person's left."""
    voxels = np.zeros(shape, np.float32)
    voxels[10:30, 10:40, 5:15] = 1.0
    voxels[12:15, 20:30, 5:15] = 3.0  # RAS: small i is left
    return Image(voxels, np.diag([*step_mm, 1.0]))


def test_the_left_of_a_picture_is_the_persons_left() -> None:
    axial = planes_figure([Shown("a", head())], "title").axes[0]
    picture = np.asarray(axial.get_images()[0].get_array())
    middle = picture.shape[1] // 2
    assert picture[:, :middle].max() == 3.0
    assert picture[:, middle:].max() == 1.0
    letters = {text.get_text(): text.get_position()[0] for text in axial.texts}
    assert letters["L"] < 0.5 < letters["R"]


def test_every_volume_has_three_planes_of_true_proportions() -> None:
    figure = planes_figure([Shown("fine", head()), Shown("coarse", head((4.0, 4.0, 8.0), (20, 25, 10)))], "title")
    assert len(figure.axes) == 6
    figure.draw_without_rendering()
    for axes in figure.axes:
        left, right, bottom, top = axes.get_images()[0].get_extent()
        box = axes.get_window_extent()
        assert box.width / box.height == pytest.approx((right - left) / (top - bottom), rel=0.02)


def test_pictures_do_not_overlap_and_lie_in_the_figure() -> None:
    figure = row_figure([Shown(str(n), head()) for n in range(7)], "title")
    figure.draw_without_rendering()
    boxes = [axes.get_window_extent() for axes in figure.axes]
    assert len(boxes) == 7
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            inside = (min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0))
            assert min(inside) <= 0.5


def test_a_window_is_kept_and_else_that_of_the_brain() -> None:
    image = head()
    brain = image.voxels == 1.0
    figure = row_figure([Shown("given", image, brain, (0.0, 9.0)), Shown("own", image, brain)], "title")
    assert [axes.get_images()[0].get_clim() for axes in figure.axes] == [
        (0.0, 9.0),
        (0.0, pytest.approx(1.0, abs=1e-5)),
    ]


def test_an_outline_is_drawn_where_it_is_asked_for() -> None:
    image = head()
    plain, outlined = (Shown("a", image, image.voxels > 0, None, is_drawn) for is_drawn in (False, True))
    assert not row_figure([plain], "title").axes[0].collections
    assert row_figure([outlined], "title").axes[0].collections


def test_a_volume_without_signal_is_drawn() -> None:
    empty = Image(np.zeros((8, 8, 8), np.float32), np.eye(4))
    assert planes_figure([Shown("empty", empty, np.zeros((8, 8, 8), bool))], "title").axes
