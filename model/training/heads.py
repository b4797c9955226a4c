"""The heads from which a synthesis network gets simulated patches: simulated ones, and brains of training people."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from model.data.catalogue import CatalogueImages, Item
from model.data.fine_heads import FineHeads, Heads, JoinedHeads
from model.data.head_bank import TRAINING_PEOPLE, Told
from model.data.real_heads import RealHeads
from model.training.config import SynthesisTraining
from model.training.processes import by_first
from warehouse.lake.home import Home


def heads_of(
    home: Home, config: SynthesisTraining, images: CatalogueImages, told: Told
) -> tuple[Heads | None, Sequence[Item]]:
    """Return the heads of a training, made where they are absent, and the scans of which real ones are made.

    Parameters
    ----------
    home : Home
    config : SynthesisTraining
        Without a share of simulated patches, there are no heads.
    images : CatalogueImages
        That the network learns from.
    told : callable
        Called with heads that are there and in all, of both kinds together.
    """
    if not config.simulated_share > 0:
        return None, []
    simulated = FineHeads(home.heads, TRAINING_PEOPLE, config.n_heads, images.grid_mm)
    real = RealHeads(home.heads, images, config.n_real_heads)
    by_first(partial(_fill, simulated, real, told))
    return JoinedHeads([simulated, real]) if real.n_heads else simulated, real.items


def _fill(simulated: FineHeads, real: RealHeads, told: Told) -> None:
    total = simulated.n_heads + real.n_heads
    simulated.fill(told=lambda done, _: told(done, total))
    if real.n_heads:
        real.fill(told=lambda done, _: told(simulated.n_heads + done, total))
