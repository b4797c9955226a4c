"""A miniature of every shipped layout: tiny images under the right names, with the right tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib

from warehouse.errors import CenterError
from warehouse.miniature import bids, biobank, cohorts, hcp, loni, patients
from warehouse.miniature.expected import Expected, ExpectedImage, ExpectedParticipant, ExpectedSession
from warehouse.miniature.recipe import Recipe, Scan
from warehouse.miniature.write import affine_of, write_recipe

RECIPES: dict[str, Callable[[], Recipe]] = {
    "adni": loni.adni,
    "aibl": loni.aibl,
    "camcan": cohorts.camcan,
    "hcp_aging": hcp.hcp_aging,
    "hcp_development": hcp.hcp_development,
    "hcp_young_adult": hcp.hcp_young_adult,
    "ixi": cohorts.ixi,
    "lemon": bids.lemon,
    "nki_rockland": bids.nki_rockland,
    "oasis3": cohorts.oasis3,
    "open_ms": patients.open_ms,
    "ucsf_pdgm": patients.ucsf_pdgm,
    "ukb": biobank.ukb,
}


def build(center_id: str, root: Path) -> Expected:
    """Write the miniature of a shipped centre.

    Parameters
    ----------
    center_id : str
        Identifier of a shipped centre.
    root : Path
        Folder to write into; made if need be.

    Returns
    -------
    Expected
        What an ingest of that folder must find.

    Raises
    ------
    CenterError
        When there is no miniature of that centre.
    """
    if center_id not in RECIPES:
        raise CenterError(f"there is no miniature of centre {center_id!r}", f"choose one of {sorted(RECIPES)}")
    recipe = RECIPES[center_id]()
    n_files = write_recipe(recipe, root)
    return Expected(center_id, tuple(map(_expected, recipe.scans)), recipe.participants, n_files, recipe.sessions)


def _expected(scan: Scan) -> ExpectedImage:
    axcodes = "".join(nib.aff2axcodes(affine_of(scan)))
    return ExpectedImage(
        scan.path,
        scan.participant_id,
        scan.session_label,
        scan.contrast,
        scan.is_post_contrast,
        scan.eligibility,
        scan.acquisition,
        scan.voxel_size_mm,
        axcodes,
    )


__all__ = ["RECIPES", "Expected", "ExpectedImage", "ExpectedParticipant", "ExpectedSession", "build"]
