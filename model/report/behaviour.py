"""What a model does beside being right on average: identity, irrelevant fields, prompts, tiles, rim of the brain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from model.evaluation.baselines import MAP_ORACLE
from model.evaluation.statistics import Estimate
from model.report.data import FORMS, POPULATIONS, SPLITS, Figures, Group
from model.report.words import group_name, interval, number, people, percent

# What counts as unchanged: conventions of this page, written beside each question.
LEAST_IDENTITY_DB, LEAST_IDENTITY_SSIM = 30.0, 0.95
MOST_STRUCTURE, MOST_SHIFT_MM = 0.01, 0.5
MOST_TILES = 0.001  # network intensities: thousandths of the brain's spread
MOST_RIM = 1.5  # times as large as deeper
IRRELEVANT = {"age": "Another age", "vendor": "Another vendor", "sex": "Another sex"}
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
    asked = [
        _question(
            figures,
            "Identity",
            "identity_psnr_db",
            "Asked for the very scan that it is given, it should return it: at least "
            f"{LEAST_IDENTITY_DB:g} dB and an SSIM of {LEAST_IDENTITY_SSIM:g}.",
            partial(_identity, figures),
        ),
        *(
            _question(
                figures,
                f"{said} in the prompt",
                f"irrelevant_{name}",
                f"Anatomy must stay: structure may change by {percent(MOST_STRUCTURE, 0)}, "
                f"edges by {MOST_SHIFT_MM:g} mm.",
                partial(_irrelevant, figures, name),
            )
            for name, said in IRRELEVANT.items()
        ),
        _question(
            figures,
            "Prompt swap",
            "steering_mae",
            "The same source, and a prompt for another contrast of the same visit: the brain should change, by more "
            f"than {percent(figures.protocol.gates.steering_mae, 0)} of the target's range.",
            partial(_steering, figures),
        ),
        _question(
            figures,
            "Tiles",
            "tiles_max_difference",
            f"Made in tiles, and whole: nowhere more than {MOST_TILES:g} of the brain's spread apart.",
            _tiles,
        ),
        _question(
            figures,
            "Rim of the brain",
            "mae_rim",
            f"Mean error in the outer 3 mm of the brain mask, and deeper. At most {MOST_RIM:g} times as large, or as "
            "in the fitted map, which sees no borders.",
            partial(_rim, figures),
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


def _identity(figures: Figures, found: Estimate, group: Group) -> tuple[str, str, str]:
    ssim = figures.line(group, None, "identity_ssim").mean
    figure = f"{number(found.mean, 1)} dB {interval(found, 1)}".strip()
    is_good = found.mean >= LEAST_IDENTITY_DB
    if ssim is not None:
        figure, is_good = f"{figure}, SSIM {number(ssim, 3)}", is_good and ssim >= LEAST_IDENTITY_SSIM
    return figure, "It returns what it is given" if is_good else "It changes what it should return", _kind(is_good)


def _irrelevant(figures: Figures, name: str, found: Estimate, group: Group) -> tuple[str, str, str]:
    shift = figures.line(group, None, f"irrelevant_{name}_shift_mm").model
    figure = f"structure {percent(found.mean)} {interval(found, 1, scale=100.0)}".strip()
    is_good = _upper(found) <= MOST_STRUCTURE
    if shift is not None:
        figure, is_good = f"{figure}, edges {number(shift.mean, 2)} mm", is_good and _upper(shift) <= MOST_SHIFT_MM
    return (
        figure,
        f"{name.capitalize()} leaves anatomy alone" if is_good else f"{name.capitalize()} moves anatomy",
        _kind(is_good),
    )


def _tiles(found: Estimate, _: Group) -> tuple[str, str, str]:
    is_good = _upper(found) <= MOST_TILES
    said = "Tiles leave no seams" if is_good else "Tiles change the result: seams may show"
    return f"{number(found.mean, 4)} {interval(found, 4)}".strip(), said, _kind(is_good)


def _steering(figures: Figures, found: Estimate, group: Group) -> tuple[str, str, str]:
    gain = figures.line(group, None, "steering_gain_db").mean
    figure = f"{percent(found.mean)} {interval(found, 1, scale=100.0)}".strip()
    if (found.mean if found.low is None else found.low) <= figures.protocol.gates.steering_mae:
        return figure, "The prompt hardly matters", BAD
    if gain is None:
        return figure, "The prompt steers", GOOD
    by = f"{number(abs(gain), 2)} dB"
    if gain > 0:
        return figure, f"The prompt steers, to the right contrast: it fits {by} better", GOOD
    return figure, f"The prompt steers, to the wrong contrast: it fits {by} worse", BAD


def _upper(found: Estimate) -> float:
    return found.mean if found.high is None else found.high


def _kind(is_good: bool) -> str:
    return GOOD if is_good else BAD


def _rim(figures: Figures, found: Estimate, group: Group) -> tuple[str, str, str]:
    deep, line = figures.line(group, None, "mae_deep"), figures.line(group, None, "mae_rim")
    if not deep.mean:
        return percent(found.mean), "Nothing deeper to compare with", BAD
    ratio, most = found.mean / deep.mean, MOST_RIM
    figure = f"{percent(found.mean)} against {percent(deep.mean)}: {number(ratio, 2)} ×"
    if MAP_ORACLE in line.baselines and deep.baselines.get(MAP_ORACLE):
        of_map = line.baselines[MAP_ORACLE] / deep.baselines[MAP_ORACLE]
        most = max(most, of_map)
        figure += f" (fitted map {number(of_map, 2)} ×)"
    is_good = round(ratio, 2) <= round(most, 2)
    return figure, "No rim beyond what the border costs" if is_good else "A bright or dark rim", _kind(is_good)
