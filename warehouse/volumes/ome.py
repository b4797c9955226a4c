"""What a store says of itself to other programs: OME-Zarr 0.5, and our own attribute beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
from nibabel.affines import voxel_sizes
from numpy.typing import NDArray

OURS = "tumsyn"
SCHEMA_VERSION = 1
OME_VERSION = "0.5"
AXES = "zyx"  # OME-Zarr wants z, y, x; NIfTI has i, j, k along x, y, z


def ome_attribute(name: str, affine: NDArray[np.float64]) -> dict[str, Any]:
    """Return the ``ome`` attribute of a volume.

    Version 0.5 knows scale and translation only. They are the whole truth on a RAS, axis-aligned grid, which every
    session grid is. On an oblique or flipped native grid the scale is still exact and the translation is where voxel
    (0, 0, 0) lies; directions are then in our own attribute alone.

    Parameters
    ----------
    name : str
        What viewers show.
    affine : (4, 4) array
        Voxel (i, j, k) to world (x, y, z), RAS+, mm.
    """
    scale = {"type": "scale", "scale": [float(size) for size in voxel_sizes(affine)[::-1]]}
    translation = {"type": "translation", "translation": [float(value) for value in affine[:3, 3][::-1]]}
    axes = [{"name": axis, "type": "space", "unit": "millimeter"} for axis in AXES]
    level = {"path": "0", "coordinateTransformations": [scale, translation]}
    return {"version": OME_VERSION, "multiscales": [{"name": name, "axes": axes, "datasets": [level]}]}


def our_attribute(
    attributes: dict[str, Any], affine: NDArray[np.float64], digests: dict[str, str | None]
) -> dict[str, Any]:
    """Return the ``tumsyn`` attribute: what the writer knows, with the affine and the hashes of the arrays.

    Parameters
    ----------
    attributes : dict
        Identity, recipe, source, intensity, transforms, quality: kept as they are.
    affine : (4, 4) array
        Voxel (i, j, k) to world (x, y, z), RAS+, mm.
    digests : dict
        ``voxels_sha256`` and ``mask_sha256``; None where there is no mask.
    """
    rows = [[float(value) for value in row] for row in affine]
    return {**attributes, "schema_version": SCHEMA_VERSION, "affine_ras_mm": rows, **digests}
