"""An evaluation and its report are of one catalogue each, whatever is published meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from model.networks import weights
from pipelines.runtime.evaluation import Evaluated, data_in_force, evaluate_synthesis, evaluate_text_encoder
from pipelines.runtime.reports import headline, report_problems, rewrite_report, write_report
from tests.model.evaluation.test_champion_encoder import saved
from tests.model.tiny_home import RECIPE, make_tiny_home
from tests.model.tiny_models import save_synthesis
from tests.pipelines.runtime.test_training_process import PROTOCOL
from tests.warehouse.catalog.test_model_registry import version
from warehouse.catalog import model_registry, promotion, snapshots, verdicts
from warehouse.catalog.publish import publish
from warehouse.errors import ModelError
from warehouse.lake import parts
from warehouse.lake.home import Home
from warehouse.tables import HARMONIZED, PARTITIONED

NOBODY = {"people": [], "scans": []}
Told = Callable[[int, int, str], None]


def external_people_leave(home: Home) -> None:
    """Publish a catalogue without the external centre, whose people are tested."""
    for tables, stage in ((PARTITIONED, "ingest"), (HARMONIZED, "harmonize")):
        nothing = {table.name: table.rows([]) for table in tables}
        parts.commit_center(home, "omega", nothing, {"made": "again"}, stage)  # type: ignore[arg-type]
    publish(home)


def publishing(home: Home) -> Told:
    """Return a report of progress at whose first call other data are published."""
    is_done = []

    def told(done: int, total: int, what: str) -> None:
        if not is_done:
            is_done.append(True)
            external_people_leave(home)

    return told


@dataclass(frozen=True)
class Disturbed:
    """Evaluations during which other data were published, and what was in force before."""

    home: Home
    protocol: str
    before: str
    data_id: str
    champion: str
    found: Evaluated


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Disturbed:
    """A candidate that was evaluated and compared with the champion; the external people left meanwhile."""
    folder = tmp_path_factory.mktemp("disturbed")
    home, protocol = make_tiny_home(folder / "home", 12), folder / "quick.yaml"
    protocol.write_text(yaml.safe_dump(PROTOCOL | {"tasks": ["T1w_to_T2w"], "max_behaviour_pairs": 1}))
    champion, candidate = (save_synthesis(home, recipe_id=RECIPE, trained_on=NOBODY, seed=seed) for seed in (1, 2))
    rows = [version(name) | {"grid_mm": 3.0, "recipe_id": RECIPE} for name in (champion, candidate)]
    model_registry.record(home, model_registry.VERSION, rows)
    promotion.promote(home, champion, "a test", despite_gates=True)
    publish(home)
    before, data_id = str(snapshots.in_force(home)), data_in_force(home)
    found = evaluate_synthesis(home, candidate, str(protocol), publishing(home), device="cpu")
    assert data_in_force(home) != data_id
    return Disturbed(home, str(protocol), before, data_id, champion, found)


@pytest.mark.slow
def test_everything_of_an_evaluation_is_of_the_snapshot_that_it_began_with(disturbed: Disturbed) -> None:
    found = disturbed.found
    assert found.snapshot_id == disturbed.before
    assert {row["data_id"] for row in (*found.scores, *found.verdicts)} == {disturbed.data_id}
    [comparison] = [row for row in found.verdicts if row["gate"] in verdicts.COMPARISONS]
    assert comparison["against_id"] == disturbed.champion
    assert "test_external" in {one.split for one in found.summaries}  # of the people who have left


@pytest.mark.slow
def test_an_evaluation_records_the_snapshot_that_it_read_and_keeps_it_only_meanwhile(disturbed: Disturbed) -> None:
    rows = verdicts.recorded(disturbed.home, disturbed.found.model_id)
    assert len(rows) == len(disturbed.found.verdicts)
    assert {row["snapshot_id"] for row in rows} == {disturbed.before}
    pins = model_registry.statements(disturbed.home, snapshots.PINS)
    held = {(row["snapshot_id"], row["referrer"], row["action"]) for row in pins}
    readers = [f"{what}:{disturbed.found.evaluation_id}" for what in ("evaluation", "comparison")]
    assert held == {(disturbed.before, name, action) for name in readers for action in ("pin", "unpin")}
    assert snapshots.pinned(disturbed.home) == {}


@pytest.mark.slow
def test_its_report_shows_the_people_who_were_tested_although_some_have_left(disturbed: Disturbed) -> None:
    home, evaluation_id, protocol = disturbed.home, disturbed.found.evaluation_id, disturbed.protocol
    published = publish(home).snapshot_id
    asked = {"evaluation_id": evaluation_id, "snapshot": published}
    page = write_report(home, disturbed.found.model_id, protocol, **asked, device="cpu")
    assert page.parent.name == evaluation_id
    assert report_problems(home, page, evaluation_id, protocol, published) == []
    assert "omega" in page.read_text()
    assert "of centres that it never saw" in headline(home, page, protocol)
    text = page.read_text()
    assert write_report(home, disturbed.found.model_id, protocol, device="cpu") == page  # as a person asks for it
    assert rewrite_report(home, page, protocol).read_text() == text


@pytest.mark.slow
def test_a_report_whose_data_are_kept_no_more_shows_those_in_force(disturbed: Disturbed, tmp_path: Path) -> None:
    publish(disturbed.home)
    gone = snapshots.path(disturbed.home, disturbed.before)
    content = gone.read_bytes()
    gone.unlink()
    try:
        page = write_report(disturbed.home, disturbed.found.model_id, disturbed.protocol, snapshot=disturbed.before)
        assert "omega" not in page.read_text()
    finally:
        gone.write_bytes(content)


@pytest.mark.slow
def test_weights_that_ship_are_evaluated_where_the_model_that_they_began_with_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, protocol = make_tiny_home(tmp_path / "home", 4), tmp_path / "quick.yaml"
    protocol.write_text(yaml.safe_dump(PROTOCOL | {"tasks": ["T1w_to_T2w"], "max_behaviour_pairs": 0}))
    model_id = save_synthesis(home, recipe_id=RECIPE, trained_on=NOBODY, init="f" * 16)
    with pytest.raises(ModelError, match="f" * 16):  # a model of this home says with what it should be compared
        evaluate_synthesis(home, model_id, str(protocol), lambda *_: None, device="cpu")
    shutil.move(home.models / model_id, tmp_path / "shipped" / "synthesis")
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")
    found = evaluate_synthesis(home, "shipped", str(protocol), lambda *_: None, device="cpu")
    assert found.model_id == model_id
    assert "better_than_start" not in {row["gate"] for row in found.verdicts}


@pytest.mark.slow
def test_a_text_encoder_is_measured_and_compared_on_the_snapshot_that_it_began_with(tmp_path: Path) -> None:
    home = make_tiny_home(tmp_path / "home", 12)
    first, second = (saved(home, seed, trained_on=NOBODY, grid_mm=3.0).name for seed in (1, 2))
    known = [version(name, "text_encoder") | {"grid_mm": 3.0, "recipe_id": RECIPE} for name in (first, second)]
    model_registry.record(home, model_registry.VERSION, known)
    promotion.promote(home, first, "a test", despite_gates=True)
    publish(home)
    before, data_id = snapshots.in_force(home), data_in_force(home)
    found = evaluate_text_encoder(home, second, "quick", publishing(home), device="cpu")
    assert found.snapshot_id == before
    assert data_in_force(home) != data_id
    assert {row["data_id"] for row in (*found.scores, *found.verdicts)} == {data_id}
    assert {row["snapshot_id"] for row in found.verdicts} == {before}
    assert "test_external" in {row["split"] for row in found.scores}
