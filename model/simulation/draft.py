"""One simulated centre while it is written: in folders beside its places, until all of it is there."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import yaml

from model.simulation import truth
from model.simulation.layouts import CenterPlan, Place, definition_of, plan_of
from model.simulation.layouts.plan import table_bytes
from model.simulation.people import enrol
from model.simulation.scan import CohortSettings, Visit
from warehouse.centers.registry import Center
from warehouse.ingest.visits import visit_of_age
from warehouse.lake import atomic

SCANS, MARK = "scans.csv", "made_of.json"
COMMENTS = {
    "oasis3": "# PDw is no contrast of the real dataset: here an external centre must offer every contrast.\n",
    "ucsf_pdgm": "# The real dataset is skull-stripped and coregistered; here whole heads lie as they were scanned.\n",
}


@dataclass(frozen=True)
class Draft:
    """A centre that is being written.

    Parameters
    ----------
    name : str
        Of the real centre.
    visits : tuple of Visit
        What is to be imaged.
    scans, truth : Path
        Folders beside the places that they are renamed to.
    """

    name: str
    plan: CenterPlan
    center: Center
    visits: tuple[Visit, ...]
    scans: Path
    truth: Path

    def discard(self) -> None:
        """Remove what was written and not finished."""
        shutil.rmtree(self.scans, ignore_errors=True)
        shutil.rmtree(self.truth, ignore_errors=True)


def draft_of(out: Path, name: str, settings: CohortSettings) -> Draft:
    """Plan a centre; nothing is written yet.

    Parameters
    ----------
    out : Path
        Of the cohort.
    name : str
        Of the real centre.
    """
    plan = plan_of(name, enrol(name, settings.n_subjects, settings.seed))
    center = definition_of(name, plan)
    scans = atomic.temporary_beside(out / center.center_id)
    maps = atomic.temporary_beside(out / "truth" / center.center_id)
    by_visit = groupby(sorted(plan.places, key=_visit), _visit)
    visits = tuple(Visit(center, tuple(places), settings, scans, maps) for _, places in by_visit)
    return Draft(name, plan, center, visits, scans, maps)


def finish(out: Path, draft: Draft, mark: str, rows: list[truth.Row]) -> None:
    """Add tables and truth, and put the centre into its place; its root comes last, as the sign that all is there.

    Parameters
    ----------
    mark : str
        What the centre was made of, to know it again.
    rows : list of dict
        Of all its scans, as `truth.scan_row` makes them.
    """
    for table in draft.plan.tables:
        _write(draft.scans / table.path, table_bytes(table))
    for path, text in draft.plan.texts.items():
        _write(draft.scans / path, text.encode())
    _write(draft.truth / SCANS, truth.table_text(_with_told(draft.plan, draft.center, rows), truth.COLUMNS).encode())
    _write(draft.truth / MARK, mark.encode())
    name = draft.center.center_id
    root, maps = out / name, out / "truth" / name
    for old in (root, maps):
        _replace_by_nothing(old)
    os.replace(draft.truth, maps)
    document = draft.center.model_dump(mode="json", exclude_defaults=True)
    definition = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    atomic.write_text(out / f"{name}.yaml", COMMENTS.get(draft.name, "") + definition)
    os.replace(draft.scans, root)


def _visit(place: Place) -> tuple[int, int]:
    return place.person.number, place.visit


def _with_told(plan: CenterPlan, center: Center, rows: Iterable[truth.Row]) -> list[truth.Row]:
    """Return rows with what the tables tell of people: an age of the visit, or one that belongs to this visit."""
    rows = list(rows)
    people = {person.participant_id: person for person in plan.participants}
    visits = {(visit.participant_id, visit.session_label): visit.age_years for visit in plan.sessions}
    scanned: dict[str, set[str | None]] = defaultdict(set)
    for row in rows:
        scanned[str(row["participant_id"])].add(_label(row))
    labels = {label for some in scanned.values() for label in some if label}
    is_of_enrolment = any(table.age and table.age.at_baseline for table in center.layout.participants)
    told = []
    for row in rows:
        person, label = people[str(row["participant_id"])], _label(row)
        own = visits.get((person.participant_id, label or ""))
        has_own = any(name == person.participant_id for name, _ in visits)
        chosen = None if is_of_enrolment or has_own else visit_of_age(scanned[person.participant_id], labels)
        is_told = chosen == (label,)
        facts = (person.age_years, person.age_low_years, person.age_high_years) if is_told else (own, None, None)
        names = ("told_sex", "told_age_years", "told_age_low_years", "told_age_high_years")
        told.append(row | dict(zip(names, (person.sex, *facts), strict=True)))
    return told


def _label(row: truth.Row) -> str | None:
    return str(row["session_label"]) if row["session_label"] else None


def _replace_by_nothing(folder: Path) -> None:
    """Remove a folder so that no half of it is ever seen under its name."""
    if folder.exists():
        away = atomic.temporary_beside(folder)
        os.replace(folder, away)
        shutil.rmtree(away)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
