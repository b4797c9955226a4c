"""The model that is named is used, else the champion, else the one that ships; a wrong name says what there is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from model.networks import weights
from model.networks.checkpoint import CONFIG
from model.networks.weights import choose, resolve
from tests.model.tiny_models import save_synthesis, save_text_encoder
from warehouse.catalog import model_registry, promotion
from warehouse.errors import ModelError
from warehouse.lake.home import Home


def crown(home: Home, model_id: str) -> None:
    row = {"model_id": model_id, "kind": "synthesis", "alias": "champion", "action": "assign", "reason": "a test"}
    model_registry.record(home, "core.model_event", [row])


def test_a_model_is_found_by_its_identity_its_beginning_and_its_path(home: Home) -> None:
    model_id = save_synthesis(home)
    for name in (model_id, model_id[:6], str(home.models / model_id)):
        assert resolve(home, name, "synthesis") == home.models / model_id
    assert resolve(home, home.models / model_id, "synthesis") == home.models / model_id


def test_the_champion_is_used_where_none_is_named(home: Home) -> None:
    first, second = save_synthesis(home), save_synthesis(home, seed=2)
    crown(home, second)
    assert resolve(home, None, "synthesis").name == second
    assert resolve(home, "champion", "synthesis").name == second
    assert resolve(home, first, "synthesis").name == first


def test_weights_that_ship_are_used_where_there_is_no_champion(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model_id = save_synthesis(home)
    shutil.move(home.models / model_id, tmp_path / "shipped" / "synthesis")
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")
    assert resolve(home, None, "synthesis") == tmp_path / "shipped" / "synthesis"
    for name in (model_id, model_id[:6]):
        assert resolve(home, name, "synthesis") == tmp_path / "shipped" / "synthesis"
    with pytest.raises(ModelError, match="no champion"):
        resolve(home, "champion", "synthesis")


def test_without_any_model_it_is_said_how_to_train_one(home: Home) -> None:
    with pytest.raises(ModelError, match="no champion") as refusal:
        resolve(home, None, "text_encoder")
    assert "tumsyn train text-encoder" in refusal.value.remedy


def test_an_unknown_name_is_refused_with_the_known_ones(home: Home) -> None:
    model_id = save_synthesis(home)
    (home.models / "broken").mkdir()
    (home.models / "broken" / CONFIG).write_text("{")
    for name in ("nothing", "", "../models"):
        with pytest.raises(ModelError, match="there is no model") as refusal:
            resolve(home, name, "synthesis")
        assert model_id in refusal.value.remedy


def test_a_model_of_another_kind_is_refused(home: Home) -> None:
    with pytest.raises(ModelError, match="of kind text_encoder, not synthesis"):
        resolve(home, save_text_encoder(home), "synthesis")


def test_a_champion_whose_folder_is_gone_is_refused(home: Home) -> None:
    model_id = save_synthesis(home)
    crown(home, model_id)
    shutil.rmtree(home.models / model_id)
    with pytest.raises(ModelError, match="absent"):
        resolve(home, None, "synthesis")


def serving(home: Home, model_id: str, grid_mm: float) -> None:
    """Record the grid of a model, as its training does."""
    row = {"model_id": model_id, "kind": "synthesis", "run_id": "r" * 16, "data_id": "d" * 16, "grid_mm": grid_mm}
    row |= {"path": f"models/{model_id}", "n_parameters": 1, "size_bytes": 1, "is_simulated": True}
    model_registry.record(home, model_registry.VERSION, [row | {"recipe_id": f"recipe of {grid_mm}"}])


def test_a_model_of_a_coarse_grid_never_serves_a_fine_scan_unless_it_is_named(home: Home) -> None:
    coarse = save_synthesis(home)
    serving(home, coarse, 3.0)
    crown(home, coarse)
    assert resolve(home, None, "synthesis", voxel_mm=3.0).name == coarse
    with pytest.raises(ModelError, match=f"voxels of 1 mm; this home has {coarse} on 3 mm") as refusal:
        resolve(home, None, "synthesis", voxel_mm=1.0)
    assert "--model" in refusal.value.remedy
    assert resolve(home, coarse, "synthesis", voxel_mm=1.0).name == coarse


def test_weights_that_ship_serve_a_fine_scan_beside_a_coarse_champion(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped, coarse = save_synthesis(home, seed=5), save_synthesis(home)
    serving(home, coarse, 3.0)
    crown(home, coarse)
    shutil.move(home.models / shipped, tmp_path / "shipped" / "synthesis")
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")
    choice = choose(home, None, "synthesis", voxel_mm=0.9)
    assert choice.path == tmp_path / "shipped" / "synthesis"
    wanted = f"no champion of this home is fine enough for voxels of 0.9 mm: it has {coarse} on 3 mm"
    assert choice.reason == f"shipped weights; {wanted}"
    assert resolve(home, None, "synthesis", voxel_mm=3.0).name == coarse


def test_of_two_champions_the_one_nearer_to_the_scans_voxels_is_used(home: Home) -> None:
    coarse, fine = save_synthesis(home), save_synthesis(home, seed=2)
    serving(home, coarse, 3.0)
    serving(home, fine, 1.0)
    crown(home, coarse)
    crown(home, fine)
    assert resolve(home, None, "synthesis", voxel_mm=1.0).name == fine
    assert resolve(home, None, "synthesis", voxel_mm=3.0).name == coarse
    assert choose(home, None, "synthesis", voxel_mm=3.0).reason == (
        "champion of this home for the grid of 3 mm for voxels of 3 mm"
    )
    assert choose(home, coarse, "synthesis").reason == f"named as {coarse!r}"


@pytest.mark.slow
def test_after_a_rollback_the_previous_champion_of_that_grid_is_used_and_other_grids_are_not_touched(
    home: Home,
) -> None:
    coarse, newer, fine = (save_synthesis(home, seed=seed) for seed in (1, 2, 3))
    for model_id, grid_mm in ((coarse, 3.0), (newer, 3.0), (fine, 1.0)):
        serving(home, model_id, grid_mm)
        promotion.promote(home, model_id, "a test", despite_gates=True)
    assert resolve(home, None, "synthesis", voxel_mm=3.0).name == newer
    promotion.rollback(home, "synthesis", "it blurs", grid_mm=3.0)
    assert resolve(home, None, "synthesis", voxel_mm=3.0).name == coarse
    assert resolve(home, None, "synthesis", voxel_mm=1.0).name == fine


def test_a_champion_of_another_recipe_serves_scans_yet_no_training_of_this_recipe(home: Home) -> None:
    model_id = save_synthesis(home)
    serving(home, model_id, 3.0)
    crown(home, model_id)
    assert resolve(home, None, "synthesis", voxel_mm=3.0).name == model_id
    assert resolve(home, None, "synthesis", recipe="recipe of 3.0").name == model_id
    with pytest.raises(ModelError, match="no champion"):
        resolve(home, None, "synthesis", recipe="another")
