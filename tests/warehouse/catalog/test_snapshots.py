"""A snapshot is kept while something reads it, and its data can be read with what was recorded later."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from tests.warehouse.catalog.test_model_registry import FIRST, version
from tests.warehouse.catalog.test_publish import publish_more
from warehouse.catalog import model_registry, snapshots
from warehouse.catalog.query import Catalogue
from warehouse.errors import CatalogueError

READER = "evaluation:1"


@pytest.mark.slow
def test_a_snapshot_is_kept_only_while_it_is_held_also_where_the_reader_fails(small: Any) -> None:
    first = small.publish().snapshot_id
    with suppress(ZeroDivisionError), snapshots.held(small.home, first, READER):
        publish_more(small, 2, keep=1)
        assert first in snapshots.existing(small.home)
        raise ZeroDivisionError
    assert snapshots.pinned(small.home) == {}
    publish_more(small, 1, keep=1)
    assert first not in snapshots.existing(small.home)
    with pytest.raises(CatalogueError, match="no snapshot"), snapshots.held(small.home, first, READER):
        pass


@pytest.mark.slow
def test_a_reader_that_was_killed_leaves_a_pin_which_the_next_one_removes(small: Any) -> None:
    first = small.publish().snapshot_id
    snapshots.pin(small.home, first, READER)
    [second] = publish_more(small, 1)
    with snapshots.held(small.home, second, READER):
        pass
    assert snapshots.pinned(small.home) == {}


@pytest.mark.slow
def test_the_data_of_a_snapshot_are_read_with_the_events_of_a_later_one(small: Any) -> None:
    first = Catalogue(small.home, small.publish().snapshot_id)
    model_registry.record(small.home, model_registry.VERSION, [version(FIRST)])
    later = Catalogue(small.home, publish_more(small, 1)[0])
    counts = "SELECT (SELECT count(*) FROM core.participant), (SELECT count(*) FROM core.model_version)"
    asked = {"first": first.connect, "later": later.connect, "both": lambda: first.connect_with_events_of(later)}
    found = {}
    for name, connect in asked.items():
        with connect() as connection:
            found[name] = connection.execute(counts).fetchone()
            assert connection.execute("SELECT count(*) FROM out.image_catalog").fetchone() == (13,)
    assert found == {"first": (6, 0), "later": (7, 1), "both": (6, 1)}
