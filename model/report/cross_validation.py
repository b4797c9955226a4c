"""The figures of a cross-validation as one table: every person tested by a model that never saw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import pyarrow as pa

from model.evaluation.evaluate import identify
from model.evaluation.protocol import EvaluationProtocol
from model.evaluation.statistics import Estimate, estimate
from model.report.data import ALL_TASKS, Row, rows

if TYPE_CHECKING:
    import duckdb

MEASURES = {"db": ("psnr_db", 2), "ssim": ("ssim", 3)}  # column of the model, and decimals
BESIDE = ("fitted_map", "pooled_map", "source", "gain")  # gain: of the model on the map fitted on the test volume
FIGURES = {
    name: decimals
    for unit, (model, decimals) in MEASURES.items()
    for name in (model, *(f"{one}_{unit}" for one in BESIDE))
}
SCHEMA = pa.schema(
    [("form", pa.string()), ("task", pa.string()), ("who", pa.string()), ("fold", pa.int32()), ("n_pairs", pa.int64())]
    + [(name, pa.float64()) for name in FIGURES]
)


def evaluations_of_folds(
    connection: duckdb.DuckDBPyConnection, model_id: str, protocol: EvaluationProtocol
) -> dict[int, str]:
    """Return the evaluation of each fold that has one, of models trained as a given model of some fold.

    Parameters
    ----------
    connection : DuckDBPyConnection
        A published catalogue, read-only.
    model_id : str
    protocol : EvaluationProtocol
    """
    found = rows(connection, "folds", {"model_id": model_id, "protocol_hash": protocol.hash})
    return {row["fold"]: identify(row["model_id"], row["data_id"], protocol.hash) for row in found}


def table(
    connection: duckdb.DuckDBPyConnection, evaluations: Mapping[int, str], n_folds: int, protocol: EvaluationProtocol
) -> pa.Table:
    """Return a block of lines for each task: the mean over people, its interval from ten people on, and every person.

    Parameters
    ----------
    connection : DuckDBPyConnection
        A published catalogue, read-only.
    evaluations : mapping of int to str
        Evaluation of each fold. A mean without some of the folds says so.
    n_folds : int
    protocol : EvaluationProtocol
        By which they were made.

    Returns
    -------
    Table
        Columns of `SCHEMA`: PSNR (dB) and SSIM in the brain of model, fitted map, pooled map and source, and what the
        model gains on the fitted map.
    """
    fold_of = {evaluation_id: fold for fold, evaluation_id in evaluations.items()}
    people = rows(connection, "fold_people", {"evaluation_ids": list(fold_of)})
    missing = [str(fold) for fold in range(n_folds) if fold not in evaluations]
    order = (ALL_TASKS, *protocol.tasks)
    people.sort(key=lambda row: (row["form"], order.index(row["task"]), row["person_id"]))
    lines: list[Row] = []
    for (form, task), block in groupby(people, key=lambda row: (row["form"], row["task"])):
        each = list(block)
        place = {"form": form, "task": task}
        lines += [place | line for line in _summary(each, missing, protocol)]
        for row in each:
            who = {"who": row["person_id"], "fold": fold_of[row["evaluation_id"]], "n_pairs": row["n_pairs"]}
            lines.append(place | who | {name: row[name] for name in FIGURES})
    return pa.Table.from_pylist([_rounded(line) for line in lines], SCHEMA)


def _summary(people: Sequence[Row], missing: Sequence[str], protocol: EvaluationProtocol) -> list[Row]:
    """Return the line of the means over people, and the two lines of their interval where there is one."""
    settings = {"n_resamples": protocol.n_resamples, "seed": protocol.seed}
    found: dict[str, Estimate | None] = {}
    for name in FIGURES:
        values = [row[name] for row in people if row[name] is not None]
        found[name] = estimate(values, confidence=protocol.confidence, **settings)
    without = f", without fold{'s' * (len(missing) > 1)} {', '.join(missing)}" if missing else ""
    kind = "simulated" if all(row["is_simulated"] for row in people) else "real"
    who = f"mean of {len(people)} {kind} {'person' if len(people) == 1 else 'people'}{without}"
    n_pairs = sum(row["n_pairs"] for row in people)
    lines: list[Row] = [{"who": who, "n_pairs": n_pairs} | {name: one and one.mean for name, one in found.items()}]
    interval = f"{100 * protocol.confidence:g} % interval"
    for bound, word in (("low", "from"), ("high", "to")):
        bounds = {name: getattr(one, bound) for name, one in found.items() if one is not None}
        if any(value is not None for value in bounds.values()):
            lines.append({"who": f"{interval}, {word}"} | bounds)
    return lines


def _rounded(line: Row) -> Row:
    figures = {name: round(line[name], decimals) for name, decimals in FIGURES.items() if line.get(name) is not None}
    return {name: value for name, value in line.items() if name not in FIGURES} | figures
