"""What a model does beside being right on average: identity, irrelevant fields, prompts, tiles, rim of the brain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from model.evaluation.baselines import MAP_ORACLE
from model.evaluation.statistics import Estimate
from model.report.data import FORMS, POPULATIONS, SPLITS, Figures, Group
from model.report.words import group_name, interval, number, people, percent

# Parts of the target's range up to which a change is small: conventions of this page, written beside each question.
MOST_IDENTITY = 0.02
MOST_IRRELEVANT = 0.01
MOST_TILES = 0.001
MOST_RIM = 1.5  # times as large as deeper
GOOD, BAD = "good", "bad"


@dataclass(frozen=True)
class Finding:
    """What was found in one group of people, and what it means.

    Parameters
    ----------
    group, n_people, figure, words : str
    kind : {"good", "bad"}
    """

    group: str
    n_people: str
    figure: str
    words: str
    kind: str


@dataclass(frozen=True)
class Question:
    """One question to the model, and what is found in each group of people.

    Parameters
    ----------
    name, asked : str
        Short name, and what is done.
    findings : list of Finding
        Never empty.
    """

    name: str
    asked: str
    findings: list[Finding]


def questions(figures: Figures) -> list[Question]:
    """Return every question that the evaluation answers."""
    steers = figures.protocol.gates.steering_mae
    asked = [
        _limited(
            figures,
            ("Identity", "identity_mae", MOST_IDENTITY),
            "Asked for the contrast that it is given, it should return it.",
            ("It returns what it is given", "It changes what it should return"),
        ),
        _limited(
            figures,
            ("Irrelevant fields", "irrelevant_mae", MOST_IRRELEVANT),
            "Another age and vendor in the prompt must not move anatomy.",
            ("Age and vendor leave the brain alone", "Age or vendor change the brain"),
        ),
        _question(
            figures,
            "Prompt swap",
            "steering_mae",
            "The same source, and a prompt for another contrast of the same visit.",
            lambda found, group: _steering(figures, found, group, steers),
        ),
        _limited(
            figures,
            ("Tiles", "tiles_mae", MOST_TILES),
            "Made in tiles, and whole.",
            ("Tiles leave no seams", "Tiles change the result: seams may show"),
        ),
        _question(
            figures,
            "Rim of the brain",
            "mae_rim",
            f"Mean error in the outer 3 mm of the brain mask, and deeper; at most {MOST_RIM:g} times as large.",
            lambda found, group: _rim(figures, found, group),
        ),
    ]
    return [question for question in asked if question.findings]


def _question(
    figures: Figures, name: str, metric: str, asked: str, words: Callable[[Estimate, Group], tuple[str, str, str]]
) -> Question:
    """Return a question with one finding for each group; `words` gives figure, sentence and kind."""
    findings = []
    for group in _groups(figures, metric):
        found = figures.line(group, None, metric).model
        assert found is not None  # the group was chosen by it
        figure, said, kind = words(found, group)
        findings.append(Finding(group_name(group), people(found.n_people), figure, said, kind))
    return Question(name, asked, findings)


def _groups(figures: Figures, metric: str) -> list[Group]:
    """Return the groups that have a measure, of the first form that has it, without training people."""
    found = {cell.group for maker, cell in figures.people if maker == figures.model_id and cell.metric == metric}
    for form in FORMS:
        wanted = (Group(form, population, split) for population in POPULATIONS for split in SPLITS)
        if groups := [group for group in wanted if group in found and group.split != "train"]:
            return groups
    return []


def _limited(figures: Figures, what: tuple[str, str, float], asked: str, said: tuple[str, str]) -> Question:
    """Return a question whose answer is a change, as a part of the target's range, that should be small."""
    name, metric, most = what

    def words(found: Estimate, group: Group) -> tuple[str, str, str]:
        upper = found.mean if found.high is None else found.high
        is_good = upper <= most
        return _share(found), said[0] if is_good else said[1], GOOD if is_good else BAD

    places = 1 if most >= 0.01 else 2
    return _question(figures, name, metric, f"{asked} At most {percent(most, places)} of the range.", words)


def _steering(figures: Figures, found: Estimate, group: Group, least: float) -> tuple[str, str, str]:
    lower = found.mean if found.low is None else found.low
    gain = figures.line(group, None, "steering_gain_db").model
    fits = "" if gain is None else f"; the right prompt fits {number(gain.mean, 2, sign=True)} dB better"
    if lower > least:
        return _share(found), f"The prompt steers{fits}", GOOD if gain is None or gain.mean > 0 else BAD
    return _share(found), f"The prompt hardly matters{fits}", BAD


def _rim(figures: Figures, found: Estimate, group: Group) -> tuple[str, str, str]:
    deep, line = figures.line(group, None, "mae_deep"), figures.line(group, None, "mae_rim")
    if deep.model is None or not deep.model.mean:
        return percent(found.mean), "Nothing deeper to compare with", BAD
    ratio = found.mean / deep.model.mean
    figure = f"{percent(found.mean)} against {percent(deep.model.mean)}: {number(ratio, 2)} ×"
    if MAP_ORACLE in line.baselines and deep.baselines.get(MAP_ORACLE):
        of_map = line.baselines[MAP_ORACLE].mean / deep.baselines[MAP_ORACLE].mean
        figure += f" (fitted map {number(of_map, 2)} ×)"
    return (figure, "No rim to speak of", GOOD) if ratio <= MOST_RIM else (figure, "A bright or dark rim", BAD)


def _share(found: Estimate) -> str:
    places = 1 if abs(found.mean) >= 0.01 else 2
    return f"{percent(found.mean, places)} {interval(found, places, scale=100.0)}".strip()
