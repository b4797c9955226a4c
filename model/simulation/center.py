"""One simulated centre: imaging its visits into temporary folders, and putting these into place when all is written."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from model.physics.protocol import SequenceProtocol
from model.simulation import truth
from model.simulation.defects import readable_fields, spoil_sidecar
from model.simulation.files import nifti_bytes, sidecar_fields
from model.simulation.head import Head, make_head
from model.simulation.layouts import CenterPlan, Place, definition_of, plan_of
from model.simulation.layouts.plan import table_bytes
from model.simulation.people import enrol
from model.simulation.protocols import draw
from model.simulation.scanner import acquire, center_of, random_pose, scanner_of
from model.simulation.seeds import seed_of, stream
from warehouse.centers.registry import Center
from warehouse.ingest.visits import visit_of_age
from warehouse.lake import atomic

TILT_DEG = 8.0  # standard deviation about left-right of oblique slices, which follow the base of the brain
MOVED_DEG, MOVED_MM = 0.7, 1.0  # from scan to scan of a visit, standard deviation about and along each axis
MOST_STRETCHED = 1.4  # a voxel made coarser keeps its shape up to here


@dataclass(frozen=True)
class CohortSettings:
    """What makes a cohort: the same settings, the same bytes.

    Parameters
    ----------
    resolution_mm : float
        Of the heads, and the finest edge of any voxel.
    """

    n_subjects: int
    seed: int
    resolution_mm: float


@dataclass(frozen=True)
class Visit:
    """All scans of one person on one day; the unit of work."""

    center: Center
    places: tuple[Place, ...]
    settings: CohortSettings
    scans: Path
    truth: Path


def image_visit(visit: Visit) -> list[truth.Row]:
    """Make a head, write its scans and its truth, and return the rows of the scans."""
    place, settings = visit.places[0], visit.settings
    head = make_head(place.person.at(place.visit), settings.resolution_mm)
    scanner = scanner_of(place.person.center_id, place.person.number)
    for name, content in truth.head_files(head, scanner.field_strength_t).items():
        _write(visit.truth / truth.folder_of(place) / name, content)
    return [_image(visit, place, head) for place in visit.places]


def _image(visit: Visit, place: Place, head: Head) -> truth.Row:
    """Draw a protocol for an image, by the image alone, and write what the scanner makes of it."""
    scan_seed = scan_seed_of(visit.settings, visit.center.center_id, place)
    scanner = scanner_of(place.person.center_id, place.person.number)
    protocol = protocol_of(place, scan_seed)
    size = voxel_size_at(place.look.voxel_size_mm, visit.settings.resolution_mm)
    pose = _pose(visit, place, head, scan_seed)
    tilt = float(np.clip(stream(scan_seed, "tilt").normal(0, TILT_DEG), -20, 20)) if place.look.is_oblique else 0.0
    acquired = acquire(
        head,
        protocol,
        scanner,
        voxel_size_mm=size,
        axcodes=place.look.axcodes,
        pose=pose,
        tilt_deg=(tilt, 0.0, 0.0),
        seed=scan_seed,
    )
    fields = sidecar_fields(protocol, scanner, size, scan_seed)
    content = spoil_sidecar(fields, place.defect)
    _write(visit.scans / place.path, nifti_bytes(acquired, place.path, place.defect))
    if content is not None:
        _write(visit.scans / sidecar_path(place.path), content)
    told = readable_fields(fields, place.defect)
    return truth.scan_row(
        visit.center, place, protocol, scanner, acquired, size, place.look.axcodes, pose, scan_seed, told
    )


def scan_seed_of(settings: CohortSettings, center_id: str, place: Place) -> int:
    """Return the seed of everything that is drawn for one image: its protocol, how the head moved, its noise."""
    return seed_of(settings.seed, "scan", center_id, place.path)


def protocol_of(place: Place, scan_seed: int) -> SequenceProtocol:
    """Return the protocol of an image: within its contrast it goes with neither centre nor person."""
    field_strength_t = scanner_of(place.person.center_id, place.person.number).field_strength_t
    return draw(place.contrast, stream(scan_seed, "protocol"), field_strength_t, place.is_post_contrast)


def _pose(visit: Visit, place: Place, head: Head, scan_seed: int) -> NDArray[np.float64]:
    """Return how the head lies during one scan: as it was put down for the visit, and moved a little since."""
    person, middle = place.person, center_of(head.fractions.shape, head.affine)
    put_down = stream(visit.settings.seed, "put down", visit.center.center_id, person.number, place.visit)
    pose = random_pose(put_down, middle)
    moved = random_pose(stream(scan_seed, "moved"), pose[:3, :3] @ middle + pose[:3, 3], MOVED_DEG, MOVED_MM)
    together: NDArray[np.float64] = moved @ pose
    return together


def voxel_size_at(real_mm: Sequence[float], resolution_mm: float) -> tuple[float, float, float]:
    """Return a layout's voxel at the resolution of the phantom: no edge finer, slices as thick as they are.

    Examples
    --------
    >>> voxel_size_at((0.9375, 0.9375, 1.2), 3.0), voxel_size_at((0.9, 0.9, 5.0), 3.0)
    ((3.0, 3.0, 3.84), (3.0, 3.0, 5.0))
    """
    finest = min(real_mm)
    shape = [min(edge / finest, MOST_STRETCHED) * resolution_mm for edge in real_mm]
    i, j, k = (
        round(edge if finest >= resolution_mm else max(edge, scaled), 4)
        for edge, scaled in zip(real_mm, shape, strict=True)
    )
    return i, j, k


def sidecar_path(path: str) -> str:
    """Return the path of the JSON beside an image."""
    return path.removesuffix(".gz").removesuffix(".nii") + ".json"


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
