"""Refusal of tests on people or scans that a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from model.data.catalogue import Item, training_hashes
from warehouse.errors import ModelError

TrainedOn = Mapping[str, Sequence[str]]  # as `training_hashes` returns it; empty for checkpoints of older versions


def refuse_leakage(tested: Sequence[Item], trained_on: TrainedOn, model_id: str) -> None:
    """Raise where a person or a scan to be tested is among those that a model was trained on.

    Parameters
    ----------
    tested : sequence of Item
        Images of the splits to be tested.
    trained_on : mapping of str to sequence of str
        Hashes of people and of source files, from the checkpoint.
    model_id : str

    Raises
    ------
    ModelError
        Naming how many people and scans, and what to do.
    """
    shared = {what: set(hashes) & set(trained_on.get(what, ())) for what, hashes in training_hashes(tested).items()}
    if any(shared.values()):
        counts = f"{len(shared['people'])} people and {len(shared['scans'])} scans"
        raise ModelError(
            f"{counts} to be tested are among those that model {model_id} was trained on",
            "train again on the catalogue in force, or fix the split of these people in the centre's definition",
        )
