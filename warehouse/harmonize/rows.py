"""Eligible scans, and the rows that their harmonisation gives.

The attributes of a store are the record of a scan. Its rows are read back from them, so they are the same whether the
scan was just written or found again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from warehouse.errors import HarmonizeError
from warehouse.harmonize.alignment import MEASURE, Alignment, movement
from warehouse.harmonize.intensity import IntensityScale
from warehouse.harmonize.recipe import Recipe, steps_hash
from warehouse.imaging.brain_scale import BrainScale
from warehouse.imaging.geometry import Image, turn
from warehouse.imaging.scan import Scan
from warehouse.volumes.store import size_bytes
from warehouse.volumes.volume import open_store

if TYPE_CHECKING:
    from warehouse.volumes.volume import Volume

Row = dict[str, Any]


@dataclass(frozen=True)
class EligibleScan:
    """A catalogued image that is to be harmonised.

    Parameters
    ----------
    contrast : str
        Label as prompts write it, e.g. T1w or ceT1w.
    attributes : dict
        Attributes that the store takes over: centre, participant, entities …
    signature : str
        Changes when the file does; an unchanged signature spares reading the file.
    """

    image_id: str
    path: Path
    contrast: str
    attributes: dict[str, Any]
    signature: str


@dataclass
class HarmonizedRows:
    """Rows of harmonised sessions.

    Parameters
    ----------
    volumes, transforms, quality, rejections : list of dict
        Rows of `core.volume`, `core.transform`, `core.quality` and `core.volume_rejection`.
    pictures : dict of str to str
        Path of each session's mosaic, relative to the home.
    n_done : int
        Scans that were processed; the others were found finished.
    is_whole : bool
        False where a process died or failed unexpectedly: the next run tries again.
    """

    volumes: list[Row] = field(default_factory=list)
    transforms: list[Row] = field(default_factory=list)
    quality: list[Row] = field(default_factory=list)
    rejections: list[Row] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)
    n_done: int = 0
    is_whole: bool = True

    def add(self, other: HarmonizedRows) -> None:
        """Append the rows of other sessions."""
        for own, others in zip(self.lists(), other.lists(), strict=True):
            own.extend(others)
        self.pictures |= other.pictures
        self.n_done += other.n_done
        self.is_whole = self.is_whole and other.is_whole

    def lists(self) -> tuple[list[Row], ...]:
        """Return the rows in the order of `warehouse.tables.HARMONIZED`."""
        return self.volumes, self.transforms, self.quality, self.rejections

    def add_stores(self, folder: Path, home: Path) -> None:
        """Append the rows of a finished scan, read back from its two stores."""
        for form in ("session", "native"):
            path = folder / f"{form}.zarr"
            volume = open_store(path)
            stored = volume.attributes
            keys = {name: stored[name] for name in ("image_id", "recipe_id", "center_id")}
            self.volumes.append(
                keys
                | {
                    "form": form,
                    "session_id": stored["session_id"],
                    "recipe": stored["recipe"]["name"],
                    "is_draft": stored["recipe"]["is_draft"],
                    "path": path.relative_to(home).as_posix(),
                    "shape": list(volume.shape),
                    "voxel_size_mm": [float(size) for size in volume.voxel_size_mm],
                    "affine": np.asarray(volume.affine).ravel().tolist(),
                    "is_reference": stored["is_reference"],
                    "mask_source": stored["mask"]["source"],
                    "mask_volume_ml": stored["mask"]["volume_ml"],
                    "intensity_low": stored["intensity"]["low"],
                    "intensity_high": stored["intensity"]["high"],
                    "signal_zero": stored["intensity"].get("zero"),  # volumes of earlier versions lack these four
                    "brain_median": stored["intensity"].get("brain_median"),
                    "brain_spread": stored["intensity"].get("brain_spread"),
                    "is_stripped": stored.get("is_stripped"),
                    "source_sha256": stored["source"]["sha256"],
                    "steps_hash": stored.get("steps_hash"),
                    "voxels_sha256": stored["voxels_sha256"],
                    "size_bytes": size_bytes(path),
                    "seconds": stored["seconds"],
                    "verdict": stored["verdict"],
                    "verdict_reason": stored["verdict_reason"],
                }
            )
        transforms = {step["kind"]: step for step in stored["transforms"]}
        centre_mm = np.array(transforms["native_to_session"]["centre_mm"])
        for kind, step in transforms.items():
            rotation, translation = movement(np.array(step["matrix"]), centre_mm)
            self.transforms.append(
                keys
                | {name: step[name] for name in ("kind", "measure", "similarity_before", "similarity_after")}
                | {
                    "matrix": np.ravel(step["matrix"]).tolist(),
                    "rotation_deg": rotation,
                    "translation_mm": translation,
                    "is_flagged": kind == "to_reference" and stored["verdict"] == "flag",
                }
            )
        reasons = stored["quality_reasons"]
        self.quality += [
            keys | {"measure": name, "value": value, "reason": reasons.get(name)}
            for name, value in stored["quality"].items()
        ]


def rejection(image_id: str, center_id: str, recipe: Recipe, error: HarmonizeError) -> Row:
    """Return the row of `core.volume_rejection` for an error."""
    return {
        "image_id": image_id,
        "recipe_id": recipe.recipe_id,
        "center_id": center_id,
        "stage": error.stage,
        "reason": error.reason,
        "detail": error.what,
        "remedy": error.remedy,
    }


def store_attributes(
    eligible: EligibleScan,
    scan: Scan,
    sha256: str,
    recipe: Recipe,
    scales: tuple[IntensityScale, BrainScale],
    session_id: str,
    reference_sha256: str,
) -> Row:
    """Return the attributes that the session form and the native form of a scan have in common."""
    scale, brain = scales
    return eligible.attributes | {
        "schema_version": 1,
        "image_id": eligible.image_id,
        "session_id": session_id,
        "contrast": eligible.contrast,
        "recipe_id": recipe.recipe_id,
        "recipe": recipe.model_dump(mode="json"),
        "steps_hash": steps_hash(),
        "reference_sha256": reference_sha256,
        "source": {
            "path": eligible.attributes.get("path", eligible.path.name),
            "sha256": sha256,
            "signature": eligible.signature,
            "affine_ras_mm": scan.grid.affine.tolist(),
            "shape": list(scan.grid.shape),
            "dtype": scan.header.dtype,
            "offset": scan.offset,
        },
        "intensity": {  # in the file's own units
            "low": scale.low - scan.offset,
            "high": scale.high - scan.offset,
            "percentiles": list(recipe.percentiles),
            "zero": brain.zero - scan.offset,
            "brain_median": brain.median - scan.offset,
            "brain_spread": brain.spread,
        },
    }


def aligned(kind: str, found: Alignment) -> Row:
    """Return the attribute of a store for one transform that was estimated."""
    return {
        "kind": kind,
        "matrix": found.matrix.tolist(),
        "measure": MEASURE,
        "similarity_before": found.similarity_before,
        "similarity_after": found.similarity_after,
    }


def composed(matrix: NDArray[np.float64], centre_mm: NDArray[np.float64]) -> Row:
    """Return the attribute of a store for the product of all transforms, by which the scan was resampled once."""
    return {
        "kind": "native_to_session",
        "matrix": matrix.tolist(),
        "centre_mm": centre_mm.tolist(),
        "measure": None,
        "similarity_before": None,
        "similarity_after": None,
    }


def read_turned(native: Volume) -> tuple[Image, NDArray[np.bool_]]:
    """Return voxels and mask of a native store with their axes turned to right, anterior and superior."""
    assert native.mask is not None  # every harmonised store has one
    image = Image(turn(native[...], native.affine).astype(np.float32), native.grid.turned().affine)
    return image, turn(native.mask[...], native.affine) > 0
