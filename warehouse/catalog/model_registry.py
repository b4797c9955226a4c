"""Model registry: recorded events and the current champions of each kind."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse.catalog import sqlfiles
from warehouse.errors import ModelError
from warehouse.lake import parts
from warehouse.lake.home import Home
from warehouse.tables import TABLES
from warehouse.tables.models import KINDS

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

EVENT = "core.model_event"
VERSION = "core.model_version"


def record(home: Home, table: str, rows: Iterable[Mapping[str, object]]) -> Path | None:
    """Append records to a table of model events; the next snapshot contains them.

    Raises
    ------
    PublishError
        When a record breaks a rule of the table; see `warehouse.lake.parts.append_events`.
    """
    return parts.append_events(home, table, rows)


@dataclass(frozen=True)
class Champion:
    """The model in use for one kind, grid and recipe.

    Parameters
    ----------
    model_id : str
    kind : {"text_encoder", "synthesis"}
    grid_mm : float or None
        Voxel size that it was trained for, mm; None where its checkpoint does not state it.
    recipe_id : str or None
        Recipe of the volumes that it was trained on.
    """

    model_id: str
    kind: str
    grid_mm: float | None
    recipe_id: str | None


def champions(home: Home, kind: str) -> list[Champion]:
    """Return the champions of a kind, one for each grid and recipe, the one assigned last first.

    Parameters
    ----------
    kind : {"text_encoder", "synthesis"}
    """
    with _open_events(home, EVENT) as connection:
        rows = connection.sql(sqlfiles.read("models/aliases")).to_arrow_table().to_pylist()
    assigned = [row for row in rows if (row["kind"], row["alias"]) == (kind, "champion")]
    found: dict[tuple[float | None, str | None], Champion] = {}
    for row in sorted(assigned, key=lambda row: (row["since"], row["model_id"]), reverse=True):
        served = serves(home, row["model_id"])
        found.setdefault(served, Champion(row["model_id"], kind, *served))
    return list(found.values())


def champion(home: Home, kind: str, *, recipe: str | None = None) -> str | None:
    """Return the champion of a kind that was assigned last; None where there is none.

    Parameters
    ----------
    kind : {"text_encoder", "synthesis"}
    recipe : str, optional
        Only champions trained on volumes of the recipe with this identity.
    """
    fit = [one for one in champions(home, kind) if recipe is None or one.recipe_id == recipe]
    return fit[0].model_id if fit else None


def serves(home: Home, model_id: str) -> tuple[float | None, str | None]:
    """Return the grid (mm) and the recipe that a model was trained for; each None where it is unknown.

    Older records lack both; the values are then read from the checkpoint.
    """
    for row in statements(home, VERSION, model_id=model_id):
        if row["grid_mm"] is not None:
            return float(row["grid_mm"]), row["recipe_id"]
    try:
        config = json.loads((home.models / model_id / "config.json").read_text(encoding="utf-8"))
        return float(config["grid_mm"]), str(config["recipe_id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def promote(home: Home, model_id: str, reason: str) -> str:
    """Make a model the champion of its kind, grid and recipe, whatever its gates; earlier champions stay recorded.

    Parameters
    ----------
    model_id : str
        Identity of the model, or a unique prefix of it.
    reason : str
        Why, in words; shown to people.

    Returns
    -------
    str
        The full identity.

    Raises
    ------
    ModelError
        When the home has no such model.
    """
    known = known_models(home).to_pylist()
    found = [row for row in known if model_id and row["model_id"].startswith(model_id)]
    if len(found) != 1:
        listed = ", ".join(row["model_id"] for row in found or known) or "none; train one first"
        what = (
            f"{model_id!r} matches {len(found)} models" if found else f"there is no model {model_id!r} in {home.root}"
        )
        raise ModelError(what, f"there are: {listed}")
    full, kind = str(found[0]["model_id"]), str(found[0]["kind"])
    record(home, EVENT, [_event(full, kind, "champion", reason)])
    return full


def offer(home: Home, model_id: str, kind: str, *, passed: bool, reason: str) -> bool:
    """Record a model as a candidate; the first of its kind, grid and recipe whose gates pass becomes champion.

    Parameters
    ----------
    passed : bool
        Whether every gate passed.
    reason : str
        Summary of the gates' verdicts.

    Returns
    -------
    bool
        Whether it is the champion now.
    """
    # A fixed identity, so that a repeated evaluation does not record the candidate again.
    digest = hashlib.sha256(f"{model_id}/candidate".encode()).hexdigest()[:32]
    record(home, EVENT, [{"event_id": digest, **_event(model_id, kind, "candidate", "it was trained and evaluated")}])
    served = serves(home, model_id)
    in_force = next((one.model_id for one in champions(home, kind) if (one.grid_mm, one.recipe_id) == served), None)
    if in_force is None and passed:
        record(home, EVENT, [_event(model_id, kind, "champion", f"the first whose gates pass: {reason}")])
        return True
    return in_force == model_id


def verdict_of(row: Mapping[str, Any]) -> str:
    """Return passed, failed or not_enough_data from a row of `core.gate_verdict`; older rows have `passed` alone."""
    return str(row.get("verdict") or ("passed" if row["passed"] else "failed"))


def known_models(home: Home) -> pa.Table:
    """Return every model with the grid that it serves, its alias, gates and data, the newest first."""
    import pyarrow as pa

    leading = [one.model_id for kind in KINDS for one in champions(home, kind)]
    with _open_events(home, VERSION, "core.gate_verdict") as connection:
        table = connection.sql(sqlfiles.read("models/list"), params={"champions": leading}).to_arrow_table()
    grids = [serves(home, model_id)[0] for model_id in table["model_id"].to_pylist()]
    place = table.column_names.index("is_champion")
    return table.add_column(place, "grid_mm", pa.array(grids, pa.float64()))


def statements(home: Home, table: str, **equals: object) -> list[dict[str, Any]]:
    """Return all records of a table of events, published or not, ordered by time; of a repeated event the first.

    Parameters
    ----------
    table : str
        E.g. ``core.training_run``.
    **equals
        Columns and the value that they must have.
    """
    import pyarrow.dataset as ds

    files = parts.event_files(home)[table]
    wanted = ds.scalar(True)
    for name, value in equals.items():
        wanted = wanted & (ds.field(name) == ds.scalar(value))
    read = ds.dataset(files, schema=TABLES[table].schema()).to_table(filter=wanted) if files else None
    first: dict[str, dict[str, Any]] = {}
    for row in sorted(read.to_pylist() if read else [], key=lambda row: row["occurred_at"]):
        first.setdefault(row["event_id"], row)
    return list(first.values())


def last_run(home: Home, kind: str) -> dict[str, Any] | None:
    """Return the row of `core.training_run` of the last finished training of a kind; None where there is none.

    Trainings of cross-validation make no model to use, and do not count.
    """
    finished = statements(home, "core.training_run", kind=kind, status="finished")
    return next((row for row in reversed(finished) if json.loads(row["config"]).get("held_out_fold") is None), None)


def trained_on(home: Home, kind: str) -> set[str]:
    """Return the data_id of the champion of a kind, and of the model of that kind that was trained last."""
    model_id, run = champion(home, kind), last_run(home, kind)
    found = {str(row["data_id"]) for row in statements(home, VERSION, model_id=model_id)} if model_id else set()
    return found | ({str(run["data_id"])} if run else set())


def _event(model_id: str, kind: str, alias: str, reason: str) -> dict[str, object]:
    return {"model_id": model_id, "kind": kind, "alias": alias, "action": "assign", "reason": reason}


@contextmanager
def _open_events(home: Home, *names: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database with some tables of events that hold all appended records, published or not."""
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
