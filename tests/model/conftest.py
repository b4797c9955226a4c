"""What the tests of models share."""

from __future__ import annotations

import pytest

from tests.model.tiny_home import make_tiny_home
from warehouse.home import Home


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Fourteen people with a few harmonised contrasts each, published once; write only events to it."""
    return make_tiny_home(tmp_path_factory.mktemp("tiny") / "home")
