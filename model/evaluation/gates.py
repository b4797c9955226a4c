"""Gates: what a model must reach before it is used, each with its verdict, figure and threshold.

People are the units. A gate passes when the whole confidence interval lies beyond its threshold. With fewer than ten
people there is no interval, and the verdict is `not_enough_data`: it promotes no model, and stops none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.catalogue import Item
from model.evaluation.baselines import IDENTITY, START
from model.evaluation.protocol import EvaluationProtocol
from model.evaluation.statistics import MIN_PEOPLE, Estimate, by_person, estimate

PASSED, FAILED, NOT_ENOUGH_DATA = "passed", "failed", "not_enough_data"
BETTER_THAN_IDENTITY, PROMPT_STEERS, BETTER_THAN_START = "better_than_identity", "prompt_steers", "better_than_start"

ROUNDING = 1e-9  # a figure so close to its threshold is on it, and not beyond

Row = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Whose figures a gate is measured on.

    Parameters
    ----------
    split : str
    is_simulated : bool
        Real and simulated people are never in one figure.
    """

    split: str
    is_simulated: bool


@dataclass(frozen=True)
class Opponent:
    """A model that another one is compared with before it takes its place.

    Parameters
    ----------
    model_id : str
    gate : str
        Name of the comparison.
    margin : float
        By how much the other one may be worse; dB, or a share of images.
    """

    model_id: str
    gate: str
    margin: float

    @property
    def words(self) -> str:
        """Name and margin, as a sentence has them."""
        return f"model {self.model_id} (margin {self.margin:g})"


def gated_split(splits: Iterable[str]) -> str:
    """Return the split that gates are measured on: the acceptance set where there is one, else internal test people.

    External people are reported and never used to choose a model; people of training and validation neither.
    """
    return "acceptance" if "acceptance" in splits else "test_internal"


def gated_place(splits: Iterable[str], tested: Iterable[tuple[str, bool]]) -> Place:
    """Return the split and population that gates are measured on.

    Simulated people do not stand in for real ones: with real internal test people, an acceptance set is ignored. Of the
    gated split, real people count where it has any.

    Parameters
    ----------
    splits : iterable of str
        Of the protocol.
    tested : iterable of (str, bool)
        Split of each tested image, and whether it is simulated.
    """
    wanted, found = set(splits), set(tested)
    has_real = "test_internal" in wanted and ("test_internal", False) in found
    split = gated_split(wanted - ({"acceptance"} if has_real else set()))
    return Place(split, (split, False) not in found)


def judge(
    scores: Sequence[Row], items: Mapping[str, Item], place: Place, model_id: str, protocol: EvaluationProtocol
) -> list[Row]:
    """Return the verdicts on an evaluation.

    Parameters
    ----------
    scores : sequence of dict
        Rows of `core.evaluation_score`; those of form native count, which is what ships.
    items : mapping of str to Item
        Image by its identity.
    place : Place
        Split and population that count, as `gated_place` returns them.
    model_id : str
    protocol : EvaluationProtocol

    Returns
    -------
    list of dict
        `gate`, `verdict`, `passed`, `value`, `threshold` and `detail` of `core.gate_verdict`. The value is the lower
        bound of the interval, or the mean where there are too few people for one.
    """
    inside = _inside(scores, items, place)
    person_of = {row["target_image_id"]: items[row["target_image_id"]].person_id for row in inside}
    gained = _differences(inside, person_of, model_id, IDENTITY)
    steered = [
        (person_of[row["target_image_id"]], float(row["value"]))
        for row in inside
        if row["metric"] == "steering_mae" and row["model_id"] == model_id
    ]
    return [
        verdict_on(
            BETTER_THAN_IDENTITY,
            _estimate(gained, protocol),
            protocol.gates.better_than_identity_db,
            _words(place),
            lambda found: f"brain PSNR {found.mean:+.2f} dB{_bounds(found)} against the source as it is",
        ),
        verdict_on(
            PROMPT_STEERS,
            _estimate(steered, protocol),
            protocol.gates.steering_mae,
            _words(place),
            lambda found: (
                f"another contrast in the prompt changes the brain by {100 * found.mean:.1f} %{_bounds(found, 100)}"
                " of the target's range"
            ),
        ),
    ]


def judge_start(
    scores: Sequence[Row], items: Mapping[str, Item], place: Place, model_id: str, protocol: EvaluationProtocol
) -> Row:
    """Return the verdict whether a model is better than the one that its training began with.

    Parameters are those of `judge`; where nobody of the place was measured, validation people count: a lab of few
    people has no test people.
    """
    places = (place, Place("val", place.is_simulated), Place("val", not place.is_simulated))
    found = [(one, rows) for one in places if (rows := _inside(scores, items, one))]
    chosen, inside = found[0] if found else (place, [])
    person_of = {row["target_image_id"]: items[row["target_image_id"]].person_id for row in inside}
    gained = _differences(inside, person_of, model_id, START)
    return verdict_on(
        BETTER_THAN_START,
        _estimate(gained, protocol),
        0.0,
        _words(chosen),
        lambda found: f"brain PSNR {found.mean:+.2f} dB{_bounds(found)} against the model that it began with",
    )


def judge_against(
    scores: Sequence[Row],
    items: Mapping[str, Item],
    place: Place,
    model_id: str,
    protocol: EvaluationProtocol,
    opponent: Opponent,
    n_left_out: int = 0,
) -> Row:
    """Return the verdict whether a model is worse than another one by less than a margin.

    Parameters are those of `judge`, and further:

    Parameters
    ----------
    scores : sequence of dict
        Rows of both models on the same pairs.
    opponent : Opponent
    n_left_out : int
        People who are left out, as the other model has seen them.
    """
    inside = _inside(scores, items, place)
    person_of = {row["target_image_id"]: items[row["target_image_id"]].person_id for row in inside}
    gained = _differences(inside, person_of, model_id, opponent.model_id)
    left_out = f"; {n_left_out} whom it was trained on are left out" if n_left_out else ""
    verdict = verdict_on(
        opponent.gate,
        _estimate(gained, protocol),
        -opponent.margin,
        f"{_words(place)}{left_out}",
        lambda found: f"brain PSNR {found.mean:+.2f} dB{_bounds(found)} against {opponent.words}",
    )
    return verdict | {"against_id": opponent.model_id}


def unknown_people(opponent: Opponent) -> Row:
    """Return the verdict of a comparison with a model of which nobody knows whom it was trained on."""
    row = verdict_on(opponent.gate, None, -opponent.margin, "", str)
    detail = f"the checkpoint of {opponent.words} does not state whom it was trained on"
    return row | {"detail": detail, "against_id": opponent.model_id}


def verdict_on(
    gate: str, found: Estimate | None, threshold: float, split: str, words: Callable[[Estimate], str]
) -> Row:
    """Return the verdict of one gate on an estimate over people.

    Parameters
    ----------
    gate : str
    found : Estimate or None
        None where there is nobody.
    threshold : float
        The interval must lie above it.
    split : str
        Where the people are from, in words.
    words : callable
        Says what was found.
    """
    row: Row = {"gate": gate, "verdict": NOT_ENOUGH_DATA, "passed": False, "value": None, "threshold": threshold}
    row |= {"mean": found.mean if found else None, "n_people": found.n_people if found else 0}
    if found is None:
        return row | {"detail": f"nobody in {split} has the images to measure it on"}
    people = f"{found.n_people} {'person' if found.n_people == 1 else 'people'}"
    detail = f"{words(found)}, mean of {people} in {split}"
    if found.low is None:
        return row | {"value": found.mean, "detail": f"{detail}; an interval takes {MIN_PEOPLE}"}
    verdict = PASSED if found.low > threshold + ROUNDING else FAILED
    return row | {"verdict": verdict, "passed": verdict == PASSED, "value": found.low, "detail": detail}


def _inside(scores: Sequence[Row], items: Mapping[str, Item], place: Place) -> list[Row]:
    """Return the figures in the brain, from file to file, of a split and population."""
    return [
        row
        for row in scores
        if (row["form"], row["split"], row["mask"]) == ("native", place.split, "brain")
        and items[row["target_image_id"]].is_simulated == place.is_simulated
    ]


def _differences(
    rows: Sequence[Row], person_of: Mapping[str, str], model_id: str, baseline: str
) -> list[tuple[str, float]]:
    """Return person and brain PSNR above a baseline, of each pair."""
    values = {
        (row["task"], *row["source_image_ids"], row["target_image_id"], row["model_id"]): float(row["value"])
        for row in rows
        if row["metric"] == "psnr_db"
    }
    return [
        (person_of[key[-2]], value - values[*key[:-1], baseline])
        for key, value in values.items()
        if key[-1] == model_id and (*key[:-1], baseline) in values
    ]


def _words(place: Place) -> str:
    """Return a split and population as a sentence has them: test_internal, simulated."""
    return f"{place.split}{' (simulated)' if place.is_simulated else ''}"


def _estimate(values: list[tuple[str, float]], protocol: EvaluationProtocol) -> Estimate | None:
    people: NDArray[np.float64] = by_person(values)
    settings = {"n_resamples": protocol.n_resamples, "confidence": protocol.confidence, "seed": protocol.seed}
    return estimate(people, **settings)  # type: ignore[arg-type]


def _bounds(found: Estimate, scale: float = 1.0) -> str:
    return "" if found.low is None or found.high is None else f" [{scale * found.low:.2f}, {scale * found.high:.2f}]"
