"""What the tests of models share."""

from __future__ import annotations

import pytest
import torch

from model.networks import weights
from tests.model.tiny_home import make_tiny_home
from warehouse.lake.home import Home


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Fourteen people with a few harmonised contrasts each, published once; write only events to it."""
    return make_tiny_home(tmp_path_factory.mktemp("tiny") / "home")


@pytest.fixture(scope="session")
def peopled_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """As the tiny home, with forty people: three of them are internal test people; write only events to it."""
    return make_tiny_home(tmp_path_factory.mktemp("peopled") / "home", 40)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny networks wait for each other when tests run side by side with several threads each."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_weights_ship(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the weights that ship: what a test finds must not depend on them."""
    monkeypatch.setattr(weights, "SHIPPED", tmp_path_factory.getbasetemp() / "no weights")
