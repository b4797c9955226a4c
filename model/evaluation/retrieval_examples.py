"""Images beside candidate prompts, as in the paper's figure: one image a contrast, and how well each prompt fits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.evaluation.matching import restricted, signature
from model.evaluation.scorers import Encoder, Seen
from warehouse.prompts.record import PromptRecord, contrast_label, render

N_EXAMPLES, N_CANDIDATES = 4, 8
FIRST = ("T1w", "T2w", "FLAIR", "ceT1w", "PDw", "SWI", "T2starw", "angio")  # shown in this order, where there are any


@dataclass(frozen=True)
class Picture:
    """Voxels of an image.

    Parameters
    ----------
    voxels : (i, j, k) float32 array
        Network intensities.
    brain : (i, j, k) bool array
        Empty where it is not known.
    affine : (4, 4) array
        Voxel to world, RAS+, mm.
    """

    voxels: NDArray[np.float32]
    brain: NDArray[np.bool_]
    affine: NDArray[np.float64]


@dataclass(frozen=True)
class Example:
    """One image and its candidates, the right prompt among them.

    Parameters
    ----------
    picture : Picture
    record : PromptRecord
        What is known of the image.
    candidates : list of PromptRecord
        Best first.
    scores : list of float
        Of each candidate.
    is_simulated : bool
    """

    picture: Picture
    record: PromptRecord
    candidates: list[PromptRecord]
    scores: list[float]
    is_simulated: bool


def choose_examples(
    encoder: Encoder, seen: Seen, is_simulated: Sequence[bool], picture_of: Callable[[int], Picture]
) -> list[Example]:
    """Return an image of each of a few contrasts, real ones first, with prompts of others that state the same fields.

    Parameters
    ----------
    encoder : Encoder
    seen : Seen
    is_simulated : sequence of bool
        Of each image.
    picture_of : callable
        Returns the voxels of an image, by its place in `seen`.
    """
    by_label: dict[str | None, list[int]] = {}
    for place, record in enumerate(seen.records):
        by_label.setdefault(contrast_label(record.contrast, record.post_contrast), []).append(place)
    found: list[Example] = []
    for label in FIRST:
        places = sorted(by_label.get(label, ()), key=lambda place: (is_simulated[place], _hash(seen, place)))
        if not places or len(found) == N_EXAMPLES:
            continue
        own, candidates = places[0], _candidates(seen, places[0])
        if len(candidates) < 2:
            continue
        scores = encoder.among(seen.at([own]), candidates)[0]
        order = np.argsort(-scores, kind="stable")
        ordered = [candidates[int(place)] for place in order]
        picture = picture_of(own)
        found.append(Example(picture, seen.records[own], ordered, scores[order].tolist(), bool(is_simulated[own])))
    return found


def _candidates(seen: Seen, own: int) -> list[PromptRecord]:
    """Return the image's own prompt and others, drawn by a hash, half of them of its contrast where there are any."""
    names = signature(seen.records[own])
    others = [place for place in range(len(seen)) if signature(seen.records[place]) >= names]
    others.sort(key=lambda place: _hash(seen, place, str(own)))
    same = [place for place in others if seen.records[place].contrast == seen.records[own].contrast]
    different = [place for place in others if seen.records[place].contrast != seen.records[own].contrast]
    distinct = {render(seen.records[own]): seen.records[own]}
    for listed, most in ((same, N_CANDIDATES // 2), (different, N_CANDIDATES)):
        for place in listed:
            record = restricted(seen.records[place], names)
            if len(distinct) < most:
                distinct.setdefault(render(record), record)
    return list(distinct.values())


def _hash(seen: Seen, place: int, *more: str) -> str:
    parts = (render(seen.records[place]), seen.people[place], str(place), *more)
    return hashlib.sha256("/".join(parts).encode()).hexdigest()
