"""Rows of `core.evaluation_score`: a figure of a model on a pair by a protocol has one identity."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from model.data.catalogue import CatalogueImages
from model.evaluation.pairs import TestPair
from model.evaluation.protocol import EvaluationProtocol, Form
from model.evaluation.references import Figures

REFUSED = ("refused", "volume")  # measure and mask of a pair that has no figure, so that leaving it out is seen
Row = dict[str, Any]


def identify(model_id: str, data_id: str, protocol_hash: str) -> str:
    """Return the identity of an evaluation, 16 hexadecimal digits."""
    return hashed(model_id, data_id, protocol_hash)[:16]


def score_rows(
    images: CatalogueImages,
    protocol: EvaluationProtocol,
    evaluation_id: str,
    model_id: str,
    form: Form,
    pair: TestPair,
    values: Figures,
) -> Iterator[Row]:
    """Yield the rows of a pair.

    Parameters
    ----------
    evaluation_id : str
        As `identify` returns it.
    model_id : str
        Model or baseline.
    values : dict
        Figures by measure and mask.
    """
    sources = [images.items[index].image_id for index in pair.sources]
    target = images.items[pair.target].image_id
    for (metric, mask), value in values.items():
        key = (model_id, form, pair.task, pair.split, "+".join(sources), target, metric, mask)
        yield {
            "event_id": hashed(evaluation_id, *key),
            "evaluation_id": evaluation_id,
            "model_id": model_id,
            "data_id": images.data_id,
            "protocol_hash": protocol.hash,
            "form": form,
            "task": pair.task,
            "split": pair.split,
            "source_image_ids": sources,
            "target_image_id": target,
            "metric": metric,
            "mask": mask,
            "value": value,
        }


def hashed(*parts: str) -> str:
    """Return the identity of a record, 32 hexadecimal digits."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:32]
