"""Examples of a report: what is made for them, and how they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from model.data.catalogue import Sample, Source
from model.report.gallery import (
    OVERVIEW_WIDTH_PX,
    PAGE_WIDTH_PX,
    Example,
    draw_example,
    draw_overview,
    in_order,
    make_examples,
)
from tests.model.evaluation.pictures import SHAPE, ball, blob, pixels
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import BrainScale
from warehouse.imaging.geometry import turn
from warehouse.prompts.record import PromptRecord


def example(**more: object) -> Example:
    flat = ball() * 0.2
    fields: dict[str, object] = {
        "task": "T1w_to_T2w",
        "split": "test_internal",
        "center_id": "alpha",
        "prompt": "Age: 31",
        "source": flat,
        "made": flat,
        "target": flat,
        "mask": ball(),
        "voxel_size_mm": np.array([3.0, 3.0, 3.0]),
        "psnr_db": 21.0,
        "ssim": 0.8,
        "is_simulated": True,
    }
    return Example(**(fields | more))  # type: ignore[arg-type]


def test_a_page_shows_an_axial_and_a_coronal_slice_of_the_brain() -> None:
    picture = pixels(draw_example(example()))
    assert picture.shape[1] == PAGE_WIDTH_PX
    column, brain_mm = (PAGE_WIDTH_PX - 30) / 4, [3 * n * 0.84 + 24 for n in SHAPE]
    expected = column * (brain_mm[1] + brain_mm[2]) / brain_mm[0] + 80
    assert picture.shape[0] == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)], ids=["RAS", "LAS", "RPI"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)], ids=["ijk", "kij"])
def test_volumes_of_any_orientation_are_turned_to_ras(flip: tuple[int, ...], order: tuple[int, ...]) -> None:
    ras = np.random.default_rng(2).normal(size=(4, 5, 6))
    affine = np.eye(4)
    stored = ras.transpose(order)
    axes = np.zeros((3, 3))
    for voxel_axis, world_axis in enumerate(order):
        axes[world_axis, voxel_axis] = flip[world_axis]
        if flip[world_axis] < 0:
            stored = np.flip(stored, voxel_axis)
    affine[:3, :3] = axes
    np.testing.assert_array_equal(turn(stored, affine), ras)


@pytest.mark.slow
def test_the_overview_shows_every_example_below_the_other(tmp_path: Path) -> None:
    one = pixels(draw_overview([example()], tmp_path / "one.png").read_bytes())
    three = pixels(draw_overview([example()] * 3, tmp_path / "three.png").read_bytes())
    assert one.shape[1] == three.shape[1] == OVERVIEW_WIDTH_PX
    assert three.shape[0] > 2.2 * one.shape[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "three.png"]


def test_an_overview_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no example"):
        draw_overview([], tmp_path / "gallery.png")


class Catalogue:
    """Three scans of one person on one grid whose first axis runs to the left."""

    affine = np.diag([-3.0, 3.0, 3.0, 1.0])

    def __init__(self, *volumes: NDArray[np.float64]) -> None:
        records = [PromptRecord(contrast=name) for name in ("T1w", "T2w", "FLAIR")]
        self.items = [SimpleNamespace(image_id=f"i{n}", record=record) for n, record in enumerate(records)]
        self.volumes = volumes

    def volume(self, index: int) -> Sample:
        stored = np.ascontiguousarray(self.volumes[index][::-1], np.float32)
        return Sample(stored, ball()[::-1], self.affine, BrainScale(0.5, 0.25))

    def source(self, index: int) -> Source:
        sample = self.volume(index)
        return Source(sample.voxels, sample.mask, self.items[index].record)


class Told:
    """Gives a volume, and keeps what it was asked."""

    max_sources = 2

    def __init__(self, made: NDArray[np.float64]) -> None:
        self.made, self.asked = made, []

    def volume(self, sources: Sequence[Source], target: PromptRecord) -> NDArray[np.float32]:
        self.asked.append(([source.record.contrast for source in sources], target.contrast))
        return np.asarray(self.made[::-1], np.float32)


def row(*sources: str, target: str = "i2") -> dict[str, object]:
    facts = {"task": "T1w+T2w_to_FLAIR", "split": "val", "center_id": "c", "prompt": "p", "psnr_db": 20.0, "ssim": 0.7}
    return facts | {"is_simulated": False, "source_image_ids": list(sources), "target_image_id": target}


def test_a_model_is_given_every_source_of_a_set_and_the_targets_prompt() -> None:
    told = Told(ball())
    make_examples(Catalogue(ball(), ball(), blob("left")), told, [row("i0", "i1")], "draft")  # type: ignore[arg-type]
    assert told.asked == [(["T1w", "T2w"], "FLAIR")]


def test_made_and_target_share_the_targets_window_in_linear_intensities() -> None:
    target = np.where(ball(), np.linspace(-1, 1, SHAPE[0])[:, None, None], 3.0)
    made = np.full(SHAPE, -2.5)  # soft intensity below the linear part, darker than all of the target's brain
    made[20:] = 0.0
    images = Catalogue(blob("left"), ball(), target)
    [found] = make_examples(images, Told(made), [row("i0")], "draft")  # type: ignore[arg-type]
    low, high = np.percentile(target[ball()], (0.5, 99.5))
    expected = np.clip((target - low) / (high - low), 0, 1)
    np.testing.assert_allclose(found.target[ball()], expected[ball()], atol=1e-6)
    assert (found.made[:20] == 0).all()
    np.testing.assert_allclose(found.made[20:], -low / (high - low), atol=1e-6)
    assert found.target[~ball()].min() == 1  # bright fat beyond the window is white


def test_what_is_made_lies_on_the_persons_side_that_it_was_made_on() -> None:
    images = Catalogue(blob("left"), ball(), blob("left"))
    [found] = make_examples(images, Told(blob("left")), [row("i0")], "draft")  # type: ignore[arg-type]
    for volume in (found.source, found.made, found.target):
        left, right = volume[:20], volume[20:]
        assert left[:, 22:26, 16:20].max() > right.max()


def test_an_image_that_is_gone_and_a_wrong_shape_are_refused() -> None:
    images = Catalogue(ball(), ball(), blob("left"))
    with pytest.raises(ModelError, match="i9 of task"):
        make_examples(images, Told(ball()), [row("i9")], "draft")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="for a target of"):
        make_examples(images, Told(ball()[1:]), [row("i0")], "draft")  # type: ignore[arg-type]


def test_real_people_come_first_then_the_order_of_tasks() -> None:
    rows = [{"task": task, "is_simulated": simulated} for simulated in (True, False) for task in ("b", "a")]
    found = in_order(rows, ("a", "b"))
    assert [(each["is_simulated"], each["task"]) for each in found] == [
        (False, "a"),
        (False, "b"),
        (True, "a"),
        (True, "b"),
    ]
