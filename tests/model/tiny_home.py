"""A home with a handful of harmonised brains, written by hand in a second: what the tests of models stand on.

Each brain is an ellipsoid of three tissues; each contrast gives them other intensities, which depend on TE and TR, so
that there is something to learn. Nobody's data.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.warehouse.conftest import Lab, Row
from warehouse.imaging.brain_scale import BrainScale
from warehouse.lake import parts
from warehouse.lake.home import Home
from warehouse.tables import HARMONIZED
from warehouse.volumes import Payload, write
from warehouse.volumes.store import size_bytes

RECIPE = "0123456789abcdef"
GRID_MM = 3.0
SHAPE = (21, 25, 19)
TISSUES = {"T1w": (0.2, 0.5, 0.8), "T2w": (0.9, 0.5, 0.3), "FLAIR": (0.1, 0.6, 0.45)}  # fluid, grey, white
TIMES = {"T1w": (2.3, 0.003, 0.9, 8.0), "T2w": (4.0, 0.09, None, 120.0), "FLAIR": (9.0, 0.1, 2.5, 150.0)}


def make_tiny_home(
    root: Path, n_people: int = 12, contrasts: tuple[str, ...] = ("T1w", "T2w", "FLAIR"), *, seed: int = 0
) -> Home:
    """Publish an internal centre of so many people, and an external one of two, with a session each.

    The recipe is called draft, 3 mm; volumes are in session form, float16 in [0, 1], with masks. Person 00 has a
    T1w alone, and the T2w of 01 lacks its volume.
    """
    lab = Lab(root)
    rng = np.random.default_rng(seed)
    rows: dict[str, list[Row]] = {}
    for center_id, role, count in (("alpha", "internal", n_people), ("omega", "external", 2)):
        lab.center(center_id, role=role, is_simulated=True)
        rows[center_id] = []
        for number in range(count):
            rows[center_id] += _person(lab, center_id, f"{number:02d}", contrasts, rng)
    lab.commit()
    for center_id, volumes in rows.items():
        arrow = {table.name: table.rows(volumes if table.name == "core.volume" else []) for table in HARMONIZED}
        parts.commit_center(lab.home, center_id, arrow, {"made": "by hand"}, "harmonize")
    lab.publish()
    return lab.home


def _person(lab: Lab, center_id: str, label: str, contrasts: tuple[str, ...], rng: np.random.Generator) -> list[Row]:
    lab.participant(center_id, label, sex="MF"[int(label) % 2], age_years=20.0 + 3 * int(label) % 75)
    head = _tissues(rng)
    made = []
    for contrast in contrasts[:1] if label == "00" and center_id == "alpha" else contrasts:
        acquisition = _acquisition(contrast, rng)
        image_id = lab.image(center_id, label, contrast, acquisition=acquisition)
        if (center_id, label, contrast) != ("alpha", "01", "T2w"):
            voxels = _voxels(head, contrast, acquisition, rng)
            made.append(_store(lab.home, center_id, label, contrast, image_id, voxels, head > 0))
    return made


def _acquisition(contrast: str, rng: np.random.Generator) -> Row:
    repetition, echo, inversion, angle = TIMES[contrast]
    return {
        "manufacturer": ["Siemens", "GE", "Philips"][rng.integers(3)],
        "magnetic_field_strength_t": 3.0,
        "repetition_time_s": round(repetition * rng.uniform(0.9, 1.1), 2),
        "echo_time_s": round(echo * rng.uniform(0.8, 1.25), 4),
        "inversion_time_s": inversion,
        "flip_angle_deg": angle,
    }


def _tissues(rng: np.random.Generator) -> NDArray[np.int8]:
    """Return a head: 0 outside, 1 fluid, 2 grey, 3 white."""
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, length) for length in SHAPE), indexing="ij"))
    radius = np.sqrt(((grid * rng.uniform(0.95, 1.1, (3, 1, 1, 1))) ** 2).sum(0))
    return np.select([radius < 0.25, radius < 0.6, radius < 0.85], [1, 3, 2], 0).astype(np.int8)


def _voxels(head: NDArray[np.int8], contrast: str, acquisition: Row, rng: np.random.Generator) -> NDArray[np.float16]:
    values = np.array([0.0, *TISSUES[contrast]])
    echo = float(str(acquisition["echo_time_s"])) / (TIMES[contrast][1] or 1)
    values[1] *= echo**0.8  # a longer echo makes fluid brighter
    voxels = values[head] + rng.normal(0, 0.02, head.shape) * (head > 0)
    return np.asarray(np.clip(voxels, 0, 1), np.float16)


def _store(
    home: Home,
    center_id: str,
    label: str,
    contrast: str,
    image_id: str,
    voxels: NDArray[np.float16],
    mask: NDArray[np.bool_],
) -> Row:
    affine = np.diag([GRID_MM, GRID_MM, GRID_MM, 1.0])
    affine[:3, 3] = [-GRID_MM * (length - 1) / 2 for length in SHAPE]
    scale = BrainScale.of(voxels, mask)
    attributes: dict[str, Any] = {"image_id": image_id, "center_id": center_id, "form": "session", "recipe": "draft"}
    attributes |= {"participant_id": label, "session_id": f"{center_id}/sub-{label}", "contrast": contrast}
    path = Path("volumes") / RECIPE / image_id / "session.zarr"
    voxels_sha256 = write(
        home.root / path, Payload(voxels, affine, mask.astype(np.uint8), attributes, b""), name=image_id
    )
    return {
        "image_id": image_id,
        "recipe_id": RECIPE,
        "form": "session",
        "center_id": center_id,
        "session_id": f"{center_id}/sub-{label}",
        "recipe": "draft",
        "is_draft": True,
        "path": path.as_posix(),
        "shape": list(SHAPE),
        "voxel_size_mm": [GRID_MM] * 3,
        "affine": affine.ravel().tolist(),
        "is_reference": True,
        "mask_source": "own",
        "mask_volume_ml": float(mask.sum() * GRID_MM**3 / 1000),
        "intensity_low": 0.0,
        "intensity_high": 1000.0,
        "signal_zero": 0.0,
        "brain_median": 1000 * scale.median,
        "brain_spread": 1000 * scale.spread,
        "is_stripped": True,
        "source_sha256": hashlib.sha256(image_id.encode()).hexdigest(),
        "voxels_sha256": voxels_sha256,
        "size_bytes": size_bytes(home.root / path),
        "seconds": 0.1,
        "verdict": "pass",
    }
