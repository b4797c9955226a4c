"""The figures of a report: read by SQL from one published catalogue, and from nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.evaluation.baselines import BASELINES, IDENTITY, MAP_TRAIN
from model.evaluation.protocol import SHIPPED, EvaluationProtocol, load_protocol
from model.evaluation.statistics import Estimate, estimate
from warehouse.errors import ModelError

if TYPE_CHECKING:
    import duckdb

SQL = Path(__file__).parent / "sql"
ALL_TASKS = "all tasks"
COMPARED = (IDENTITY, MAP_TRAIN)  # what nobody could fit, the map of the test volume itself, is shown but not compared

Row = dict[str, Any]
Cell = tuple[str, str, str, str, str]  # model or baseline, split, task, measure, mask


@dataclass(frozen=True)
class PairOfPerson:
    """A person's mean over pairs of one cell, and how many pairs those are."""

    value: float
    n_pairs: int


@dataclass(frozen=True)
class ScoreLine:
    """One task in one split by one measure: the model, the baselines, and what the model gains on them.

    Parameters
    ----------
    task, split, metric, mask : str
    n_pairs, n_people : int
        0 where the data have no pair of the task.
    model : Estimate or None
    baselines : dict of str to Estimate
        By the baseline's name; one that could not be fitted is absent.
    gains : dict of str to Estimate
        Model less baseline, person by person.
    """

    task: str
    split: str
    metric: str
    mask: str
    n_pairs: int
    n_people: int
    model: Estimate | None
    baselines: Mapping[str, Estimate]
    gains: Mapping[str, Estimate]


@dataclass(frozen=True)
class Figures:
    """Everything that a report says in numbers.

    Parameters
    ----------
    evaluation_id : str
    about : dict
        The row of ``evaluation.sql``.
    protocol : EvaluationProtocol
    people : dict
        Each person's value, of each cell.
    gates, retrieval, curve, examples : list of dict
        Rows of the queries of these names.
    """

    evaluation_id: str
    about: Row
    protocol: EvaluationProtocol
    people: dict[Cell, dict[str, PairOfPerson]]
    gates: list[Row]
    retrieval: list[Row]
    curve: list[Row]
    examples: list[Row]
    _lines: dict[tuple[str, str | None, str, str], ScoreLine] = field(default_factory=dict, init=False, repr=False)

    @property
    def model_id(self) -> str:
        """The model that was measured."""
        return str(self.about["model_id"])

    @property
    def is_simulated(self) -> bool:
        """True where any image of the evaluation was simulated."""
        return bool(self.about["n_simulated"])

    def line(self, split: str, task: str | None, metric: str, mask: str = "brain") -> ScoreLine:
        """Return one task's figures, or those of all tasks together; without data it has neither model nor baselines.

        A person's value is the mean over that person's pairs, whatever their task, and every person counts once. Of
        all tasks together, a baseline and what is gained on it are of the tasks that the baseline has. A page shows a
        line in several places, and its intervals take a bootstrap each: they are computed once.
        """
        key = (split, task, metric, mask)
        if key not in self._lines:
            self._lines[key] = self._line(*key)
        return self._lines[key]

    def _line(self, split: str, task: str | None, metric: str, mask: str) -> ScoreLine:
        tasks = self.protocol.tasks if task is None else (task,)
        model = self._by_person(tasks, split, metric, mask)
        baselines = {name: self._by_person(tasks, split, metric, mask, name) for name in BASELINES}
        less = {name: self._by_person(tasks, split, metric, mask, less=name) for name in COMPARED}
        return ScoreLine(
            *(task or ALL_TASKS, split, metric, mask),
            n_pairs=sum(person.n_pairs for person in model.values()),
            n_people=len(model),
            model=self._estimate(model),
            baselines={name: known for name, found in baselines.items() if (known := self._estimate(found))},
            gains={name: known for name, found in less.items() if (known := self._estimate(found))},
        )

    def _by_person(
        self, tasks: Sequence[str], split: str, metric: str, mask: str, name: str | None = None, less: str | None = None
    ) -> dict[str, PairOfPerson]:
        """Return each person's mean over the pairs of some tasks: of a model or a baseline, or of the difference."""
        found: dict[str, list[PairOfPerson]] = {}
        for task in tasks:
            place = (split, task, metric, mask)
            held_against = self.people.get((less or "", *place), {})
            for who, person in self.people.get((name or self.model_id, *place), {}).items():
                if less is None:
                    found.setdefault(who, []).append(person)
                elif who in held_against:
                    difference = person.value - held_against[who].value
                    found.setdefault(who, []).append(PairOfPerson(difference, person.n_pairs))
        return {who: _together(parts) for who, parts in sorted(found.items())}

    def _estimate(self, people: Mapping[str, PairOfPerson]) -> Estimate | None:
        protocol = self.protocol
        settings = {"n_resamples": protocol.n_resamples, "confidence": protocol.confidence, "seed": protocol.seed}
        return estimate([person.value for person in people.values()], **settings)  # type: ignore[arg-type]


def _together(parts: Sequence[PairOfPerson]) -> PairOfPerson:
    n_pairs = sum(part.n_pairs for part in parts)
    return PairOfPerson(sum(part.value * part.n_pairs for part in parts) / n_pairs, n_pairs)


def read_figures(
    connection: duckdb.DuckDBPyConnection, evaluation_id: str, protocol: EvaluationProtocol | None = None
) -> Figures:
    """Read all that a report says of an evaluation.

    Parameters
    ----------
    connection : DuckDBPyConnection
        A published catalogue, read-only.
    evaluation_id : str
    protocol : EvaluationProtocol, optional
        By which it was made; default: the shipped one whose hash the scores bear.

    Raises
    ------
    ModelError
        When the catalogue has no such evaluation, or the protocol is another one.
    """
    asked = {"evaluation_id": evaluation_id}
    about = rows(connection, "evaluation", asked)
    if not about:
        what = f"the catalogue has no evaluation {evaluation_id}"
        raise ModelError(what, "run `tumsyn evaluate`, which also publishes")
    [evaluation] = about
    of_model = {"model_id": evaluation["model_id"], "text_encoder_id": evaluation["text_encoder_id"]}
    people: dict[Cell, dict[str, PairOfPerson]] = {}
    for row in rows(connection, "people", asked):
        cell = (row["model_id"], row["split"], row["task"], row["metric"], row["mask"])
        people.setdefault(cell, {})[row["person_id"]] = PairOfPerson(row["value"], row["n_pairs"])
    return Figures(
        evaluation_id=evaluation_id,
        about=evaluation,
        protocol=_protocol(protocol, evaluation["protocol_hash"]),
        people=people,
        gates=rows(connection, "gates", of_model | {key: evaluation[key] for key in ("protocol_hash", "data_id")}),
        retrieval=rows(connection, "retrieval", {"text_encoder_id": evaluation["text_encoder_id"]}),
        curve=rows(connection, "curve", {"run_id": evaluation["run_id"]}),
        examples=rows(connection, "examples", asked | {"model_id": evaluation["model_id"]}),
    )


def rows(connection: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, object]) -> list[Row]:
    """Return the answer to ``model/report/sql/<query>.sql``."""
    text = (SQL / f"{query}.sql").read_text(encoding="utf-8")
    answer: Any = connection.sql(text, params=dict(parameters)).to_arrow_table()
    return list(answer.to_pylist())


def _protocol(given: EvaluationProtocol | None, wanted: str) -> EvaluationProtocol:
    known = [given] if given else [load_protocol(path.stem) for path in sorted(SHIPPED.glob("*.yaml"))]
    for protocol in known:
        if protocol.hash == wanted:
            return protocol
    names = ", ".join(f"{protocol.name} ({protocol.hash})" for protocol in known)
    raise ModelError(f"the evaluation was made by protocol {wanted}, not by {names}", "name the protocol that made it")
