"""What a model must reach before anybody uses it: one verdict each, with its figure and what it was held against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.evaluation.floors import IDENTITY
from model.evaluation.protocol import Protocol
from model.evaluation.statistics import Estimate, by_person, estimate

BETTER_THAN_IDENTITY, PROMPT_STEERS = "better_than_identity", "prompt_steers"
GATED_SPLIT = "test_internal"  # the data that a model may be judged by; external data are looked at, not tuned to

Row = dict[str, Any]


def judge(scores: Sequence[Row], person_of: Mapping[str, str], model_id: str, protocol: Protocol) -> list[Row]:
    """Return the verdicts on an evaluation, by its internal test pairs.

    Parameters
    ----------
    scores : sequence of dict
        Rows of `core.evaluation_score`.
    person_of : mapping of str to str
        Person of each image.
    model_id : str
    protocol : Protocol

    Returns
    -------
    list of dict
        `gate`, `passed`, `value`, `threshold` and `detail` of `core.gate_verdict`. A gate without data has no value
        and is not passed.
    """
    inside = [row for row in scores if row["split"] == GATED_SPLIT and row["mask"] == "brain"]
    gained = _differences(inside, person_of, model_id, IDENTITY)
    steered = [
        (person_of[row["target_image_id"]], float(row["value"]))
        for row in inside
        if row["metric"] == "steering_mae" and row["model_id"] == model_id
    ]
    return [
        _verdict(
            BETTER_THAN_IDENTITY,
            _estimate(gained, protocol),
            protocol.gates.better_than_identity_db,
            lambda found: f"brain PSNR {found.mean:+.2f} dB{_bounds(found)} against the source as it is",
        ),
        _verdict(
            PROMPT_STEERS,
            _estimate(steered, protocol),
            protocol.gates.steering_mae,
            lambda found: (
                f"another contrast in the prompt changes the brain by {100 * found.mean:.1f} %{_bounds(found, 100)}"
                " of the range from black to white"
            ),
        ),
    ]


def _differences(
    rows: Sequence[Row], person_of: Mapping[str, str], model_id: str, floor: str
) -> list[tuple[str, float]]:
    """Return person and brain PSNR above a floor, of each pair."""
    values = {
        (row["task"], *row["source_image_ids"], row["target_image_id"], row["model_id"]): float(row["value"])
        for row in rows
        if row["metric"] == "psnr_db"
    }
    return [
        (person_of[key[-2]], value - values[*key[:-1], floor])
        for key, value in values.items()
        if key[-1] == model_id and (*key[:-1], floor) in values
    ]


def _estimate(values: list[tuple[str, float]], protocol: Protocol) -> Estimate | None:
    people: NDArray[np.float64] = by_person(values)
    settings = {"n_resamples": protocol.n_resamples, "confidence": protocol.confidence, "seed": protocol.seed}
    return estimate(people, **settings)  # type: ignore[arg-type]


def _verdict(gate: str, found: Estimate | None, threshold: float, words: Callable[[Estimate], str]) -> Row:
    if found is None:
        detail = f"there is no pair in {GATED_SPLIT} to measure it on"
        return {"gate": gate, "passed": False, "value": None, "threshold": threshold, "detail": detail}
    people = f"{found.n_people} {'person' if found.n_people == 1 else 'people'}"
    detail = f"{words(found)}, mean of {people} in {GATED_SPLIT}"
    passed = found.mean > threshold
    return {"gate": gate, "passed": passed, "value": found.mean, "threshold": threshold, "detail": detail}


def _bounds(found: Estimate, scale: float = 1.0) -> str:
    return "" if found.low is None or found.high is None else f" [{scale * found.low:.2f}, {scale * found.high:.2f}]"
