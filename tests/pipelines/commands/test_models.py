"""`tumsyn models` names the weights that ship beside those of the home."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.networks import weights
from tests.model.tiny_models import save_synthesis
from tests.pipelines.conftest import Command
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
