"""`tumsyn models` lists and shows models, and changes the champion; SQL shows it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.networks import weights
from tests.model.tiny_models import save_synthesis
from tests.pipelines.conftest import Command
from tests.warehouse.catalog.test_model_registry import FIRST
from tests.warehouse.catalog.test_promotion import judged, known, verdict
from warehouse.catalog import model_registry, promotion
from warehouse.lake.home import Home


def test_weights_that_ship_are_named_where_models_are_listed(
    tumsyn: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "ships with this version" not in tumsyn("models", "list").output
    other = Home(tmp_path / "other")
    model_id = save_synthesis(other)
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "weights")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "synthesis").symlink_to(other.models / model_id)
    listed = tumsyn("models", "list")
    assert listed.exit_code == 0, listed.output
    assert f"synthesis {model_id} ships with this version" in listed.output
    assert "text encoder" not in listed.output


@pytest.fixture
def two(home: Home) -> tuple[str, str]:
    """Two models that passed their gates; the first is champion, and the second was not compared with it."""
    first, second = save_synthesis(home), save_synthesis(home, seed=2)
    known(home, first, second)
    for model_id in (first, second):
        judged(home, model_id, verdict())
    promotion.promote(home, first, "the first one")
    return first, second


@pytest.mark.slow
def test_a_promotion_is_refused_until_its_gates_pass_or_a_person_overrides_them(
    tumsyn: Command, home: Home, two: tuple[str, str]
) -> None:
    first, second = two
    refused = tumsyn("models", "promote", second[:8], "--reason", "it is sharper")
    assert refused.exit_code == 1
    assert f"it was not compared with champion {first}" in refused.stderr.replace("\n", " ")
    assert "--despite-gates" in refused.stderr
    done = tumsyn("models", "promote", second[:8], "--reason", "it is sharper", "--despite-gates")
    assert done.exit_code == 0, done.output
    assert f"{second} is the champion" in done.stderr
    again = tumsyn("models", "promote", second, "--reason", "it is sharper")
    assert again.exit_code == 0
    assert "already; nothing changed" in again.stderr
    assert second in tumsyn("sql", "--query", "champions", "--format", "csv").stdout
    shown = tumsyn("models", "show", "champion").stdout
    for words in (second, "3 mm", "draft", "one was measured", "assign by person: it is sharper (despite its gates"):
        assert words in shown
    assert "former champion" in tumsyn("models", "show", first).stdout


@pytest.mark.slow
def test_cleaning_up_leaves_the_folders_of_champions_and_their_predecessors(
    tumsyn: Command, home: Home, two: tuple[str, str]
) -> None:
    first, second = two
    promotion.promote(home, second, "a test", despite_gates=True)
    assert tumsyn("models", "rollback", "--reason", "it blurs").exit_code == 0
    assert tumsyn("volumes", "gc", "--yes").exit_code == 0
    assert {path.name for path in home.models.iterdir()} == {first, second}


@pytest.mark.slow
def test_a_rollback_is_one_command_and_sql_shows_it(tumsyn: Command, home: Home, two: tuple[str, str]) -> None:
    first, second = two
    promotion.promote(home, second, "a test", despite_gates=True)
    for _ in range(2):
        done = tumsyn("models", "rollback", "--reason", "it blurs", "--from", second)
        assert done.exit_code == 0, done.output
        assert f"{first} is the champion" in done.stderr
    assert "nothing changed" in done.stderr
    told = tumsyn("sql", "--query", "promotions", "--format", "csv").stdout
    assert "rolled back" in told
    assert "it blurs" in told
    refused = tumsyn("models", "rollback", "--reason", "it blurs, too")
    assert refused.exit_code == 1
    assert f"champion {first} has no predecessor" in refused.stderr.replace("\n", " ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["promote", "f" * 16, "--reason", "x"], 1, "there is no model"),
        (["promote", FIRST], 2, "--reason"),
        (["promote", FIRST, "--reason", " "], 1, "no reason is given"),
        (["rollback"], 2, "--reason"),
        (["rollback", "--reason", "x", "--kind", "text_encoder"], 1, "no champion of kind text_encoder"),
        (["rollback", "--reason", "x", "--kind", "oracle"], 2, "oracle"),
        (["rollback", "--reason", "x", "--grid", "2"], 1, "grid 2 mm"),
        (["rollback", "--reason", "x", "--from", "e" * 16], 1, "there is no model"),
        (["show", "e" * 16], 1, "there is no model"),
        (["show", "champion", "--kind", "text_encoder"], 1, "no champion of kind text_encoder"),
    ],
)
@pytest.mark.usefixtures("two")
def test_bad_words_are_refused_and_change_nothing(
    tumsyn: Command, home: Home, words: list[str], status: int, message: str
) -> None:
    before = model_registry.statements(home, model_registry.EVENT)
    refused = tumsyn("models", *words)
    assert refused.exit_code == status
    assert message in refused.stderr.replace("\n", " ")
    assert model_registry.statements(home, model_registry.EVENT) == before


@pytest.mark.slow
def test_a_model_that_this_version_cannot_load_is_not_put_back(
    tumsyn: Command, home: Home, two: tuple[str, str]
) -> None:
    first, second = two
    promotion.promote(home, second, "a test", despite_gates=True)
    weights_file = home.models / first / "model.safetensors"
    weights_file.write_bytes(weights_file.read_bytes()[:-1] + b"x")
    refused = tumsyn("models", "rollback", "--reason", "it blurs")
    assert refused.exit_code == 1
    assert "its hash differs" in refused.stderr.replace("\n", " ")
    assert model_registry.champion(home, "synthesis") == second
