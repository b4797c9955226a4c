"""Smooth fields, as coils make them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from warehouse.errors import PhantomError

ORDER = 3  # half waves along an axis: what coils around a head make at 1.5 and 3 T varies over centimetres
COARSE = 16  # points along an axis at which the waves are evaluated; they are smooth enough to be interpolated


def smooth_field(shape: Sequence[int], random: np.random.Generator, share: float) -> Tensor:
    """Return a positive field around 1 that varies slowly.

    Parameters
    ----------
    shape : (3,) ints
        Of the grid it is wanted on.
    share : float
        Peak to peak: the field runs from 1 - share / 2 to 1 + share / 2.

    Returns
    -------
    (i, j, k) tensor of float32
    """
    if not 0 <= share < 2:
        raise PhantomError(f"a field that varies by {share} of its mean changes sign", "give a share from 0 to below 2")
    orders = np.indices((ORDER, ORDER, ORDER)).reshape(3, -1)
    weights = (random.normal(size=orders.shape[1]) / (1 + (orders**2).sum(0))).reshape(ORDER, ORDER, ORDER)
    weights[0, 0, 0] = 0.0
    waves = np.cos(np.pi * np.arange(ORDER)[:, None] * np.linspace(0, 1, COARSE))
    coarse = np.einsum("abc,ai,bj,ck->ijk", weights, waves, waves, waves)
    coarse = (coarse - coarse.min()) / (coarse.max() - coarse.min()) - 0.5
    field = torch.from_numpy((1 + share * coarse).astype(np.float32))
    grown = torch.nn.functional.interpolate(field[None, None], tuple(shape), mode="trilinear", align_corners=True)
    return grown[0, 0]
