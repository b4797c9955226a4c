"""Folds of cross-validation: who is held out of a training and tested by its model, drawn by person."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warehouse.errors import ModelError

CROSS_VALIDATION = "cross_validation"  # split of the people who are held out; those of the other folds are in train
FOLD_SPLITS = ("train", CROSS_VALIDATION)
DEALT = ("train", "val", "test_internal")  # splits of the catalogue whose people are dealt to folds


def deal(people: Iterable[tuple[str, str]], n_folds: int) -> dict[str, int]:
    """Return the fold of every person, from 0: the same for the same people, in whatever order they are given.

    People of a centre are dealt in turn, in the order of a hash; the next centre goes on where the one before stopped.
    So every fold has its share of every centre, and the sizes of folds differ by one at most. The largest centre comes
    first.

    Parameters
    ----------
    people : iterable of (str, str)
        Person and centre. A person may come several times; the first of several centres by name counts.
    n_folds : int
    """
    center_of: dict[str, str] = {}
    for person, center in people:
        center_of[person] = min(center, center_of.get(person, center))
    sizes = Counter(center_of.values())

    def turn(person: str) -> tuple[int, str, str]:
        center = center_of[person]
        return -sizes[center], center, hashlib.sha256(f"fold of {person}".encode()).hexdigest()

    return {person: place % n_folds for place, person in enumerate(sorted(center_of, key=turn))}


@dataclass(frozen=True)
class Fold:
    """One fold of a cross-validation, whose people are held out.

    Parameters
    ----------
    number : int
        From 0.
    n_folds : int

    Raises
    ------
    ModelError
        When there is no such fold.
    """

    number: int
    n_folds: int

    def __post_init__(self) -> None:
        if self.n_folds < 2 or not 0 <= self.number < self.n_folds:
            what = f"there is no fold {self.number} of {self.n_folds}"
            raise ModelError(what, "ask for two folds or more; they are counted from 0")

    @classmethod
    def of(cls, training: Mapping[str, Any] | None) -> Fold | None:
        """Return the fold that a training holds out, from its configuration; None where it holds out none."""
        if training is None or training.get("held_out_fold") is None:
            return None
        return cls(training["held_out_fold"], training["n_folds"])

    def split(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the images of one population with `train` or `cross_validation` as their split.

        Real people are dealt where there are any, and simulated ones where there are none: the two are never mixed.
        People of whom every image is flagged are left out.

        Parameters
        ----------
        rows : sequence of dict
            All images of the splits `DEALT`: `person_id`, `center_id`, `is_simulated` and `is_flagged` of each.

        Raises
        ------
        ModelError
            When there are fewer people than folds.
        """
        usable = [row for row in rows if not row["is_flagged"]]
        is_simulated = all(row["is_simulated"] for row in usable)
        people = [(row["person_id"], row["center_id"]) for row in usable if row["is_simulated"] == is_simulated]
        folds = deal(people, self.n_folds)
        if len(folds) < self.n_folds:
            what = f"{len(folds)} people cannot be dealt to {self.n_folds} folds"
            raise ModelError(what, "harmonise more people, or ask for fewer folds")
        names = {True: CROSS_VALIDATION, False: "train"}
        dealt = [row for row in rows if row["person_id"] in folds and row["is_simulated"] == is_simulated]
        return [row | {"split": names[folds[row["person_id"]] == self.number]} for row in dealt]


def catalogue_splits(split: str) -> tuple[str, ...]:
    """Return the splits of the catalogue that people of a tested split are in."""
    return DEALT if split == CROSS_VALIDATION else (split,)
