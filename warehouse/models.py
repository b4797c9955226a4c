"""Models that a home knows: what was said of them, and which of each kind is in force.

Belongs here: recording what trainings and evaluations say, aliases, and asking for both, published or not.
Does not belong here: weights and how they are made or judged (`model`), publishing (`warehouse.publish`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse import lake, queryfiles
from warehouse.errors import ModelError
from warehouse.home import Home
from warehouse.tables import TABLES

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

EVENT = "core.model_event"
VERSION = "core.model_version"


def record(home: Home, table: str, rows: Iterable[Mapping[str, object]]) -> Path | None:
    """Append statements about models to one of their tables; they are in the next snapshot.

    Raises
    ------
    PublishError
        When a statement breaks a rule of the table; see `warehouse.lake.append_events`.
    """
    return lake.append_events(home, table, rows)


def champion(home: Home, kind: str) -> str | None:
    """Return the model of a kind that is used where none is named; None where there is none yet.

    Parameters
    ----------
    kind : {"text_encoder", "synthesis"}
    """
    with _said(home, EVENT) as connection:
        rows = connection.sql(queryfiles.read("models/aliases")).to_arrow_table().to_pylist()
    found = [
        row["model_id"] for row in rows if (row["kind"], row["alias"]) == (kind, "champion") and row["is_in_force"]
    ]
    return found[0] if found else None


def promote(home: Home, model_id: str, reason: str) -> str:
    """Make a model the champion of its kind, whatever its gates say; the one before stays recorded.

    Parameters
    ----------
    model_id : str
        Identity, or the beginning of it where it is unique.
    reason : str
        Why, in words; people will read it.

    Returns
    -------
    str
        The whole identity.

    Raises
    ------
    ModelError
        When the home has no such model.
    """
    known = known_models(home).to_pylist()
    found = [row for row in known if model_id and row["model_id"].startswith(model_id)]
    if len(found) != 1:
        listed = ", ".join(row["model_id"] for row in found or known) or "none; train one first"
        what = f"{model_id!r} fits {len(found)} models" if found else f"there is no model {model_id!r} in {home.root}"
        raise ModelError(what, f"there are: {listed}")
    whole, kind = str(found[0]["model_id"]), str(found[0]["kind"])
    record(home, EVENT, [_statement(whole, kind, "champion", reason)])
    return whole


def offer(home: Home, model_id: str, kind: str, *, passed: bool, reason: str) -> bool:
    """Record a model as a candidate; the first of its kind whose gates pass becomes champion.

    Parameters
    ----------
    passed : bool
        Whether every gate holds.
    reason : str
        What the gates said.

    Returns
    -------
    bool
        Whether it is the champion now.
    """
    digest = hashlib.sha256(f"{model_id}/candidate".encode()).hexdigest()[:32]  # said once, however often it is judged
    record(home, EVENT, [{"event_id": digest, **_statement(model_id, kind, "candidate", "it was trained and judged")}])
    in_force = champion(home, kind)
    if in_force is None and passed:
        record(home, EVENT, [_statement(model_id, kind, "champion", f"the first whose gates pass: {reason}")])
        return True
    return in_force == model_id


def known_models(home: Home) -> pa.Table:
    """Return every model with its alias, gates and data, the newest first."""
    with _said(home, VERSION, EVENT, "core.gate_verdict") as connection:
        connection.execute(f"CREATE VIEW has_alias AS\n{queryfiles.read('models/aliases')}")
        return connection.sql(queryfiles.read("models/list")).to_arrow_table()


def statements(home: Home, table: str, **equals: object) -> list[dict[str, Any]]:
    """Return what was ever said in a table of events, published or not, in the order of time.

    Parameters
    ----------
    table : str
        E.g. ``core.training_run``.
    **equals
        Columns and the value that they must have.
    """
    import pyarrow.dataset as ds

    files = lake.event_files(home)[table]
    wanted = ds.scalar(True)
    for name, value in equals.items():
        wanted = wanted & (ds.field(name) == ds.scalar(value))
    read = ds.dataset(files, schema=TABLES[table].schema()).to_table(filter=wanted) if files else None
    first_said: dict[str, dict[str, Any]] = {}
    for row in sorted(read.to_pylist() if read else [], key=lambda row: row["occurred_at"]):
        first_said.setdefault(row["event_id"], row)
    return list(first_said.values())


def last_run(home: Home, kind: str) -> dict[str, Any] | None:
    """Return the row of `core.training_run` by which the last training of a kind finished; None where none did."""
    return next(reversed(statements(home, "core.training_run", kind=kind, status="finished")), None)


def trained_on(home: Home, kind: str) -> set[str]:
    """Return the data_id of the champion of a kind, and of the model of that kind that was trained last."""
    model_id, run = champion(home, kind), last_run(home, kind)
    found = {str(row["data_id"]) for row in statements(home, VERSION, model_id=model_id)} if model_id else set()
    return found | ({str(run["data_id"])} if run else set())


def _statement(model_id: str, kind: str, alias: str, reason: str) -> dict[str, object]:
    return {"model_id": model_id, "kind": kind, "alias": alias, "action": "assign", "reason": reason}


@contextmanager
def _said(home: Home, *names: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open some tables of events with all that was ever appended to them, published or not."""
    import duckdb

    files = lake.event_files(home)
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA core")
        for name in names:
            connection.execute(TABLES[name].ddl())
            if files[name]:
                insert = f"INSERT INTO {name} BY NAME\n{queryfiles.read('first_said')}"
                connection.execute(insert, {"files": [str(path) for path in files[name]]})
        yield connection
