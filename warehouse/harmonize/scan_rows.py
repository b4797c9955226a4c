"""What a store says of its scan, and the catalogue's rows read back from it.

The store's attributes are the record: rows of a finished scan are the same whether it was just written or found again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from warehouse.errors import HarmonizeError
from warehouse.harmonize.alignment import MEASURE, Alignment, movement
from warehouse.harmonize.image import Source
from warehouse.harmonize.intensity import IntensityScale
from warehouse.harmonize.recipe import Recipe, steps_hash
from warehouse.harmonize.scan import EligibleScan, Row, SessionResult
from warehouse.imaging.geometry import turn
from warehouse.imaging.image import Image
from warehouse.volumes.store import size_bytes
from warehouse.volumes.volume import open_store

if TYPE_CHECKING:
    from warehouse.volumes.volume import Volume


def attributes(
    scan: EligibleScan, source: Source, recipe: Recipe, scale: IntensityScale, session_id: str, reference_sha256: str
) -> Row:
    """Return what both forms of a scan say of it."""
    return scan.attributes | {
        "schema_version": 1,
        "image_id": scan.image_id,
        "session_id": session_id,
        "contrast": scan.contrast,
        "recipe_id": recipe.recipe_id,
        "recipe": recipe.model_dump(mode="json"),
        "steps_hash": steps_hash(),
        "reference_sha256": reference_sha256,
        "source": {
            "path": scan.attributes.get("path", scan.path.name),
            "sha256": source.sha256,
            "signature": scan.signature,
            "affine_ras_mm": source.affine.tolist(),
            "shape": list(source.shape),
            "dtype": source.dtype,
            "offset": source.offset,
        },
        "intensity": {  # in the file's own units
            "low": scale.low - source.offset,
            "high": scale.high - source.offset,
            "percentiles": list(recipe.percentiles),
        },
    }


def move(kind: str, found: Alignment) -> Row:
    """Return one transform as the store keeps it."""
    return {
        "kind": kind,
        "matrix": found.matrix.tolist(),
        "measure": MEASURE,
        "similarity_before": found.similarity_before,
        "similarity_after": found.similarity_after,
    }


def composed(matrix: NDArray[np.float64], centre_mm: NDArray[np.float64]) -> Row:
    """Return the product of all transforms, by which the scan was resampled once."""
    return {
        "kind": "native_to_session",
        "matrix": matrix.tolist(),
        "centre_mm": centre_mm.tolist(),
        "measure": None,
        "similarity_before": None,
        "similarity_after": None,
    }


def turned(native: Volume) -> tuple[Image, NDArray[np.bool_]]:
    """Return a native store's voxels and mask with their axes towards right, anterior and superior."""
    assert native.mask is not None  # every harmonised store has one
    image = Image(turn(native[...], native.affine).astype(np.float32), native.grid.turned().affine)
    return image, turn(native.mask[...], native.affine) > 0


def add(result: SessionResult, folder: Path, home: Path) -> None:
    """Append the rows of a finished scan, read back from its stores."""
    for form in ("session", "native"):
        path = folder / f"{form}.zarr"
        volume = open_store(path)
        said = volume.attributes
        keys = {name: said[name] for name in ("image_id", "recipe_id", "center_id")}
        result.volumes.append(
            keys
            | {
                "form": form,
                "session_id": said["session_id"],
                "recipe": said["recipe"]["name"],
                "is_draft": said["recipe"]["is_draft"],
                "path": path.relative_to(home).as_posix(),
                "shape": list(volume.shape),
                "voxel_size_mm": [float(size) for size in volume.voxel_size_mm],
                "affine": np.asarray(volume.affine).ravel().tolist(),
                "is_reference": said["is_reference"],
                "mask_source": said["mask"]["source"],
                "mask_volume_ml": said["mask"]["volume_ml"],
                "intensity_low": said["intensity"]["low"],
                "intensity_high": said["intensity"]["high"],
                "source_sha256": said["source"]["sha256"],
                "steps_hash": said.get("steps_hash"),
                "voxels_sha256": said["voxels_sha256"],
                "size_bytes": size_bytes(path),
                "seconds": said["seconds"],
                "verdict": said["verdict"],
                "verdict_reason": said["verdict_reason"],
            }
        )
    centre = np.array(next(step["centre_mm"] for step in said["transforms"] if step["kind"] == "native_to_session"))
    for step in said["transforms"]:
        rotation, translation = movement(np.array(step["matrix"]), centre)
        result.transforms.append(
            keys
            | {name: step[name] for name in ("kind", "measure", "similarity_before", "similarity_after")}
            | {
                "matrix": np.ravel(step["matrix"]).tolist(),
                "rotation_deg": rotation,
                "translation_mm": translation,
                "is_flagged": step["kind"] == "to_reference" and said["verdict"] == "flag",
            }
        )
    reasons = said["quality_reasons"]
    result.quality += [
        keys | {"measure": name, "value": value, "reason": reasons.get(name)} for name, value in said["quality"].items()
    ]


def rejection(scan: EligibleScan, recipe: Recipe, error: HarmonizeError) -> Row:
    """Return the row of `core.volume_rejection`."""
    return {
        "image_id": scan.image_id,
        "recipe_id": recipe.recipe_id,
        "center_id": scan.attributes["center_id"],
        "stage": error.stage,
        "reason": error.reason,
        "detail": error.what,
        "remedy": error.remedy,
    }
