"""The figures of an evaluation in a few lines: one for each form, population and split, with people as units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.evaluation.baselines import MAP_ORACLE, MAP_TRAIN, RESCAN
from model.evaluation.statistics import by_person

SHOWN = ("psnr_db", "psnr_db_fitted", "ssim")  # in the brain
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Person:
    """Whom an image shows.

    Parameters
    ----------
    person_id : str
    is_simulated : bool
    """

    person_id: str
    is_simulated: bool


@dataclass(frozen=True)
class Summary:
    """Means over people of one form, split and population, real and simulated people never together.

    Parameters
    ----------
    form, split : str
    is_simulated : bool
    task : str or None
        None for all tasks together.
    n_pairs, n_people : int
    psnr_db, psnr_db_fitted, ssim : float
        In the brain: as made, after one gain and offset, and as made.
    over_pooled_map_db, over_fitted_map_db : float or None
        PSNR above that of the pooled map of training pairs, and above that of the map fitted on the test volume; None
        without such a map.
    """

    form: str
    split: str
    is_simulated: bool
    task: str | None
    n_pairs: int
    n_people: int
    psnr_db: float
    psnr_db_fitted: float
    ssim: float
    over_pooled_map_db: float | None
    over_fitted_map_db: float | None

    def __str__(self) -> str:
        people = f"{self.n_people} {'simulated' if self.is_simulated else 'real'} people, {self.n_pairs} pairs"
        gains = [(self.over_pooled_map_db, "pooled map"), (self.over_fitted_map_db, "fitted map")]
        against = "".join(f", {gain:+.1f} dB on the {name}" for gain, name in gains if gain is not None)
        return (
            f"{self.form}, {self.split}, {people}: {self.psnr_db:.1f} dB as made, {self.psnr_db_fitted:.1f} dB after "
            f"gain and offset, SSIM {self.ssim:.2f}{against}"
        )


def summarise(
    scores: Iterable[Row], people: Mapping[str, Person], model_id: str, *, by_task: bool = False
) -> list[Summary]:
    """Return the means of a model, in the order of form, population (real first) and split.

    Parameters
    ----------
    scores : iterable of mapping
        Rows of `core.evaluation_score` of one evaluation; older ones without a form are of form session.
    people : mapping of str to Person
        By target image.
    model_id : str
    by_task : bool
        One summary for each task; else one for all tasks together.
    """
    cells: dict[tuple[str, bool, str, str], dict[tuple[str, ...], dict[tuple[str, str], float]]] = {}
    for row in scores:
        if row["mask"] == "brain":
            is_simulated = people[row["target_image_id"]].is_simulated
            cell = (row["form"] or "session", is_simulated, row["split"], row["task"] if by_task else "")
            pair = (row["task"], *row["source_image_ids"], row["target_image_id"])
            cells.setdefault(cell, {}).setdefault(pair, {})[row["model_id"], row["metric"]] = float(row["value"])
    found = []
    for (form, is_simulated, split, task), pairs in sorted(cells.items()):
        own = {pair: figures for pair, figures in pairs.items() if (model_id, "psnr_db") in figures}
        if own:
            shown = {name: _mean(own, people, (model_id, name)) or 0.0 for name in SHOWN}
            gains = (_mean(own, people, (model_id, "psnr_db"), (name, "psnr_db")) for name in (MAP_TRAIN, MAP_ORACLE))
            n_people = len({people[pair[-1]].person_id for pair in own})
            found.append(Summary(form, split, is_simulated, task or None, len(own), n_people, *shown.values(), *gains))
    return found


def without_model(scores: Sequence[Row], model_id: str) -> list[str]:
    """Return the tasks that have baselines and no figure of the model, because it takes fewer sources."""
    own = {row["task"] for row in scores if row["model_id"] == model_id}
    return sorted({row["task"] for row in scores if row["model_id"] != RESCAN} - own)


def _mean(
    pairs: Mapping[tuple[str, ...], Mapping[tuple[str, str], float]],
    people: Mapping[str, Person],
    figure: tuple[str, str],
    less: tuple[str, str] | None = None,
) -> float | None:
    """Return the mean over people of a figure, or of its difference from another one; None where no pair has both."""
    values = [
        (people[pair[-1]].person_id, figures[figure] - (figures[less] if less else 0.0))
        for pair, figures in pairs.items()
        if less is None or less in figures
    ]
    return float(by_person(values).mean()) if values else None
