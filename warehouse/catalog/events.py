"""Open recorded events as tables, published or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from warehouse.catalog import sqlfiles
from warehouse.lake import parts
from warehouse.lake.home import Home
from warehouse.tables import TABLES

if TYPE_CHECKING:
    import duckdb


@contextmanager
def opened(home: Home, *names: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in memory with some tables of events that hold all appended records.

    Parameters
    ----------
    *names : str
        E.g. ``core.gate_verdict``.
    """
    import duckdb

    files = parts.event_files(home)
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA core")
        for name in names:
            connection.execute(TABLES[name].ddl())
            if files[name]:
                insert = f"INSERT INTO {name} BY NAME\n{sqlfiles.read('events')}"
                connection.execute(insert, {"files": [str(path) for path in files[name]]})
        yield connection
