"""Compare the training people of the published catalogue with those that a model has learned from, and record it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from model.evaluation.drift import DriftLimits, DriftScore, drift_scores, is_known, read_people
from pipelines.runtime.operations import Drift
from warehouse.catalog import model_registry, snapshots
from warehouse.catalog.query import Catalogue
from warehouse.lake.home import Home
from warehouse.provenance import source_hash

if TYPE_CHECKING:
    import pandas as pd

    from model.data.catalogue import CatalogueImages

SCORE = "core.drift_score"


@dataclass(frozen=True)
class Comparison:
    """Whether new training people differ from those that a model has learned from.

    Parameters
    ----------
    drift_id : str
        Hash of model, data, recipe, settings and code.
    model_id, data_id : str
    scores : list of DriftScore
        As `model.evaluation.drift.drift_scores` returns them.
    """

    drift_id: str
    model_id: str
    data_id: str
    scores: list[DriftScore]

    @property
    def drifted(self) -> list[DriftScore]:
        """Fields that drifted, the most different one first."""
        return [one for one in self.scores if one.verdict == "drifted"]

    @property
    def n_tested(self) -> int:
        """Number of fields that had people enough."""
        return sum(one.verdict != "not_enough_data" for one in self.scores)

    def in_words(self) -> str:
        """Return the finding in a sentence."""
        if not self.n_tested:
            return "drift: there are not enough new people to compare any field"
        whom = f"from the people of model {self.model_id}"
        if not self.drifted:
            return f"drift: none of {self.n_tested} fields differs {whom}"
        shown = "; ".join(f"{name_of(one)} was {one.known_values} and is {one.new_values}" for one in self.drifted[:3])
        return f"drift: {len(self.drifted)} of {self.n_tested} fields differ {whom}: {shown}"

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of `core.drift_score`."""
        found = []
        for one in self.scores:
            place = f"{self.drift_id}/{one.field}/{one.contrast}/{one.aspect}"
            values = asdict(one) | {"contrast_label": one.contrast, "test": one.test or None}
            del values["contrast"]
            ids = {"drift_id": self.drift_id, "model_id": self.model_id, "data_id": self.data_id}
            found.append({"event_id": hashlib.sha256(place.encode()).hexdigest()[:32], **ids, **values})
        return found


def name_of(score: DriftScore) -> str:
    """Return the name of a compared field for people, e.g. ``echo_time_s of T2w``."""
    if score.field == "contrast":
        return f"share with {score.contrast}"
    name = f"{score.field} of {score.contrast}" if score.contrast else score.field
    return f"presence of {name}" if score.aspect == "presence" else name


def compare(
    home: Home,
    images: CatalogueImages,
    model_id: str,
    learned: frozenset[str],
    settings: Drift,
    centers: Sequence[str] = (),
) -> Comparison:
    """Compare the new training people of a catalogue with those that a model has learned from.

    Parameters
    ----------
    images : CatalogueImages
        Of the training people.
    model_id : str
    learned : frozenset of str
        SHA-256 of the identities of its people.
    settings : Drift
    centers : sequence of str
        Whose people; none: those of all.
    """
    import pandas as pd

    limits = DriftLimits(settings.least_people, settings.significance, settings.least_effect)
    with Catalogue(home, images.snapshot_id).connect() as connection:
        people = read_people(connection, images.recipe_id, centers)
    known = is_known(people["person_id"].tolist(), learned)
    former = _former_people(home, images.recipe_id, model_id, learned, set(people["person_id"]))
    reference = people[known] if former is None else pd.concat([people[known], former], ignore_index=True)
    identity = [model_id, images.data_id, images.recipe_id, sorted(centers), settings.model_dump()]
    identity += [source_hash("model.evaluation.drift", ("model.evaluation.drift",))]
    drift_id = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    return Comparison(drift_id, model_id, images.data_id, drift_scores(reference, people[~known], limits))


def record_comparison(home: Home, comparison: Comparison) -> None:
    """Record a comparison, once."""
    if not model_registry.statements(home, SCORE, drift_id=comparison.drift_id):
        model_registry.record(home, SCORE, comparison.rows())


def _former_people(
    home: Home, recipe_id: str, model_id: str, learned: frozenset[str], present: set[str]
) -> pd.DataFrame | None:
    """Return the people of a model who left the catalogue, from the snapshot that it was trained on, if it is kept."""
    import duckdb

    versions = model_registry.statements(home, model_registry.VERSION, model_id=model_id)
    runs = model_registry.statements(home, model_registry.RUN, run_id=versions[0]["run_id"]) if versions else []
    if not runs or runs[0]["snapshot_id"] not in snapshots.existing(home):
        return None
    try:
        with Catalogue(home, runs[0]["snapshot_id"]).connect() as connection:
            people = read_people(connection, recipe_id)
    except duckdb.Error:  # another version of the tables
        return None
    persons = people["person_id"].tolist()
    return people[is_known(persons, learned) & ~people["person_id"].isin(present).to_numpy(bool)]
