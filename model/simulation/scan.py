"""One visit of one person: the head, its scans in their places, and the truth of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.physics.protocol import SequenceProtocol
from model.simulation import truth
from model.simulation.defects import readable_fields, spoil_sidecar
from model.simulation.files import nifti_bytes, sidecar_fields
from model.simulation.fleet import scanner_of
from model.simulation.head import Head, make_head
from model.simulation.layouts import Place
from model.simulation.protocols import draw
from model.simulation.scanner import acquire, center_of, random_pose
from model.simulation.seeds import seed_of, stream
from warehouse.centers.registry import Center

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


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
