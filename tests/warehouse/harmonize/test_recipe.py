from __future__ import annotations

from pathlib import Path

import pytest

from warehouse.errors import TumsynError
from warehouse.harmonize.recipe import LATER, Recipe, load_recipe


def test_the_shipped_recipes_load_and_the_draft_says_that_it_is_one() -> None:
    standard, draft = load_recipe("standard"), load_recipe("draft")
    assert (standard.is_draft, standard.n4, standard.grid_mm, standard.mask_per) == (False, True, 1.0, "scan")
    assert (draft.is_draft, draft.n4, draft.grid_mm, draft.mask_per) == (True, False, 3.0, "session")


def test_another_parameter_is_another_recipe_and_another_name_is_not() -> None:
    assert Recipe(name="a", grid_mm=1.5).recipe_id != Recipe(name="a").recipe_id
    assert Recipe(name="b").recipe_id == Recipe(name="a").recipe_id


def test_the_identity_of_the_standard_recipe_stands_until_a_step_changes() -> None:
    assert load_recipe("standard").recipe_id == Recipe(name="standard").recipe_id == "48ab186cc1d06117"


@pytest.mark.parametrize("later", LATER)
def test_a_parameter_that_came_later_changes_the_identity_only_away_from_what_was_done_before(later: str) -> None:
    other = {"mask_network": "coarse", "mni_mm": 4, "converged_mm": 0.05}[later]
    assert Recipe.model_validate({"name": "a", later: LATER[later]}).recipe_id == Recipe(name="a").recipe_id
    assert Recipe.model_validate({"name": "a", later: other}).recipe_id != Recipe(name="a").recipe_id


def test_the_draft_works_more_coarsely_than_the_standard() -> None:
    standard, draft = load_recipe("standard"), load_recipe("draft")
    assert (standard.mask_network, draft.mask_network) == ("fine", "coarse")
    assert draft.register_mm > standard.register_mm
    assert draft.mni_mm > standard.mni_mm
    assert draft.converged_mm > standard.converged_mm


def test_a_users_own_recipe_is_read_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\ngrid_mm: 2\n")
    assert load_recipe(str(tmp_path / "mine.yaml")).grid_mm == 2


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("name: x\ngrid: 2\n", "grid"),
        ("name: x\ngrid_mm: -1\n", "grid_mm"),
        ("name: Bad Name\n", "name"),
        ("- a\n", "whole"),
    ],
)
def test_a_wrong_recipe_is_an_error_that_names_file_and_key(tmp_path: Path, text: str, key: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(TumsynError, match=key) as caught:
        load_recipe(str(tmp_path / "r.yaml"))
    assert "r.yaml" in caught.value.what
    assert caught.value.remedy


def test_an_unknown_recipe_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(TumsynError, match="nowhere") as caught:
        load_recipe("nowhere")
    assert "draft, standard" in caught.value.remedy
