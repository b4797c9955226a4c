"""Model registry: recorded events and the current champions of each kind."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse.catalog import events, sqlfiles, verdicts
from warehouse.errors import ModelError
from warehouse.lake import parts
from warehouse.lake.home import Home
from warehouse.tables import TABLES
from warehouse.tables.models import KINDS

if TYPE_CHECKING:
    import pyarrow as pa

EVENT = "core.model_event"
VERSION = "core.model_version"
RUN = "core.training_run"

Served = tuple[float | None, str | None]  # grid, mm, and recipe; None where a checkpoint does not state it


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
    """A model that has the alias champion for one kind, grid and recipe.

    Parameters
    ----------
    model_id : str
    kind : {"text_encoder", "synthesis"}
    grid_mm : float or None
        Voxel size that it was trained for, mm; None where its checkpoint does not state it.
    recipe_id : str or None
        Recipe of the volumes that it was trained on.
    since : datetime, optional
        When it was assigned last.
    decided_by : {"gates", "person"} or None
        Who assigned it; None in older records.
    event_id : str
        The record that assigned it.
    """

    model_id: str
    kind: str
    grid_mm: float | None
    recipe_id: str | None
    since: datetime | None = None
    decided_by: str | None = None
    event_id: str = ""

    @property
    def served(self) -> Served:
        """Grid (mm) and recipe."""
        return self.grid_mm, self.recipe_id


def champions(home: Home, kind: str) -> list[Champion]:
    """Return the champions of a kind, one for each grid and recipe, the one assigned last first.

    Parameters
    ----------
    kind : {"text_encoder", "synthesis"}
    """
    found: dict[Served, Champion] = {}
    for one in champion_history(home, kind):
        found.setdefault(one.served, one)
    return list(found.values())


def champion_history(home: Home, kind: str) -> list[Champion]:
    """Return the present and former champions of a kind, without those rolled back; the one assigned last comes first.

    For each grid and recipe the first is in force, and the second is its predecessor.
    """
    with events.opened(home, EVENT) as connection:
        rows = connection.sql(sqlfiles.read("models/aliases")).to_arrow_table().to_pylist()
    assigned = [row for row in rows if (row["kind"], row["alias"]) == (kind, "champion")]
    return [
        Champion(
            row["model_id"], kind, *serves(home, row["model_id"]), row["since"], row["decided_by"], row["event_id"]
        )
        for row in sorted(assigned, key=lambda row: (row["since"], row["model_id"]), reverse=True)
    ]


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


def is_champion(home: Home, model_id: str, kind: str) -> bool:
    """Return whether a model is in force for its grid and recipe."""
    return any(one.model_id == model_id for one in champions(home, kind))


def serves(home: Home, model_id: str) -> Served:
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


def held_out_fold(home: Home, model_id: str) -> str | None:
    """Return the fold that the training of a model held out, in words; None where it held out none.

    Such a model knows all people but those of one fold. It exists to be tested on them, and not to be used.

    Returns
    -------
    str or None
        E.g. ``fold 2 of 4``; folds are counted from 0.
    """
    runs = {row["run_id"] for row in statements(home, VERSION, model_id=model_id)}
    configs = [json.loads(row["config"]) for run_id in sorted(runs) for row in statements(home, RUN, run_id=run_id)]
    try:  # a model that came from another home has no run here
        file = home.models / model_id / "config.json"
        configs.append(json.loads(file.read_text(encoding="utf-8"))["training"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    for config in configs:
        if isinstance(config, dict) and config.get("held_out_fold") is not None:
            return f"fold {config['held_out_fold']} of {config.get('n_folds', '?')}"
    return None


def find(home: Home, name: str) -> dict[str, Any]:
    """Return the record of `core.model_version` of a model.

    Parameters
    ----------
    name : str
        Identity of the model, or a unique prefix of it.

    Raises
    ------
    ModelError
        When the home has no such model, or several.
    """
    known = {str(row["model_id"]): row for row in statements(home, VERSION)}
    found = [model_id for model_id in known if name and model_id.startswith(name)]
    if len(found) == 1:
        return known[found[0]]
    what = f"{name!r} matches {len(found)} models" if found else f"there is no model {name!r} in {home.root}"
    raise ModelError(what, f"there are: {', '.join(found or known) or 'none; train one first'}")


def known_models(home: Home) -> pa.Table:
    """Return every model with the grid that it serves, its status, gates and data, the newest first.

    The gates are those of `warehouse.catalog.verdicts.of_last_evaluation`; null where a model was never evaluated.
    """
    import pyarrow as pa

    leading = [one.model_id for kind in KINDS for one in champions(home, kind)]
    with events.opened(home, VERSION, RUN, EVENT) as connection:
        table = connection.sql(sqlfiles.read("models/list"), params={"champions": leading}).to_arrow_table()
    known: dict[str, list[dict[str, Any]]] = {model_id: [] for model_id in table["model_id"].to_pylist()}
    for row in verdicts.recorded(home):
        known.setdefault(row["model_id"], []).append(row)
    said = [verdicts.of_last_evaluation(known[model_id]) for model_id in table["model_id"].to_pylist()]
    grids = [serves(home, model_id)[0] for model_id in table["model_id"].to_pylist()]
    table = table.add_column(table.column_names.index("is_champion"), "grid_mm", pa.array(grids, pa.float64()))
    place = table.column_names.index("recorded_at")
    for name, verdict in (("gates_without_data", "not_enough_data"), ("gates_failed", "failed")):
        gates = [[row["gate"] for row in rows if row["verdict"] == verdict] or None for rows in said]
        table = table.add_column(place, name, pa.array(gates, pa.list_(pa.string())))
    n_passed = [sum(row["verdict"] == "passed" for row in rows) if rows else None for rows in said]
    return table.add_column(place, "n_gates_passed", pa.array(n_passed, pa.int64()))


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


def finished_runs(home: Home, kind: str) -> list[dict[str, Any]]:
    """Return the rows of `core.training_run` of the finished trainings of a kind, the last one first.

    Trainings of cross-validation make no model to use, and are left out.
    """
    finished = statements(home, RUN, kind=kind, status="finished")
    return [row for row in reversed(finished) if json.loads(row["config"]).get("held_out_fold") is None]


def last_run(home: Home, kind: str) -> dict[str, Any] | None:
    """Return the first of `finished_runs`; None where there is none."""
    return next(iter(finished_runs(home, kind)), None)
