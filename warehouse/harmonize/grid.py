"""The grid that all scans of a session share, and which scan places it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from warehouse.imaging.geometry import Grid

# The box of the MNI152 template at 1 mm: 182 × 218 × 182 voxels from (-90, -126, -72), RAS.
ORIGIN_MM = np.array([-90.0, -126.0, -72.0])
EXTENT_MM = np.array([182.0, 218.0, 182.0])

# The scan that the others follow: first by contrast (grey and white matter differ most reliably in T1w), then by
# resolution, then by identifier so that the choice is the same each time.
CONTRAST_RANK = ("T1w", "ceT1w", "T2w", "FLAIR", "PDw", "T2starw", "SWI", "angio")


def session_grid(voxel_mm: float) -> Grid:
    """Return the grid of a session: MNI152's box, in which rigidly placed brains of any size lie."""
    counts = np.ceil(EXTENT_MM / voxel_mm - 1e-9).astype(int)
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    # Outer faces of the box stay in place whatever the voxel size: its first centre lies half a voxel further in.
    affine[:3, 3] = ORIGIN_MM - 0.5 + voxel_mm / 2
    return Grid((int(counts[0]), int(counts[1]), int(counts[2])), affine)


def choose_reference(scans: Sequence[tuple[str, str, NDArray[np.float64]]]) -> list[int]:
    """Order scans by how well they can serve as a session's reference, the best first.

    Parameters
    ----------
    scans : sequence of (image_id, contrast, voxel size in mm)
    """

    def rank(index: int) -> tuple[int, float, float, str]:
        image_id, contrast, size_mm = scans[index]
        place = CONTRAST_RANK.index(contrast) if contrast in CONTRAST_RANK else len(CONTRAST_RANK)
        return place, round(float(np.max(size_mm)), 2), round(float(np.prod(size_mm)), 3), image_id

    return sorted(range(len(scans)), key=rank)
