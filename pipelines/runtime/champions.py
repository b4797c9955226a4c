"""Tell which champions a protocol can evaluate: those of its recipe and of the grid of its volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from warehouse.catalog import model_registry
from warehouse.errors import TumsynError
from warehouse.lake.home import Home
from warehouse.tables.out import SPLITS

if TYPE_CHECKING:
    from model.evaluation.protocol import EvaluationProtocol

GRID_TOLERANCE_MM = 1e-3


def evaluable_champions(home: Home, protocol_name: str) -> tuple[list[str], dict[str, str]]:
    """Return the champions that a protocol can evaluate, and why it cannot evaluate the others.

    A home may keep champions of several recipes and grids, and a protocol reads the volumes of one recipe. A champion
    whose records do not state its recipe is among the first: its evaluation says what it needs.

    Parameters
    ----------
    protocol_name : str
        Name of a shipped protocol, or path of a file.

    Returns
    -------
    list of str
        Identities, the champion that was assigned last first.
    dict of str to str
        Why others are left out, by their identities.

    Raises
    ------
    ModelError
        When there is no such protocol.
    """
    from model.evaluation.protocol import load_protocol

    protocol, champions = load_protocol(protocol_name), model_registry.champions(home, "synthesis")
    known = [one for one in champions if one.recipe_id is not None]
    skipped = _left_out(home, protocol, known) if known else {}
    return [one.model_id for one in champions if one.model_id not in skipped], skipped


def _left_out(home: Home, protocol: EvaluationProtocol, known: Sequence[model_registry.Champion]) -> dict[str, str]:
    """Return which champions are of another recipe or grid than the volumes that a protocol reads, and why."""
    from model.data.catalogue import CatalogueImages

    remedy = "to evaluate it, name a protocol of its recipe under `retraining.protocol` in operations.yaml of the home"
    try:
        images = CatalogueImages.open(home, protocol.recipe, SPLITS)
    except TumsynError as error:
        what = f"protocol {protocol.name!r} reads volumes of recipe {protocol.recipe!r}: {error.what}"
        return {one.model_id: f"{what}; {remedy}" for one in known}
    found = {}
    served = f"protocol {protocol.name!r} reads recipe {images.recipe_id} at {images.grid_mm:g} mm"
    for one in known:
        same_grid = one.grid_mm is None or not abs(one.grid_mm - images.grid_mm) > GRID_TOLERANCE_MM
        if one.recipe_id != images.recipe_id or not same_grid:
            grid = "an unknown grid" if one.grid_mm is None else f"{one.grid_mm:g} mm"
            found[one.model_id] = f"it is of recipe {one.recipe_id} at {grid}, and {served}; {remedy}"
    return found
