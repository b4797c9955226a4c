"""Whose images a synthesis network learns from, and whose its validation curve is measured on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model.data.catalogue import CatalogueImages, training_hashes
from model.data.folds import CROSS_VALIDATION
from model.evaluation.pairs import SIMULATED_ONLY, refuse_leakage
from model.training.config import SynthesisTraining
from warehouse.lake.home import Home


def people_of(home: Home, config: SynthesisTraining) -> tuple[CatalogueImages, CatalogueImages]:
    """Return the images of training and of validation people, of one snapshot.

    They are those of the splits train and val; where a fold is held out, those of the other folds and of this one.

    Parameters
    ----------
    home : Home
    config : SynthesisTraining

    Raises
    ------
    ModelError
        As `CatalogueImages.open` raises it.
    """
    chosen: dict[str, Any] = {"centers": config.centers, "fold": config.fold}
    training = CatalogueImages.open(home, config.recipe, ["train"], **chosen)
    others = CROSS_VALIDATION if config.fold else "val"
    return training, CatalogueImages.open(home, config.recipe, [others], snapshot=training.snapshot_id, **chosen)


def refuse_known(held_out: CatalogueImages, training: CatalogueImages, before: Mapping[str, Any]) -> None:
    """Raise where people of a fold are known to the network's training, before hours are spent on it.

    Parameters
    ----------
    held_out, training : CatalogueImages
        People of the fold, and of the others.
    before : mapping
        Configuration of the checkpoint that the training takes up: its text encoder, or the model that it begins with.

    Raises
    ------
    ModelError
        When that model has learned from people of the fold, or a scan of theirs is among those of training under
        another person's name.
    """
    begun = before.get("kind") == "synthesis"
    remedy = "begin with no model that knows them: leave out init" if begun else SIMULATED_ONLY
    refuse_leakage(held_out.items, before.get("trained_on", {}), f"model {before['model_id']}", remedy)
    twice = "give both people of such a scan one person_id, then ingest and publish again"
    refuse_leakage(held_out.items, training_hashes(training.items), "the new model", twice)
