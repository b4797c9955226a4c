"""What is compared with what: a mirrored target, a shifted grid, another mask or an absent file shows in figures."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from model.data.catalogue import CatalogueImages, Item
from model.evaluation.baselines import BASELINES, RESCAN
from model.evaluation.evaluate import evaluate
from model.evaluation.pairs import TestPair as Pair  # pytest would collect it by its name
from model.evaluation.pairs import draw_pairs
from model.evaluation.references import PooledMaps, figures
from model.evaluation.scenes import has_files, native_scene, session_scene, synthesise
from tests.model.evaluation.fakes import Constant, Identity, Perfect, protocol
from tests.model.evaluation.native_home import rewrite, to_session
from warehouse.errors import ModelError
from warehouse.imaging.geometry import Grid
from warehouse.lake.home import Home
from warehouse.volumes import open_store

TASK = "T2w_to_FLAIR"  # from a sagittal grid to a coronal one
MODEL = "0123456789abcdef"


@pytest.fixture(scope="module")
def images(native_home: Home) -> CatalogueImages:
    return CatalogueImages.open(native_home, "draft", ["test_internal", "train"])


@pytest.fixture(scope="module")
def pair(images: CatalogueImages) -> Pair:
    return draw_pairs(images, [TASK], "test_internal", 1, is_simulated=True)[0]


@pytest.fixture
def target(images: CatalogueImages, pair: Pair, tmp_path: Path) -> Any:
    """A copy of the target's native store; what the test does to it ends with the test."""
    item = images.items[pair.target]
    kept = tmp_path / "kept.zarr"
    shutil.copytree(item.native_path, kept)
    yield item
    shutil.rmtree(item.native_path)
    shutil.copytree(kept, item.native_path)


def score(home: Home, images: CatalogueImages, pair: Pair, metric: str = "psnr_db") -> float:
    """Return what a model that knows the true target gets."""
    model, scene = Perfect(home), native_scene(images, pair)
    made = synthesise(model, scene, images.items[pair.target].record)
    return figures(made, scene)[metric, "brain"]


def test_a_native_scene_is_on_the_target_files_own_grid_and_scale(images: CatalogueImages, pair: Pair) -> None:
    scene, item = native_scene(images, pair), images.items[pair.target]
    assert item.file is not None
    file: Any = nib.load(item.file)
    assert scene.grid.shape == file.shape
    np.testing.assert_allclose(scene.grid.affine, file.affine)
    inside = scene.truth[scene.brain]
    # One spread is the distance from the 10th to the 90th percentile of the brain on the session's grid.
    assert np.median(inside) == pytest.approx(0.0, abs=0.25)  # a coarse grid blurs its edges
    assert np.ptp(np.percentile(inside, (10, 90))) == pytest.approx(1.0, abs=0.4)
    assert scene.files == tuple(images.items[index].file for index in pair.sources)
    assert scene.voxel_size_mm == pytest.approx((2.6, 2.6, 3.9), abs=1e-6)


def test_worlds_are_joined_over_the_session(images: CatalogueImages, pair: Pair) -> None:
    scene, (source, other) = native_scene(images, pair), (images.items[index] for index in (*pair.sources, pair.target))
    point = np.array([10.0, -20.0, 5.0, 1.0])
    in_session = to_session(source.image_id) @ point
    np.testing.assert_allclose(to_session(other.image_id) @ (scene.to_target[0] @ point), in_session, atol=1e-9)


def test_sources_lie_on_the_target_as_in_the_session(images: CatalogueImages, pair: Pair) -> None:
    scene = native_scene(images, pair)
    blob = scene.truth > np.percentile(scene.truth[scene.brain], 97)  # the bright spot on the right
    centre = np.argwhere(blob & scene.brain).mean(axis=0)
    assert (scene.grid.affine @ np.append(centre, 1))[0] > 0
    no_signal = images.items[pair.sources[0]].scale.linear(np.zeros(1))[0]
    brain = scene.sources[0] > no_signal / 2  # the heads are stripped
    assert 2 * (brain & scene.brain).sum() / (brain.sum() + scene.brain.sum()) > 0.9


def test_the_truth_is_linear_and_the_same_in_both_forms(images: CatalogueImages, pair: Pair) -> None:
    session, item = session_scene(images, pair), images.items[pair.target]
    stored = open_store(item.path)[...].astype(np.float64)
    np.testing.assert_allclose(session.truth, item.scale.linear(stored), atol=1e-4)
    native = native_scene(images, pair)
    for share in (25, 50, 75):
        here, there = (np.percentile(one.truth[one.brain], share) for one in (session, native))
        assert here == pytest.approx(there, abs=0.25)


def test_knowing_the_target_is_worth_most(native_home: Home, images: CatalogueImages, pair: Pair) -> None:
    assert score(native_home, images, pair) > 55


def test_a_mirrored_target_is_another_target(
    native_home: Home, images: CatalogueImages, pair: Pair, target: Item
) -> None:
    made = synthesise(Perfect(native_home), native_scene(images, pair), target.record)
    mirror(target)
    mirrored = native_scene(images, pair)
    assert figures(made, mirrored)["psnr_db", "brain"] < 25
    assert figures(made[::-1], mirrored)["psnr_db", "brain"] > 55


def mirror(item: Item) -> None:
    """Turn left and right of a store round, as a wrong sign in an affine does."""
    store = open_store(item.native_path)
    assert store.mask is not None
    rewrite(item.native_path, voxels=store[...][::-1].copy(), mask=store.mask[...][::-1].copy())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_grid_that_is_shifted_by_a_voxel_shows(
    native_home: Home, images: CatalogueImages, pair: Pair, target: Item, axis: int
) -> None:
    """The model is told where the target's grid is; the real voxels lie one further."""
    model, honest = Perfect(native_home), native_scene(images, pair)
    made = synthesise(model, honest, target.record)
    affine = honest.grid.affine.copy()
    affine[:3, 3] += affine[:3, axis]
    moved = synthesise(model, replace(honest, grid=Grid(honest.grid.shape, affine)), target.record)
    assert figures(made, honest)["psnr_db", "brain"] > figures(moved, honest)["psnr_db", "brain"] + 25


def test_a_wrong_transform_to_the_session_shows(
    native_home: Home, images: CatalogueImages, pair: Pair, target: Item
) -> None:
    before = native_scene(images, pair)
    known = figures(before.sources[0], before)["psnr_db", "brain"]
    wrong = np.diag([-1.0, 1.0, 1.0, 1.0]) @ to_session(target.image_id)  # left is right
    step = {"kind": "native_to_session", "matrix": wrong.tolist()}
    rewrite(target.native_path, attributes=dict(open_store(target.native_path).attributes) | {"transforms": [step]})
    after = native_scene(images, pair)
    assert figures(after.sources[0], after)["psnr_db", "brain"] < known - 0.3
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(before.to_target[0], after.to_target[0])


def test_only_the_brain_of_the_real_target_counts(
    native_home: Home, images: CatalogueImages, pair: Pair, target: Item
) -> None:
    scene = native_scene(images, pair)
    outside = np.where(scene.brain, scene.truth, scene.truth + 5)
    assert figures(outside, scene)["mae", "brain"] == 0
    assert figures(outside, scene)["mae", "volume"] > 1
    rewrite(target.native_path, mask=np.ones(scene.truth.shape, np.uint8))
    whole = native_scene(images, pair)
    assert whole.brain.all()
    assert figures(outside, whole)["mae", "brain"] > 1


def test_a_store_without_mask_or_transform_is_refused(images: CatalogueImages, pair: Pair, target: Item) -> None:
    rewrite(target.native_path, attributes=dict(open_store(target.native_path).attributes) | {"transforms": []})
    with pytest.raises(ModelError, match="no transform to its session"):
        native_scene(images, pair)


def test_a_model_is_given_files_records_and_where_they_lie(images: CatalogueImages, pair: Pair) -> None:
    told: dict[str, Any] = {}

    class Listening(Constant):
        def scan(self, *positional: Any, **named: Any) -> Any:
            told.update(named, files=positional[0], records=positional[1], target=positional[2])
            return super().scan(*positional, **named)

    scene = native_scene(images, pair)
    synthesise(Listening(), scene, images.items[pair.target].record)
    assert told["files"] == [images.items[pair.sources[0]].file]
    assert told["records"] == [images.items[pair.sources[0]].record]
    assert told["target"] == images.items[pair.target].record
    assert told["like"] == scene.grid
    np.testing.assert_array_equal(told["to_like"][0], scene.to_target[0])


@pytest.fixture
def hidden(images: CatalogueImages, pair: Pair) -> Any:
    """The source's file is gone while a test runs."""
    file = images.items[pair.sources[0]].file
    assert file is not None
    file.rename(file.with_suffix(".away"))
    yield file
    file.with_suffix(".away").rename(file)


def test_a_pair_whose_file_is_gone_has_no_native_figure_and_is_counted(
    native_home: Home, images: CatalogueImages, pair: Pair, hidden: Path
) -> None:
    assert not has_files(images, pair)
    found = evaluate(native_home, Constant(), MODEL, protocol(tasks=(TASK,)))
    target = images.items[pair.target].image_id
    assert found.n_files_absent == 1
    assert {row["form"] for row in found.scores if row["target_image_id"] == target} == {"session"}
    assert "native" in {row["form"] for row in found.scores}


class Choosy(Constant):
    """Finds no brain in some files."""

    refuses: Path

    def scan(self, images: Any, *positional: Any, **named: Any) -> Any:
        if images[0] == self.refuses:
            raise ModelError("no brain was found", "give its mask")
        return super().scan(images, *positional, **named)


def test_a_scan_that_the_user_path_refuses_is_said_and_stops_nothing(
    native_home: Home, images: CatalogueImages, pair: Pair
) -> None:
    model = Choosy()
    model.refuses = images.items[pair.sources[0]].file or Path()
    found = evaluate(native_home, model, MODEL, protocol(tasks=(TASK,)))
    [refused] = found.refused
    assert "no brain was found" in refused
    assert images.items[pair.target].image_id in refused
    target = images.items[pair.target].image_id
    native = [row for row in found.scores if row["form"] == "native"]
    assert [row["metric"] for row in native if row["target_image_id"] == target] == ["refused"]
    assert len(native) > 1
    counted = {(one.form, one.task): one.n_pairs for one in found.tested if one.split == "test_internal"}
    assert counted["native", TASK] == counted["session", TASK] - 1


def test_the_pooled_map_never_mixes_real_and_simulated_people(images: CatalogueImages) -> None:
    train = [item for item in images.items if item.split == "train"]
    real = {train[0].person_id, train[-1].person_id, train[len(train) // 2].person_id}
    items = [replace(item, is_simulated=item.person_id not in real) for item in images.items]
    mixed = replace(images, items=items)
    maps, drawn = PooledMaps(mixed, protocol()), []
    mixed.volume = lambda index: drawn.append(items[index].is_simulated) or images.volume(index)  # type: ignore[method-assign,func-returns-value]
    for is_simulated in (False, True):
        drawn.clear()
        assert maps.of("T1w_to_T2w", is_simulated=is_simulated) is not None
        assert set(drawn) == {is_simulated}
    everybody_simulated = PooledMaps(images, protocol())
    assert everybody_simulated.of("T1w_to_T2w", is_simulated=False) is not None  # there is no other
    assert everybody_simulated.of("T1w_to_angio", is_simulated=True) is None


@pytest.mark.slow
def test_a_second_scan_of_a_person_is_the_ceiling(native_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    known = CatalogueImages.open(native_home, "draft", ["test_internal"])
    indices = [index for index, item in enumerate(known.items) if item.contrast_label == "T2w"][:2]
    again = Pair("T2w_to_T2w", "test_internal", (indices[0],), indices[1])

    def repeated(images: CatalogueImages, limit: int, splits: object) -> list[Pair]:
        return [_in(images, known, again)] if limit else []

    module = "model.evaluation.evaluate"
    monkeypatch.setattr(f"{module}.repeat_scans", repeated)
    monkeypatch.setattr(f"{module}.rescan", lambda target, other: _linear(known.items[indices[1]]) + 0.1)
    found = evaluate(native_home, Identity(native_home), MODEL, protocol(tasks=("T1w_to_T2w",)))
    rows = [row for row in found.scores if row["model_id"] == RESCAN]
    assert {(row["task"], row["form"], row["split"]) for row in rows} == {("T2w_to_T2w", "native", "test_internal")}
    figures = {(row["metric"], row["mask"]): row["value"] for row in rows}
    assert figures["mae", "brain"] < 0.1 < figures["psnr_db_fitted", "brain"] / 100
    assert {row["model_id"] for row in found.scores if row["task"] == "T2w_to_T2w"} == {RESCAN}
    assert RESCAN not in BASELINES


def _in(images: CatalogueImages, known: CatalogueImages, pair: Pair) -> Pair:
    """Return a pair with the places that its images have in another list."""
    place = {item.image_id: number for number, item in enumerate(images.items)}
    source, target = (place[known.items[index].image_id] for index in (*pair.sources, pair.target))
    return replace(pair, sources=(source,), target=target)


def _linear(item: Item) -> np.ndarray:
    return item.scale.linear(open_store(item.native_path)[...].astype(np.float32))
