"""What the tests of evaluation share."""

from __future__ import annotations

import pytest

from tests.model.evaluation.native_home import add_native
from tests.model.tiny_home import make_tiny_home
from warehouse.lake.home import Home


@pytest.fixture(scope="session")
def native_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Forty people; the test people, three of them internal, have native stores and files; write only events to it."""
    folder = tmp_path_factory.mktemp("native")
    return add_native(make_tiny_home(folder / "home", 40), folder / "data")
