"""Recognise the contrast of a scan by the image tower of stage 1."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from model.data.boxes import Box, resampled
from model.inference.scans import Prepared
from model.networks.checkpoint import read_model
from model.networks.pair_encoder import Matcher
from model.networks.weights import shipped
from warehouse.catalog import model_registry
from warehouse.errors import ModelError
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord
from warehouse.prompts.vocabulary import CONTRAST_LABELS

LEAST_LEAD = 0.1  # of the cosine of the best contrast over the next one


def recognised(scan: Prepared, home: Home | None, labels: Sequence[str] = CONTRAST_LABELS) -> tuple[str | None, str]:
    """Return the contrast that a scan looks most like, and how that was found.

    A synthesis model holds the text tower of stage 1 alone, so the home's champion of kind text_encoder is asked, else
    the one that ships.

    Parameters
    ----------
    scan : Prepared
    home : Home or None
    labels : sequence of str
        Contrasts to choose from, as prompts write them.

    Returns
    -------
    label : str or None
        None where there is no text encoder to ask, or it is undecided: a wrong contrast is worse than an unknown one.
    said : str
    """
    model_id = None if home is None else model_registry.champion(home, "text_encoder")
    path = shipped("text_encoder") if home is None or model_id is None else home.models / model_id
    if path is None:
        return None, "the home has no champion of kind text_encoder that could recognise it, and none ships"
    model_id = model_id or "of this version"
    try:
        matcher, box = _matcher(path)
        floor = float(scan.voxels.min()) if scan.seen is None else float(scan.voxels[~scan.seen].min())
        volume = resampled(scan.voxels, scan.grid.affine, scan.mask, box, floor)
        image = matcher.embed_volumes([volume])[0]
    except (ModelError, KeyError, RuntimeError) as error:
        reason = error.what if isinstance(error, ModelError) else str(error)
        return None, f"text encoder {model_id} cannot recognise it: {reason}"
    scores = matcher.embed_records([_record(label) for label in labels]) @ image
    order = [int(place) for place in np.argsort(scores)[::-1]]
    listed = ", ".join(f"{labels[place]} {scores[place]:.2f}" for place in order[:2])
    if len(order) > 1 and scores[order[0]] - scores[order[1]] < LEAST_LEAD:
        return None, f"text encoder {model_id} is undecided ({listed})"
    return labels[order[0]], f"recognised by text encoder {model_id} ({listed})"


def _record(label: str) -> PromptRecord:
    return PromptRecord(contrast=label.removeprefix("ce"), post_contrast=label.startswith("ce"))


@lru_cache(maxsize=1)
def _matcher(path: Path) -> tuple[Matcher, Box]:
    config, tensors = read_model(path)
    return Matcher(config, tensors), Box(tuple(config["box"]["shape"]), float(config["box"]["voxel_mm"]))
