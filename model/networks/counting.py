"""Count parameters, operations and memory of a module on the meta device, where neither weights nor data exist."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

BYTES = 4  # of a float32
# What a training keeps of each parameter: weight, gradient, two moments of AdamW, moving average.
KEPT_IN_TRAINING = 5
N_COUNTED = 2  # rows: batch normalisation of a single position needs more than one


def measured(module: nn.Module, function: Callable[[], Tensor]) -> tuple[int, int]:
    """Return operations, and bytes that are kept for the backward pass, of one row.

    Parameters
    ----------
    module : nn.Module
        Its parameters are not counted among the bytes.
    function : callable
        Calls the module on `N_COUNTED` rows.
    """
    own = {parameter.untyped_storage()._cdata for parameter in module.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()  # of views of one storage, once
        return tensor

    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = function()  # held until everything is counted, so that no storage is given away again
    assert result.requires_grad
    return counter.get_total_flops() // N_COUNTED, sum(kept.values()) // N_COUNTED


def n_parameters(module: nn.Module) -> int:
    """Return the parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def short(number: float) -> str:
    """Return a number with three digits and a decimal prefix.

    Examples
    --------
    >>> short(3_990_000_000), short(512), short(1.21e16)
    ('3.99 G', '512 ', '12.1 P')
    """
    for prefix in ("", "k", "M", "G", "T", "P"):
        if number < 999.5 or prefix == "P":
            break
        number /= 1000
    return f"{number:.3g} {prefix}"
