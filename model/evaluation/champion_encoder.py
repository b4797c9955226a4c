"""Compare a text encoder with the champion: the share of the same images that find their contrast, by person.

Images of people whom the champion was trained on are left out, as in `model.evaluation.champion`. Echo times are asked
of simulated scans that are drawn anew, and have a gate of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.boxes import Box, BoxedImages
from model.data.catalogue import CatalogueImages
from model.evaluation import gates
from model.evaluation.matching import contrast_found
from model.evaluation.pairs import seen_by
from model.evaluation.retrieval import drawn_images, gated_images, seen_items
from model.evaluation.retrieval_protocol import RetrievalProtocol
from model.evaluation.score_rows import Row, hashed, identify
from model.evaluation.scorers import Encoder
from model.evaluation.statistics import MIN_PEOPLE, Estimate, by_person, estimate, estimate_share
from model.networks.checkpoint import read_model
from model.networks.pair_encoder import Matcher
from warehouse.lake.home import Home


def compare_encoders(
    home: Home,
    path: Path,
    protocol: RetrievalProtocol,
    opponent: gates.Opponent,
    other: Path,
    *,
    device: str = "cpu",
    snapshot: str | None = None,
) -> Row:
    """Return the row of `core.gate_verdict` that compares a text encoder with another one. Nothing is written.

    Parameters
    ----------
    home : Home
    path, other : Path
        Checkpoints of kind text_encoder, of one recipe.
    protocol : RetrievalProtocol
    opponent : Opponent
        The other one, and by which share of images the first may be worse.
    device : {"cpu", "cuda"}
    snapshot : str, optional
        Catalogue to read; default: the one in force.

    Raises
    ------
    ModelError
        When a model is unusable, or its recipe has made no volumes.
    """
    config, tensors = read_model(path)
    other_config, other_tensors = read_model(other)
    images = CatalogueImages.open(home, config["recipe_id"], protocol.splits, cache_bytes=0, snapshot=snapshot)
    drawn = drawn_images(images.items, protocol)
    split, inside = gated_images([images.items[place] for place in drawn])
    tested, trained_on = [drawn[place] for place in inside], other_config.get("trained_on")
    if trained_on is None:
        verdict = gates.unknown_people(opponent)
    else:
        fair = [place for place in tested if not any(seen_by([images.items[place]], trained_on).values())]
        own = _found(images, fair, config, Matcher(config, tensors, device))
        theirs = _found(images, fair, other_config, Matcher(other_config, other_tensors, device))
        people = [images.items[place].person_id for place in fair]
        left_out = {images.items[place].person_id for place in tested} - set(people)
        verdict = judge_shares(people, own, theirs, opponent, split, len(left_out))
    place = {"model_id": str(config["model_id"]), "data_id": images.data_id, "protocol_hash": protocol.hash}
    digest = hashed(identify(*place.values()), verdict["gate"], opponent.model_id, repr(verdict["threshold"]))
    return {"event_id": digest, **place, "snapshot_id": images.snapshot_id, **verdict}


def judge_shares(
    people: Sequence[str],
    own: NDArray[np.float64],
    theirs: NDArray[np.float64],
    opponent: gates.Opponent,
    split: str,
    n_left_out: int = 0,
) -> Row:
    """Return the verdict whether people's images find their contrast as often as with another encoder.

    Where both encoders find the same, as good ones do, all differences are equal, and a bootstrap has no width. Ten
    people without a difference do not show that others have none: one in four may lose everything. So the interval
    then allows for people who are unlike all of these, by the exact bound of their share, and lose or gain everything.
    Where that is too wide to tell, the verdict is `not_enough_data`.

    Parameters
    ----------
    people : sequence of str
        Of each image.
    own, theirs : (n,) arrays
        Share of each image; NaN where it is not asked.
    opponent : Opponent
    split : str
        Where the people are from.
    n_left_out : int
        People who are left out, as the other encoder has seen them.
    """
    gained = own - theirs
    values = by_person(
        (person, gain) for person, gain in zip(people, gained.tolist(), strict=True) if np.isfinite(gain)
    )
    left_out = f"; {n_left_out} whom it was trained on are left out" if n_left_out else ""

    def words(found: Estimate) -> str:
        bounds = "" if found.low is None else f" [{100 * found.low:+.1f}, {100 * (found.high or 0):+.1f}]"
        return f"{100 * found.mean:+.1f} points{bounds} of images find their contrast, against {opponent.words}"

    is_even = len(values) >= MIN_PEOPLE and np.ptp(values) < gates.ROUNDING
    found, threshold = _of_equals(values) if is_even else estimate(values), -opponent.margin
    verdict = gates.verdict_on(opponent.gate, found, threshold, f"{split}{left_out}", words)
    if is_even and verdict["verdict"] == gates.FAILED and found and found.mean > threshold + gates.ROUNDING:
        detail = f"{verdict['detail']}; all have the same difference, and they are too few to speak for others"
        verdict |= {"verdict": gates.NOT_ENOUGH_DATA, "value": found.mean, "detail": detail}
    return verdict | {"against_id": opponent.model_id}


def _of_equals(values: NDArray[np.float64]) -> Estimate:
    """Return the mean of equal differences of shares, and an interval that allows for people who are unlike them."""
    mean, unlike = float(values.mean()), estimate_share(np.zeros(len(values)))
    assert unlike is not None and unlike.high is not None  # noqa: PT018 - there are ten people
    return Estimate(mean, mean - unlike.high * (1 + mean), mean + unlike.high * (1 - mean), len(values))


def _found(
    images: CatalogueImages, places: Sequence[int], config: Mapping[str, Any], matcher: Matcher
) -> NDArray[np.float64]:
    """Return for each image whether it finds its contrast."""
    if not places:
        return np.zeros(0)
    box = Box(tuple(config["box"]["shape"]), config["box"]["voxel_mm"])
    boxed = BoxedImages(images, box)
    vectors = matcher.embed_volumes(boxed.volume(place) for place in places)
    return contrast_found(Encoder(matcher), seen_items([images.items[place] for place in places], vectors))
