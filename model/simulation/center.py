"""One simulated centre: its visits are imaged into temporary folders, which are renamed when everything is written."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Sequence
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
from model.simulation.protocols import draw_protocol
from model.simulation.scanner import Scanner, acquire, center_of, random_pose, scanner_of
from model.simulation.seeds import seed_of, stream
from warehouse.centers.registry import Center
from warehouse.ingest.visits import visit_of_age
from warehouse.lake import atomic

TILT_DEG = 8.0  # standard deviation about left-right of oblique slices, which follow the base of the brain
MOVED_DEG, MOVED_MM = 0.7, 1.0  # motion between scans of a visit, standard deviation about and along each axis
MOST_STRETCHED = 1.4  # largest ratio of edges that a voxel keeps when it is made coarser
SCANS, MARK = "scans.csv", "made_of.json"
COMMENTS = {
    "oasis3": "# PDw is no contrast of the real dataset: here an external centre must offer every contrast.\n",
    "ucsf_pdgm": "# The real dataset is skull-stripped and coregistered; here whole heads lie as they were scanned.\n",
}


@dataclass(frozen=True)
class CohortSettings:
    """The settings of a cohort; equal settings give equal bytes.

    Parameters
    ----------
    n_subjects : int
        Per centre.
    seed : int
    resolution_mm : float
        Of the heads, and the finest edge of any voxel.
    """

    n_subjects: int
    seed: int
    resolution_mm: float


@dataclass(frozen=True)
class Visit:
    """All scans of one person on one day; the unit of work.

    Parameters
    ----------
    scans, truth : Path
        Folders to write into.
    """

    center: Center
    places: tuple[Place, ...]
    settings: CohortSettings
    scans: Path
    truth: Path


@dataclass(frozen=True)
class StagedCenter:
    """A centre in temporary folders.

    Parameters
    ----------
    name : str
        Of the real centre.
    visits : tuple of Visit
        To be imaged.
    scans, truth : Path
        Folders beside those that they are renamed to.
    """

    name: str
    plan: CenterPlan
    center: Center
    visits: tuple[Visit, ...]
    scans: Path
    truth: Path

    def discard(self) -> None:
        """Remove the temporary folders."""
        shutil.rmtree(self.scans, ignore_errors=True)
        shutil.rmtree(self.truth, ignore_errors=True)


def stage(out: Path, name: str, settings: CohortSettings) -> StagedCenter:
    """Plan a centre without writing anything.

    Parameters
    ----------
    out : Path
        Folder of the cohort.
    name : str
        Of the real centre.
    settings : CohortSettings
    """
    plan = plan_of(name, enrol(name, settings.n_subjects, settings.seed))
    center = definition_of(name, plan)
    scans = atomic.temporary_beside(out / center.center_id)
    maps = atomic.temporary_beside(out / "truth" / center.center_id)
    by_visit = groupby(sorted(plan.places, key=_person_and_visit), _person_and_visit)
    visits = tuple(Visit(center, tuple(places), settings, scans, maps) for _, places in by_visit)
    return StagedCenter(name, plan, center, visits, scans, maps)


def image_visit(visit: Visit) -> list[truth.Row]:
    """Make a head, write its scans and its ground truth, and return the rows of the scans."""
    place = visit.places[0]
    head = make_head(place.person.at(place.visit), visit.settings.resolution_mm)
    scanner = scanner_of(place.person.center_id, place.person.number)
    for name, content in truth.head_files(head, scanner.field_strength_t).items():
        _write(visit.truth / truth.folder_of(place) / name, content)
    return [_image(visit, place, head, scanner) for place in visit.places]


def finish(out: Path, staged: StagedCenter, mark: str, rows: list[truth.Row]) -> None:
    """Write tables and ground truth, and rename the folders; that of the scans comes last and marks a complete centre.

    Parameters
    ----------
    mark : str
        Settings and code version, by which a later run recognises the centre.
    rows : list of dict
        Of all its scans, as `truth.scan_row` returns them.
    """
    for table in staged.plan.tables:
        _write(staged.scans / table.path, table_bytes(table))
    for path, text in staged.plan.texts.items():
        _write(staged.scans / path, text.encode())
    scan_rows = _with_published_facts(staged.plan, staged.center, rows)
    _write(staged.truth / SCANS, truth.table_text(scan_rows, truth.COLUMNS).encode())
    _write(staged.truth / MARK, mark.encode())
    name = staged.center.center_id
    root, maps = out / name, out / "truth" / name
    for old in (root, maps):
        _remove(old)
    os.replace(staged.truth, maps)
    document = staged.center.model_dump(mode="json", exclude_defaults=True)
    definition = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    atomic.write_text(out / f"{name}.yaml", COMMENTS.get(staged.name, "") + definition)
    os.replace(staged.scans, root)


def scan_seed_of(settings: CohortSettings, center_id: str, place: Place) -> int:
    """Return the seed of all random choices for one image: its protocol, the motion of the head, its noise."""
    return seed_of(settings.seed, "scan", center_id, place.path)


def protocol_of(place: Place, scan_seed: int) -> SequenceProtocol:
    """Return the protocol of an image, which within a contrast depends on neither centre nor person.

    Its flip angle is not variable: the sidecars of the layouts have no field that would say so.
    """
    field_strength_t = scanner_of(place.person.center_id, place.person.number).field_strength_t
    random = stream(scan_seed, "protocol")
    return draw_protocol(place.contrast, random, field_strength_t, place.is_post_contrast, with_variable_angles=False)


def voxel_size_at(real_mm: Sequence[float], resolution_mm: float) -> tuple[float, float, float]:
    """Return a layout's voxel size at the resolution of the phantom: no edge is finer, slices keep their thickness.

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


def _person_and_visit(place: Place) -> tuple[int, int]:
    return place.person.number, place.visit


def _image(visit: Visit, place: Place, head: Head, scanner: Scanner) -> truth.Row:
    """Write one scan of a head and return its row."""
    seed = scan_seed_of(visit.settings, visit.center.center_id, place)
    protocol = protocol_of(place, seed)
    size = voxel_size_at(place.look.voxel_size_mm, visit.settings.resolution_mm)
    pose = _pose(visit, place, head, seed)
    tilt = float(np.clip(stream(seed, "tilt").normal(0, TILT_DEG), -20, 20)) if place.look.is_oblique else 0.0
    acquired = acquire(
        head,
        protocol,
        scanner,
        voxel_size_mm=size,
        axcodes=place.look.axcodes,
        pose=pose,
        tilt_deg=(tilt, 0.0, 0.0),
        seed=seed,
    )
    fields = sidecar_fields(protocol, scanner, size, seed)
    sidecar = spoil_sidecar(fields, place.defect)
    _write(visit.scans / place.path, nifti_bytes(acquired, place.path, place.defect))
    if sidecar is not None:
        _write(visit.scans / sidecar_path(place.path), sidecar)
    readable = readable_fields(fields, place.defect)
    return truth.scan_row(visit.center, place, protocol, scanner, acquired, size, pose, seed, readable)


def _pose(visit: Visit, place: Place, head: Head, scan_seed: int) -> NDArray[np.float64]:
    """Return the pose of the head during one scan: that of the visit, changed by a small motion."""
    person, middle = place.person, center_of(head.fractions.shape, head.affine)
    put_down = stream(visit.settings.seed, "put down", visit.center.center_id, person.number, place.visit)
    pose = random_pose(put_down, middle)
    moved = random_pose(stream(scan_seed, "moved"), pose[:3, :3] @ middle + pose[:3, 3], MOVED_DEG, MOVED_MM)
    together: NDArray[np.float64] = moved @ pose
    return together


def _with_published_facts(plan: CenterPlan, center: Center, rows: list[truth.Row]) -> list[truth.Row]:
    """Return rows with sex and age as an ingest reads them from the tables: the visit's own age, or the person's one.

    A person's one age belongs to the visit that the ingest assigns it to; at other visits the age is unknown.
    """
    people = {person.participant_id: person for person in plan.participants}
    visit_ages = {(visit.participant_id, visit.session_label): visit.age_years for visit in plan.sessions}
    with_visit_ages = {participant_id for participant_id, _ in visit_ages}
    scanned: dict[str, set[str | None]] = defaultdict(set)
    for row in rows:
        scanned[str(row["participant_id"])].add(_label(row))
    labels = {label for some in scanned.values() for label in some if label}
    is_of_enrolment = any(table.age and table.age.at_baseline for table in center.layout.participants)
    result = []
    for row in rows:
        person, label = people[str(row["participant_id"])], _label(row)
        ages: tuple[float | None, ...] = (visit_ages.get((person.participant_id, label or "")), None, None)
        is_assigned = not is_of_enrolment and person.participant_id not in with_visit_ages
        if is_assigned and visit_of_age(scanned[person.participant_id], labels) == (label,):
            ages = (person.age_years, person.age_low_years, person.age_high_years)
        names = ("told_sex", "told_age_years", "told_age_low_years", "told_age_high_years")
        result.append(row | dict(zip(names, (person.sex, *ages), strict=True)))
    return result


def _label(row: truth.Row) -> str | None:
    return str(row["session_label"]) if row["session_label"] else None


def _remove(folder: Path) -> None:
    """Remove a folder in one step for readers: it is renamed before its content is deleted."""
    if folder.exists():
        away = atomic.temporary_beside(folder)
        os.replace(folder, away)
        shutil.rmtree(away)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
