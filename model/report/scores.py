"""Tables of scores as a page shows them: drawings of people, and break-downs of what was gained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from model.evaluation.statistics import MIN_PEOPLE, Estimate
from model.report.data import COMPARED, SPLITS, THICK_MM, Figures, Group, Row, ScoreLine
from model.report.words import group_name

WIDTH = 250.0  # of a drawing of people, in its own units
ROW = 9.0  # height of one person
RESOLUTIONS = {
    "thick": f"≥ {THICK_MM:g} mm (thick)",
    "isotropic": f"< {THICK_MM:g} mm",
    "unknown": "unknown",
}


@dataclass(frozen=True)
class Dots:
    """Every person as one row: the map fitted on the test volume, and the model.

    Parameters
    ----------
    height : float
    people : list of (float, float, float, str)
        Height of the row, place of the map and of the model, and both in words.
    """

    height: float
    people: list[tuple[float, float, float, str]]


@dataclass(frozen=True)
class Table:
    """Tasks of one group, with the makers that have a figure.

    Parameters
    ----------
    group : Group
    name : str
    lines : list of ScoreLine
        PSNR as made of each tested task, and of all together where there are several.
    untested, unsupported : list of str
        Tasks of the protocol without a pair; and those that have baselines only, because the model takes fewer sources.
    n_refused : int
        Pairs without figures, because the path of a user refuses a scan of theirs.
    makers : list of str
        Baselines in the order of the rows.
    span : (float, float)
        Range of the gains on the fitted map, dB.
    low, high : float
        Range of single people's PSNR, dB.
    """

    group: Group
    name: str
    lines: list[ScoreLine]
    untested: list[str]
    unsupported: list[str]
    n_refused: int
    makers: list[str]
    span: tuple[float, float]
    low: float
    high: float

    @property
    def together(self) -> ScoreLine:
        """All tasks together, or the only one."""
        return self.lines[-1]

    @property
    def shows_people(self) -> bool:
        """Whether some task has too few people for an interval, so that all of them are drawn."""
        return any(line.n_people < MIN_PEOPLE for line in self.lines)

    def dots(self, line: ScoreLine) -> Dots | None:
        """Return the people of a task; None where they are enough for an interval, or have no fitted map."""
        if line.n_people >= MIN_PEOPLE or not line.people:
            return None

        def place(value: float) -> float:
            return 6 + (WIDTH - 12) * (value - self.low) / ((self.high - self.low) or 1.0)

        people = sorted(line.people, key=lambda person: person[1] - person[0], reverse=True)
        rows = [
            (ROW * (number + 0.5) + 2, place(fitted), place(made), f"fitted map {fitted:.2f} dB, model {made:.2f} dB")
            for number, (fitted, made) in enumerate(people)
        ]
        return Dots(ROW * len(people) + 4, rows)


def table(figures: Figures, group: Group) -> Table:
    """Return the table of one group."""
    lines = [figures.line(group, task, "psnr_db") for task in figures.tasks]
    tested = [line for line in lines if line.values]
    beyond = [line for line in lines if line.baselines and not line.values]
    if len(tested) > 1:
        tested.append(figures.line(group, None, "psnr_db"))
    gains = [line.gain for line in tested if line.gain]
    values = [value for line in tested if line.n_people < MIN_PEOPLE for person in line.people for value in person]
    return Table(
        group=group,
        name=group_name(group),
        lines=tested,
        untested=[line.task for line in lines if not line.values and not line.baselines],
        unsupported=[line.task for line in beyond],
        n_refused=sum(figures.line(group, task, "refused", "volume").n_pairs for task in figures.tasks),
        makers=[name for name in COMPARED if any(name in line.baselines for line in tested)],
        span=span_of(gains),
        low=min(values, default=0.0),
        high=max(values, default=1.0),
    )


def span_of(found: Sequence[Estimate], each: Sequence[float] = ()) -> tuple[float, float]:
    """Return the range that differences and those of single people need: zero included, with a little room."""
    ends = [0.0, *each]
    for mean in found:
        ends += [value for value in (mean.mean, mean.low, mean.high) if value is not None]
    room = 0.05 * (max(ends) - min(ends)) or 1.0
    return min(ends) - room, max(ends) + room


@dataclass(frozen=True)
class Part:
    """People of one group with one kind of sources and targets.

    Parameters
    ----------
    group : Group
    sources, target, resolution : str
        In words.
    n_people, n_pairs : int
    model, fitted_map, gain : Estimate
        Brain PSNR as made, dB.
    gained : list of float
        Each person's gain.
    """

    group: Group
    sources: str
    target: str
    resolution: str
    n_people: int
    n_pairs: int
    model: Estimate
    fitted_map: Estimate
    gain: Estimate
    gained: list[float]


def parts(figures: Figures, form: str) -> list[Part]:
    """Return the groups of a form by skull and slice thickness, in the order of the page."""
    found: dict[tuple[Group, str, str, str], list[Row]] = {}
    for row in figures.groups:
        if row["form"] == form:
            group = Group(row["form"], row["population"], row["split"])
            found.setdefault((group, row["source_head"], row["target_head"], row["resolution"]), []).append(row)
    order = sorted(found, key=lambda key: (key[0].population, SPLITS.index(key[0].split), key[1:]))
    return [_part(figures, *key, found[key]) for key in order]


def _part(figures: Figures, group: Group, sources: str, target: str, resolution: str, rows: Sequence[Row]) -> Part:
    gained = [row["model_db"] - row["map_db"] for row in rows]
    model, fitted_map, gain = (
        figures.estimate(values)
        for values in ([row["model_db"] for row in rows], [row["map_db"] for row in rows], gained)
    )
    assert model is not None
    assert fitted_map is not None
    assert gain is not None  # a part has at least one person
    n_pairs = sum(row["n_pairs"] for row in rows)
    return Part(group, sources, target, RESOLUTIONS[resolution], len(rows), n_pairs, model, fitted_map, gain, gained)
