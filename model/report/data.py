"""The figures of a report: read by SQL from one published catalogue, and from nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from model.evaluation.baselines import IDENTITY, MAP_ORACLE, MAP_TRAIN, RESCAN, START
from model.evaluation.protocol import SHIPPED, EvaluationProtocol, load_protocol
from model.evaluation.statistics import Estimate, estimate
from warehouse.catalog import verdicts
from warehouse.errors import ModelError

if TYPE_CHECKING:
    import duckdb

SQL = Path(__file__).parent / "sql"
ALL_TASKS = "all tasks"
COMPARED = (START, IDENTITY, MAP_TRAIN, MAP_ORACLE, RESCAN)
POPULATIONS = ("real", "simulated")
FORMS = ("native", "session")
SPLITS = ("cross_validation", "test_internal", "test_external", "acceptance", "val", "train")
THICK_MM = 2.5  # effective resolution from which a target counts as one of thick slices
FIDELITY_TABLE = "core.fidelity_score"

Row = dict[str, Any]


class Group(NamedTuple):
    """People who may stand in one figure: one form, one population, one split."""

    form: str
    population: str
    split: str


class Cell(NamedTuple):
    """One group, task, measure and mask."""

    group: Group
    task: str
    metric: str
    mask: str


@dataclass(frozen=True)
class Person:
    """A person's means over the pairs of one cell.

    Parameters
    ----------
    n_pairs : int
    value : float
        Of the model or the baseline itself.
    gain : float or None
        Model less baseline over the same pairs; None where the model has none of them.
    above_map, model_above_map : float or None
        Baseline and model less the map fitted on the test volume, over pairs that all three have.
    """

    n_pairs: int
    value: float
    gain: float | None = None
    above_map: float | None = None
    model_above_map: float | None = None


@dataclass(frozen=True)
class ScoreLine:
    """One task of one group by one measure: the model, the baselines, and what the model gains on them.

    Parameters
    ----------
    task, metric, mask : str
    n_pairs, n_people : int
        0 where the data have no pair of the task.
    values : list of float
        Each person's, of the model; empty where it was not measured.
    baselines : dict of str to float
        Means over people, by the baseline's name; one that could not be fitted is absent.
    gains : dict of str to list of float
        Model less baseline in each person, over the same pairs.
    people : list of (float, float)
        Each person's fitted map and model, over the same pairs.
    closed : float or None
        Share of the distance from the fitted map to another scan of the same person that the model closes; None
        where no such scan exists, or where the fitted map is as good.
    estimate : callable
        Gives the mean of such a list and its interval; a bootstrap each, so that it is called where it is shown.
    """

    task: str
    metric: str
    mask: str
    n_pairs: int
    n_people: int
    values: Sequence[float]
    baselines: Mapping[str, float]
    gains: Mapping[str, Sequence[float]]
    people: Sequence[tuple[float, float]]
    closed: float | None
    estimate: Callable[[Sequence[float]], Estimate | None]

    @property
    def mean(self) -> float | None:
        """Mean of the model over people."""
        return fmean(self.values) if self.values else None

    @cached_property
    def model(self) -> Estimate | None:
        """Mean of the model over people, with its interval."""
        return self.estimate(self.values)

    @cached_property
    def gain(self) -> Estimate | None:
        """What the model gains on the fitted map, with its interval."""
        return self.estimate(self.gains.get(MAP_ORACLE, ()))


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
        Of each cell and each model or baseline, every person.
    gates : list of dict
        Verdicts on the model and on its text encoder, rows of `core.gate_verdict`.
    populations, groups, retrieval, curve, examples, fidelity_curve, fidelity_error : list of dict
        Rows of the queries of these names.
    """

    evaluation_id: str
    about: Row
    protocol: EvaluationProtocol
    people: dict[tuple[str, Cell], dict[str, Person]]
    populations: list[Row]
    groups: list[Row]
    gates: list[Row]
    retrieval: list[Row]
    curve: list[Row]
    examples: list[Row]
    fidelity_curve: list[Row]
    fidelity_error: list[Row]
    _lines: dict[tuple[Group, str | None, str, str], ScoreLine] = field(default_factory=dict, init=False, repr=False)

    @property
    def model_id(self) -> str:
        """The model that was measured."""
        return str(self.about["model_id"])

    @property
    def is_simulated(self) -> bool:
        """True where every person who was tested is simulated."""
        return all(row["population"] == "simulated" for row in self.populations)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks of the protocol, then any other that was scored; not those of rescans."""
        scored = {cell.task for maker, cell in self.people if maker in (self.model_id, MAP_ORACLE)}
        return (*self.protocol.tasks, *sorted(scored - set(self.protocol.tasks)))

    def tested(self, form: str) -> list[Group]:
        """Return the groups of a form that have a score, real people first."""
        found = {cell.group for maker, cell in self.people if maker == self.model_id and cell.metric == "psnr_db"}
        wanted = (Group(form, population, split) for population in POPULATIONS for split in SPLITS)
        return [group for group in wanted if group in found]

    @property
    def form(self) -> str:
        """The form that comes first: native, which is what ships, where it was scored."""
        return next((form for form in FORMS if self.tested(form)), FORMS[0])

    def line(self, group: Group, task: str | None, metric: str, mask: str = "brain") -> ScoreLine:
        """Return one task's figures, or those of all tasks together; without data it has neither model nor baselines.

        A person's value is the mean over that person's pairs, whatever their task, and every person counts once. Of
        all tasks together, a baseline and what is gained on it are of the tasks that the baseline has. A page shows a
        line in several places; it is made once.
        """
        key = (group, task, metric, mask)
        if key not in self._lines:
            self._lines[key] = self._line(*key)
        return self._lines[key]

    def _line(self, group: Group, task: str | None, metric: str, mask: str) -> ScoreLine:
        cells = [Cell(group, name, metric, mask) for name in (self.tasks if task is None else (task,))]
        if task is None:  # of several sources, a model may take fewer: baselines of what it cannot do are left out
            cells = [cell for cell in cells if (self.model_id, cell) in self.people]
        model = self._together(self.model_id, cells)
        found = {name: self._together(name, cells) for name in COMPARED}
        gains = {name: [p.gain for p in people.values() if p.gain is not None] for name, people in found.items()}
        return ScoreLine(
            *(task or ALL_TASKS, metric, mask),
            n_pairs=sum(person.n_pairs for person in model.values()),
            n_people=len(model),
            values=[person.value for person in model.values()],
            baselines={name: fmean(p.value for p in people.values()) for name, people in found.items() if people},
            gains={name: values for name, values in gains.items() if values},
            people=[(p.value, p.value + p.gain) for p in found[MAP_ORACLE].values() if p.gain is not None],
            closed=_closed(list(found[RESCAN].values())),
            estimate=self.estimate,
        )

    def _together(self, maker: str, cells: Sequence[Cell]) -> dict[str, Person]:
        """Return each person's means over the pairs of some cells."""
        found: dict[str, list[Person]] = {}
        for cell in cells:
            for who, person in self.people.get((maker, cell), {}).items():
                found.setdefault(who, []).append(person)
        return {who: _mean_of(parts) for who, parts in sorted(found.items())}

    def estimate(self, values: Sequence[float]) -> Estimate | None:
        """Return the mean over people and its interval, as the protocol wants it."""
        protocol = self.protocol
        settings = {"n_resamples": protocol.n_resamples, "confidence": protocol.confidence, "seed": protocol.seed}
        return estimate(values, **settings)  # type: ignore[arg-type]


def _closed(people: Sequence[Person]) -> float | None:
    """Return how much of the mean distance from the fitted map to the rescan is closed, or None."""
    known = [(p.above_map, p.model_above_map) for p in people if p.above_map is not None]
    distance = sum(above for above, _ in known)
    return sum(model or 0.0 for _, model in known) / distance if distance > 0 else None


def _mean_of(parts: Sequence[Person]) -> Person:
    """Return the mean of a person's cells, each weighted by its pairs."""

    def mean(name: str) -> float | None:
        known = [(value, part.n_pairs) for part in parts if (value := getattr(part, name)) is not None]
        n_pairs = sum(n for _, n in known)
        return sum(value * n for value, n in known) / n_pairs if n_pairs else None

    value = mean("value")
    assert value is not None  # every row has one
    n_pairs = sum(part.n_pairs for part in parts)
    return Person(n_pairs, value, mean("gain"), mean("above_map"), mean("model_above_map"))


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
    evaluation = about(connection, evaluation_id)
    known = _protocol(protocol, evaluation["protocol_hash"])
    only = {"model_id": evaluation["model_id"]}
    encoder = {"text_encoder_id": evaluation["text_encoder_id"]}
    people: dict[tuple[str, Cell], dict[str, Person]] = {}
    for row in rows(connection, "people", asked):
        group = Group(row["form"], row["population"], row["split"])
        cell = Cell(group, row["task"], row["metric"], row["mask"])
        values = {name: row[name] for name in ("n_pairs", "value", "gain", "above_map", "model_above_map")}
        people.setdefault((row["maker"], cell), {})[row["person_id"]] = Person(**values)
    has_fidelity = bool(rows(connection, "has_table", {"name": FIDELITY_TABLE}))
    return Figures(
        evaluation_id=evaluation_id,
        about=evaluation,
        protocol=known,
        people=people,
        populations=rows(connection, "populations", asked),
        groups=rows(connection, "groups", asked | {"recipe": known.recipe, "thick_mm": THICK_MM}),
        gates=gates(connection, evaluation),
        retrieval=rows(connection, "retrieval", encoder),
        curve=rows(connection, "curve", {"run_id": evaluation["run_id"]}),
        examples=rows(connection, "examples", asked | only),
        fidelity_curve=rows(connection, "fidelity_curve", only) if has_fidelity else [],
        fidelity_error=rows(connection, "fidelity_error", only) if has_fidelity else [],
    )


def about(connection: duckdb.DuckDBPyConnection, evaluation_id: str) -> Row:
    """Return the row of ``evaluation.sql``: model, data and protocol of an evaluation, and how the model was trained.

    Raises
    ------
    ModelError
        When the catalogue has no such evaluation.
    """
    found = rows(connection, "evaluation", {"evaluation_id": evaluation_id})
    if not found:
        what = f"the catalogue has no evaluation {evaluation_id}"
        raise ModelError(what, "run `tumsyn evaluate`, which also publishes")
    return found[0]


def gates(connection: duckdb.DuckDBPyConnection, evaluation: Row) -> list[Row]:
    """Return the verdicts of an evaluation, and those of the last evaluation of the model's text encoder.

    Parameters
    ----------
    connection : DuckDBPyConnection
        A published catalogue, read-only.
    evaluation : dict
        `model_id`, `data_id`, `protocol_hash` and `text_encoder_id`, as `about` returns them.
    """
    of_model = verdicts.published(connection, evaluation["model_id"])
    found = verdicts.of_evaluation(of_model, evaluation["data_id"], evaluation["protocol_hash"])
    if encoder := evaluation["text_encoder_id"]:
        found += verdicts.of_last_evaluation(verdicts.published(connection, encoder))
    return found


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
