"""Several scans of one head: each further one is aligned with the first and brought onto its grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.inference.placing import is_same_grid, place_mask
from model.inference.scans import Cleaned, Prepared, clean, on_grid, working_grid
from warehouse.errors import HarmonizeError, ModelError
from warehouse.harmonize.alignment import movement, register, suspicious
from warehouse.harmonize.recipe import Recipe
from warehouse.imaging.geometry import Image
from warehouse.imaging.itk import inverse
from warehouse.imaging.scan import Scan

Mask = NDArray[np.bool_]
Matrix = NDArray[np.float64]
THINNEST = 4  # voxels along an axis; fewer cannot be registered
LEAST_SHARED = 0.05  # of the first scan's brain that a further scan must show


def prepare_together(
    scans: Sequence[Scan],
    names: Sequence[str],
    grid_mm: float,
    preparation: Mapping[str, Any],
    masks: Sequence[Mask | None],
    *,
    is_harmonised: bool = False,
    to_first: Sequence[Matrix] | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, item: None,
) -> tuple[list[Prepared], list[str]]:
    """Prepare scans of one head on the working grid of the first one.

    Parameters
    ----------
    scans : sequence of Scan
    names : sequence of str
        What messages call them.
    grid_mm : float
        Voxel size of the network's grid, mm.
    preparation : mapping
        As in `model.inference.scans.clean`.
    masks : sequence
        A brain mask on each scan's own grid, or None.
    is_harmonised : bool
        Use voxels as they are, and place further scans by their headers.
    to_first : sequence of (4, 4) array, optional
        Known maps from the world of each scan to that of the first. Default: a scan on another grid than the first is
        registered with it, rigidly, since heads move within a session.
    progress : callable, optional
        Is called with done, total and the current item.

    Returns
    -------
    prepared : list of Prepared
        On one grid, in the order of the scans.
    notes : list of str
        What the user should be told.

    Raises
    ------
    ModelError
        When a scan cannot be prepared, or does not show the head of the first one.
    """
    recipe = Recipe.model_validate({"name": "prepared", **preparation})
    prepared: list[Prepared] = []
    notes: list[str] = []
    first: Cleaned | None = None
    for number, (scan, name, mask) in enumerate(zip(scans, names, masks, strict=True)):
        progress(number, len(scans), name)
        try:
            cleaned, matrix = clean(scan, preparation, mask, is_harmonised=is_harmonised), None
        except ModelError as error:
            if first is None or is_harmonised or mask is not None or to_first is not None:
                raise ModelError(f"{name}: {error.what}", error.remedy) from error
            cleaned, matrix = _by_first(first, scan, name, recipe, error)
            notes.append(f"{name}: {error.what}; the brain mask of the first scan is used")
        if first is None:
            first, grid = cleaned, working_grid(scan.grid, grid_mm)
            prepared.append(on_grid(cleaned, grid))
            continue
        if to_first is not None:
            matrix = to_first[number]
        elif matrix is None and not is_harmonised and not is_same_grid(scans[0].grid, scan.grid):
            matrix, said = align(first, cleaned.image, name, recipe)
            notes.append(said)
        made = on_grid(cleaned, grid, matrix)
        _refuse_apart(prepared[0], made, name)
        prepared.append(made)
    progress(len(scans), len(scans), "")
    return prepared, notes


def _by_first(first: Cleaned, scan: Scan, name: str, recipe: Recipe, why: ModelError) -> tuple[Cleaned, Matrix | None]:
    """Prepare a scan, such as a thin slab, whose brain is found by the first scan's mask only."""
    matrix, _ = align(first, scan.image, name, recipe)
    back = None if matrix is None else inverse(matrix)
    mask = place_mask(first.mask, first.image.grid, scan.grid, back)
    if not mask.any():
        raise ModelError(f"{name}: {why.what}", why.remedy) from why
    return clean(scan, recipe.model_dump(exclude={"name"}), mask), matrix


def align(first: Cleaned, other: Image, name: str, recipe: Recipe) -> tuple[Matrix | None, str]:
    """Return the rigid transform from a scan's world to that of the first one, and what is to be said of it.

    The transform is None where the scan stays where its header places it.

    Raises
    ------
    ModelError
        When the scans do not overlap.
    """
    if min(*first.image.voxels.shape, *other.voxels.shape) < THINNEST:
        return None, f"{name} or the first scan has too few slices to be aligned; it is placed by its header"
    try:
        found = register(
            first.image, first.mask, other, resolution_mm=recipe.register_mm, converged_mm=recipe.converged_mm
        )
    except HarmonizeError as error:
        if error.reason == "no_overlap":
            raise ModelError(f"{name}: {error.what}", "give scans of one head from one session") from error
        return None, f"{name} could not be aligned ({error.what}); it is placed by its header"
    except RuntimeError as error:  # of ITK: axes that are not at right angles
        reason = str(error).strip().splitlines()[-1]
        return None, f"{name} could not be aligned ({reason}); it is placed by its header"
    centre = first.image.affine @ np.append(np.argwhere(first.mask).mean(axis=0), 1.0)
    turned_deg, moved_mm = movement(found.matrix, centre[:3])
    said = f"{name} was aligned with the first scan: moved by {turned_deg:.1f}° and {moved_mm:.1f} mm"
    doubt = suspicious(found.matrix, centre[:3])
    return found.matrix, f"{said}; that is much for one session: are they of one head?" if doubt else said


def _refuse_apart(first: Prepared, other: Prepared, name: str) -> None:
    """Raise `ModelError` where a scan shows next to nothing of the first one's brain."""
    if other.seen is None:
        return
    shared = float(other.seen[first.mask].mean()) if first.mask.any() else float(other.seen.mean())
    if shared < LEAST_SHARED:
        what = f"{name} shows {shared:.0%} of the brain of the first scan"
        raise ModelError(what, "give scans of one head in one world, or look at the headers")
