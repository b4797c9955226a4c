"""Query the published catalogue: open a snapshot, and run untrusted SQL in a sandbox."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from warehouse.catalog import sqlfiles
from warehouse.catalog.snapshots import existing, in_force, path, pinned
from warehouse.errors import CatalogueError
from warehouse.lake.home import Home
from warehouse.tables import TABLES

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

SANDBOX = Path(__file__).with_name("sandbox.py")
REFUSED = 3
GRACE_S = 2.0  # after the time limit, until a process that ignores its interrupt is killed
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


class Catalogue:
    """One snapshot, opened read-only: by default the one in force.

    The snapshot is resolved once: later publications do not affect this object.

    Parameters
    ----------
    home : Home
    snapshot : str, optional
        Identity of a kept snapshot, or a unique prefix of it.

    Raises
    ------
    CatalogueError
        When nothing is published, or there is no such snapshot.
    """

    def __init__(self, home: Home, snapshot: str | None = None) -> None:
        self.snapshot_id = _resolve(home, snapshot)
        self.path = path(home, self.snapshot_id)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a read-only connection for trusted code; it neither blocks publishers nor waits for them."""
        import duckdb

        return duckdb.connect(str(self.path), read_only=True)

    def connect_with_events_of(self, later: Catalogue) -> duckdb.DuckDBPyConnection:
        """Return a connection for trusted code to the data of this snapshot and the events of a later one.

        An evaluation is recorded after it has read a snapshot. If other data were published meanwhile, no single
        snapshot has both the images that it measured and its figures.

        Parameters
        ----------
        later : Catalogue
            Of the same home.
        """
        import duckdb

        connection = duckdb.connect()
        places = {"data": self, "events": later}
        for name, catalogue in places.items():
            file = str(catalogue.path).replace("'", "''")
            connection.execute(f"ATTACH '{file}' AS {name} (READ_ONLY)")
        known = connection.execute("SELECT database_name, schema_name, table_name FROM duckdb_tables()").fetchall()
        for database, schema, table in known:
            name = f"{schema}.{table}"
            is_event = name in TABLES and TABLES[name].origin == "event"
            if is_event == (database == "events"):
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
                connection.execute(f"CREATE VIEW {name} AS FROM {database}.{name}")
        return connection

    def query(self, sql: str, *, timeout_s: float = 30, memory_limit: str = "1GB") -> pa.Table:
        """Run one read-only statement in a process that can access only this snapshot.

        Parameters
        ----------
        sql : str
            One SELECT (or DESCRIBE, SUMMARIZE, SHOW, EXPLAIN).
        timeout_s : float
            Time limit, seconds.
        memory_limit : str
            Limit of the query, and of the size of its result, e.g. ``500MB``.

        Raises
        ------
        CatalogueError
            When the statement is refused, fails, or exceeds a limit.
        """
        request = {
            "path": str(self.path),
            "sql": sql,
            "memory_limit_bytes": _bytes(memory_limit),
            "timeout_s": timeout_s,
        }
        return _ask(request, timeout_s)


def snapshots(home: Home) -> pa.Table:
    """Return the kept snapshots, newest first, with their metadata, pins and sizes."""
    import pyarrow as pa

    current, pins = in_force(home), pinned(home)
    found = []
    for snapshot_id in existing(home):
        catalogue = Catalogue(home, snapshot_id)
        with catalogue.connect() as connection:
            table = connection.sql(sqlfiles.read("catalog/snapshot")).to_arrow_table()
        table = table.append_column("is_in_force", pa.array([snapshot_id == current]))
        table = table.append_column("pinned_by", pa.array([pins.get(snapshot_id, [])], pa.list_(pa.string())))
        found.append(table.append_column("size_bytes", pa.array([catalogue.path.stat().st_size])))
    if not found:
        raise _nothing_published(home)
    return pa.concat_tables(found)


def tables(catalogue: Catalogue) -> pa.Table:
    """Return name, number of rows and columns, and grain of every table."""
    with catalogue.connect() as connection:
        return connection.sql(sqlfiles.read("catalog/tables")).to_arrow_table()


def describe(catalogue: Catalogue, table: str) -> pa.Table:
    """Return name, type, nullability and description of every column of a table.

    Raises
    ------
    CatalogueError
        When there is no such table.
    """
    with catalogue.connect() as connection:
        columns = connection.sql(sqlfiles.read("catalog/describe"), params={"table": table}).to_arrow_table()
    if columns.num_rows == 0:
        known = ", ".join(tables(catalogue)["table_name"].to_pylist())
        raise CatalogueError(f"there is no table {table!r}", f"tables are {known}")
    return columns


def _resolve(home: Home, snapshot: str | None) -> str:
    if snapshot is None:
        current = in_force(home)
        if current is None:
            raise _nothing_published(home)
        return current
    found = [known for known in existing(home) if known == snapshot or (snapshot and known.startswith(snapshot))]
    if len(found) == 1:
        return found[0]
    what = f"there is no snapshot {snapshot!r}" if not found else f"{snapshot!r} matches {len(found)} snapshots"
    known = ", ".join(found or existing(home)) or "none"
    raise CatalogueError(f"{what} in {home.snapshots}", f"kept snapshots are: {known}")


def _nothing_published(home: Home) -> CatalogueError:
    return CatalogueError(
        f"nothing is published in {home.root}", "run `tumsyn ingest`, or name the home in TUMSYN_HOME"
    )


def _bytes(size: str) -> int:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B)\s*", size, re.IGNORECASE)
    if match is None:
        raise CatalogueError(f"memory limit {size!r} is not a size", "write it as 500MB or 2GB")
    return int(float(match[1]) * UNITS[match[2].upper()])


def _ask(request: dict[str, object], timeout_s: float) -> pa.Table:
    import pyarrow as pa

    try:
        done = subprocess.run(
            [sys.executable, "-P", str(SANDBOX)],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=timeout_s + GRACE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CatalogueError(
            f"the query ran longer than {timeout_s:g} s and was ended", "narrow it, or raise the time limit"
        ) from error
    if done.returncode == 0:
        return pa.ipc.open_stream(done.stdout).read_all()
    if done.returncode == REFUSED:
        raise CatalogueError(**json.loads(done.stderr.splitlines()[-1]))
    raise CatalogueError(
        "the query was ended: it needs more memory than its limit, or the database failed"
        f" (exit status {done.returncode}: {done.stderr.decode(errors='replace')[-300:]})",
        "narrow it, or raise the memory limit",
    )
