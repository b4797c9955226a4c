"""The ground truth of a cohort: one row per scan, and the maps of every head."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from model.physics.tissue import TISSUES, Properties
from model.simulation.files import acquisition_facts, compressed
from model.simulation.layouts.plan import Table, table_bytes

if TYPE_CHECKING:
    from model.physics.protocol import SequenceProtocol
    from model.simulation.head import Head
    from model.simulation.layouts.plan import Place
    from model.simulation.scanner import Acquired, Scanner
    from warehouse.centers.registry import Center

Row = dict[str, object]
COLUMNS = (
    *("center_id", "path", "role", "is_simulated", "participant_id", "session_label", "person_id"),
    *("subject_seed", "sex", "age_years", "deformation_mm", "lesions"),
    *("told_sex", "told_age_years", "told_age_low_years", "told_age_high_years"),
    *("contrast", "is_post_contrast", "sequence", "manufacturer", "manufacturers_model_name"),
    *("magnetic_field_strength_t", "repetition_time_s", "echo_time_s", "inversion_time_s", "flip_angle_deg"),
    *("n_readouts", "readout_spacing_s", "slice_thickness_mm", "mr_acquisition_type", "told_fields"),
    *("voxel_size_i_mm", "voxel_size_j_mm", "voxel_size_k_mm", "axcodes", "affine", "pose"),
    *("snr", "receive_bias", "transmit_bias", "noise_sd", "slope", "scan_seed", "truth", "defect"),
)
DEFECT_COLUMNS = ("center_id", "path", "kind", "what", "disposition", "stage", "reason", "refused_path")
MM_PER_STEP = 0.1  # of stored displacements
STEPS_OF_SHARE = 255  # of stored fractions
STEP_OF = {"t1_s": 1e-3, "t2_s": 1e-3, "t2star_s": 1e-3, "pd": 1e-3, "chi_ppm": 1e-3}


def scan_row(
    center: Center,
    place: Place,
    protocol: SequenceProtocol,
    scanner: Scanner,
    acquired: Acquired,
    voxel_size_mm: Sequence[float],
    pose: NDArray[np.float64],
    scan_seed: int,
    told_fields: Iterable[str],
) -> Row:
    """Return the row of a scan: everything that the simulator knows of it.

    Parameters
    ----------
    told_fields : iterable of str
        Fields that an ingest reads from the sidecar.
    """
    subject = place.person.at(place.visit)
    person = center.layout.persons.get(place.participant_id, f"{center.center_id}/{place.participant_id}")
    return {
        "center_id": center.center_id,
        "path": place.path,
        "role": center.role,
        "is_simulated": True,
        "participant_id": place.participant_id,
        "session_label": place.session_label,
        "person_id": person,
        "subject_seed": subject.seed,
        "sex": subject.sex,
        "age_years": subject.age_years,
        "deformation_mm": subject.deformation_mm,
        "lesions": " ".join(subject.lesions),
        "contrast": place.contrast,
        "is_post_contrast": place.is_post_contrast,
        "sequence": protocol.sequence,
        **acquisition_facts(protocol, scanner, voxel_size_mm),
        "n_readouts": protocol.n_readouts if protocol.sequence == "mprage" else None,
        "readout_spacing_s": protocol.readout_spacing_s if protocol.sequence == "mprage" else None,
        "told_fields": " ".join(told_fields),
        **{f"voxel_size_{axis}_mm": size for axis, size in zip("ijk", voxel_size_mm, strict=True)},
        "axcodes": place.look.axcodes,
        "affine": _numbers(acquired.affine),
        "pose": _numbers(pose),
        "snr": scanner.snr,
        "receive_bias": scanner.receive_bias,
        "transmit_bias": scanner.transmit_bias,
        "noise_sd": round(acquired.noise_sd, 4),
        "slope": acquired.slope,
        "scan_seed": scan_seed,
        "truth": f"truth/{center.center_id}/{folder_of(place)}",
        "defect": place.defect,
    }


def folder_of(place: Place) -> str:
    """Return the folder of a head's maps below that of the centre; each person and visit has one."""
    return f"{place.person.number:02}/{place.visit + 1}"


def head_files(head: Head, field_strength_t: float) -> dict[str, bytes]:
    """Return the files of a head's maps by name, all on its own grid (head frame, RAS+, mm).

    Fractions are stored in steps of 1/255, times of 1 ms, proton density and susceptibility of 0.001, displacements of
    0.1 mm. A displacement is added to a point of the subject to give the point of the template that it was drawn from,
    along R, A and S; 0 in air.
    """
    affine, labels = np.asarray(head.affine, float), np.asarray(head.labels(), np.uint8)
    shares = np.stack([np.rint(share * STEPS_OF_SHARE).astype(np.uint8) for share in head.fractions.numpy()], axis=-1)
    files = {
        "fractions.nii.gz": compressed(shares, affine, 1 / STEPS_OF_SHARE),
        "labels.nii.gz": compressed(labels, affine),
        "subject.json": _subject(head, field_strength_t),
    }
    for name, values in head.maps(field_strength_t).items():
        steps = np.rint(torch.as_tensor(values).numpy() / STEP_OF[name])
        files[f"{name}.nii.gz"] = compressed(steps.astype(np.int16), affine, STEP_OF[name])
    for name, mask in sorted(head.lesion_masks.items()):
        files[f"lesions_{name}.nii.gz"] = compressed(np.asarray(mask, np.uint8), affine)
    steps = np.rint(np.where(labels > 0, np.asarray(head.displacement_mm), 0) / MM_PER_STEP)
    moved = np.moveaxis(steps.astype(np.int16), 0, -1)
    files["displacement_mm.nii.gz"] = compressed(moved, affine, MM_PER_STEP)
    return files


def table_text(rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Return rows as CSV; values that are unknown or do not apply are empty."""
    return table_bytes(Table("", columns, [[row.get(name) for name in columns] for row in rows])).decode()


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table of scans or defects, with values as text."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _subject(head: Head, field_strength_t: float) -> bytes:
    tissue = head.tissue(field_strength_t)
    document = asdict(head.subject) | {
        "field_strength_t": field_strength_t,
        "tissues": list(TISSUES),
        "tissue": {field.name: _rounded(getattr(tissue, field.name)) for field in fields(Properties)},
    }
    return (json.dumps(document, indent=2) + "\n").encode()


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(float(value), 6) for value in values]


def _numbers(matrix: NDArray[np.float64]) -> str:
    return " ".join(f"{value:.6g}" for value in matrix.ravel())
