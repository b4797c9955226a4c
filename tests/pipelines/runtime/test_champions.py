"""A protocol evaluates the champions of its recipe and grid; the others are named with the reason, and are no error."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.runtime.champions import evaluable_champions
from tests.model.tiny_home import RECIPE, make_tiny_home
from tests.pipelines.trained_home import MODEL, copy_of, record_model
from warehouse.catalog import model_registry
from warehouse.errors import ModelError
from warehouse.lake.home import Home

NOW = datetime(2026, 6, 7, tzinfo=UTC)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_tiny_home(tmp_path_factory.mktemp("tiny") / "home", 4)


@pytest.fixture
def place(template: Home, tmp_path: Path) -> Home:
    return copy_of(template, tmp_path / "copy")


def other_champion(home: Home, **served: object) -> str:
    """Record a champion that serves another grid or recipe; return its identity."""
    facts = {"run_id": "r", "kind": "synthesis", "data_id": "d", "path": "p", "n_parameters": 1, "size_bytes": 1}
    known = {"model_id": "b" * 16, "is_simulated": True, "grid_mm": 3.0, "recipe_id": RECIPE}
    model_registry.record(home, "core.model_version", [facts | known | served])
    event = {"kind": "synthesis", "alias": "champion", "action": "assign", "reason": "a test"}
    model_registry.record(home, "core.model_event", [{"model_id": "b" * 16, **event}])
    return "b" * 16


@pytest.mark.slow
@pytest.mark.parametrize(
    ("served", "words"), [({"recipe_id": "0" * 16}, "recipe 0000000000000000"), ({"grid_mm": 1.0}, "at 1 mm")]
)
def test_a_champion_of_another_recipe_or_grid_is_left_out_with_the_reason(
    place: Home, served: dict[str, object], words: str
) -> None:
    record_model(place, [], NOW)
    other = other_champion(place, **served)
    fit, skipped = evaluable_champions(place, "demo")
    assert fit == [MODEL]
    assert skipped.keys() == {other}
    assert words in skipped[other]
    assert "retraining.protocol" in skipped[other]


@pytest.mark.slow
def test_a_protocol_whose_recipe_made_no_volume_evaluates_none(place: Home) -> None:
    record_model(place, [], NOW)
    fit, skipped = evaluable_champions(place, "standard")
    assert fit == []
    assert "no volumes by recipe 'standard'" in skipped[MODEL]


def test_a_champion_of_an_unknown_recipe_is_tried(place: Home) -> None:
    other_champion(place, recipe_id=None, grid_mm=None)
    assert evaluable_champions(place, "standard") == (["b" * 16], {})


def test_an_unknown_protocol_is_an_error(place: Home) -> None:
    with pytest.raises(ModelError, match="no-such"):
        evaluable_champions(place, "no-such")
