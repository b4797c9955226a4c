"""Several processes that train one network together, started by `torchrun`; without it there is one.

Every process makes the whole batch of a step, which is a function of seed and step, and runs its own rows of it through
the costly part of the network. Their outputs are gathered, and every process computes the whole loss. So the gradient
is that of one process on the whole batch, up to rounding, even where the loss compares every row with every other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- the name that all of torch's documentation uses

from model.networks.device import choose_device
from warehouse.errors import ModelError

LONGEST_WAIT = timedelta(hours=1)  # of the others, while the first validates and saves
Result = TypeVar("Result")

_is_alone = False  # inside `alone`


@contextmanager
def joined(device: str | None) -> Iterator[None]:
    """Join the processes that torchrun started, each with a GPU of its own; without torchrun, do nothing.

    Parameters
    ----------
    device : {"cpu", "cuda"}, optional
        As `model.networks.device.choose_device` takes it.

    Raises
    ------
    ModelError
        When there are more processes than GPUs.
    """
    if not dist.is_torchelastic_launched() or dist.is_initialized():
        yield
        return
    on_gpu = choose_device(device) == "cuda"
    if on_gpu:
        place, n_devices = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if place >= n_devices:
            what = f"torchrun started more processes than there are GPUs ({n_devices})"
            raise ModelError(what, f"start it with --nproc-per-node {n_devices}, or give --device cpu")
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=LONGEST_WAIT)
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def alone() -> Iterator[None]:
    """Let one process compute without the others, which wait for it at their next exchange."""
    global _is_alone
    before, _is_alone = _is_alone, True
    try:
        yield
    finally:
        _is_alone = before


def count() -> int:
    """Return how many processes train together."""
    return 1 if _is_alone or not dist.is_initialized() else dist.get_world_size()


def is_first() -> bool:
    """Return whether this is the process that saves, reports and validates."""
    return not dist.is_initialized() or dist.get_rank() == 0


def by_first(function: Callable[[], Result]) -> Result:
    """Let the first process call a function, and return its result in every process.

    An error ends the first process, and torchrun then ends the others.
    """
    if count() == 1:
        return function()
    told: list[Any] = [function() if is_first() else None]
    dist.broadcast_object_list(told, src=0)
    result: Result = told[0]
    return result


def own_rows(n: int) -> slice:
    """Return which rows of a batch this process runs through the network; shares differ by one row at most.

    Raises
    ------
    ModelError
        When there are fewer rows than processes.

    Examples
    --------
    >>> own_rows(16)
    slice(0, 16, None)
    """
    if count() == 1:
        return slice(0, n)
    if n < count():
        what = f"{count()} processes cannot share a batch of {n}"
        raise ModelError(what, "start fewer processes, or raise batch_size")
    place = dist.get_rank()
    return slice(n * place // count(), n * (place + 1) // count())


def gather_rows(rows: Tensor) -> Tensor:
    """Return the rows of all processes in the order of the batch.

    Parameters
    ----------
    rows : (own, …) tensor
        Output of the network for `own_rows`.

    Returns
    -------
    (n, …) tensor
        The gradient of own rows is multiplied by the number of processes, since each computes the whole loss and
        `average_gradients` then takes the mean.
    """
    if count() == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows)  # type: ignore[no-untyped-call]
    return gathered


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes.

    A parameter that the rows of some process did not need, such as one of a branch, has no gradient there; it counts as
    0. One that no process needed has none afterwards, as with one process.
    """
    if count() == 1:
        return
    every = list(parameters)
    is_needed = torch.tensor([parameter.grad is not None for parameter in every], dtype=torch.uint8)
    is_needed = is_needed.to(every[0].device)
    dist.all_reduce(is_needed, dist.ReduceOp.MAX)
    needed = [parameter for parameter, one in zip(every, is_needed.tolist(), strict=True) if one]
    gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in needed]
    for parameter, gradient in zip(needed, gradients, strict=True):
        parameter.grad = gradient
    works = [dist.all_reduce(gradient, async_op=True) for gradient in gradients]
    for gradient, work in zip(gradients, works, strict=True):
        work.wait()
        gradient.div_(count())


def check_same(what: str, value: Any) -> None:
    """Refuse to train together where a value differs between processes.

    Raises
    ------
    ModelError
        In every process.
    """
    if count() == 1:
        return
    values: list[Any] = [None] * count()
    dist.all_gather_object(values, value)
    if any(other != values[0] for other in values):
        raise ModelError(f"processes differ in {what}: {values}", "let all of them see the same home and configuration")


def share_statistics(network: nn.Module) -> None:
    """Let batch normalisation take its statistics from the rows of all processes.

    The class of each layer is replaced; names and weights stay. torch's SyncBatchNorm does the same on GPUs only.
    """
    if count() == 1:
        return
    for module in network.modules():
        if type(module) is nn.BatchNorm3d:
            module.__class__ = SharedBatchNorm3d
        elif isinstance(module, nn.modules.batchnorm._BatchNorm) and not isinstance(module, SharedBatchNorm3d):
            raise ModelError(f"several processes cannot train {type(module).__name__}", "start one process")


class SharedBatchNorm3d(nn.BatchNorm3d):
    """Batch normalisation over the rows of all processes; in evaluation, that of torch."""

    def forward(self, features: Tensor) -> Tensor:
        """Return normalised features of the same (own, channels, i, j, k) shape."""
        if not self.training or count() == 1:
            return super().forward(features)
        axes, shape = (0, 2, 3, 4), (1, -1, 1, 1, 1)
        values = features.float()
        n_here = values.new_full((1,), values.numel() / values.shape[1])
        total = _sum_of_all(torch.cat([values.sum(axes), n_here]))
        n, mean = total[-1].detach(), total[:-1] / total[-1].detach()
        centred = values - mean.reshape(shape)
        variance = _sum_of_all(centred.square().sum(axes)) / n
        self._follow(mean.detach(), variance.detach() * n / (n - 1))
        scale = (variance + self.eps).rsqrt() * self.weight
        return (centred * scale.reshape(shape) + self.bias.reshape(shape)).to(features.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the statistics that evaluation uses towards those of this batch."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None  # without one, torch takes the mean over all batches
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class _Gather(torch.autograd.Function):
    """Gather rows; torch's own gather would sum equal gradients over the processes instead of multiplying one."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        lengths = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(count())]
        dist.all_gather(lengths, torch.tensor([len(rows)], device=rows.device))
        sizes = [int(length) for length in lengths]
        padded = F.pad(rows, (0, 0) * (rows.ndim - 1) + (0, max(sizes) - len(rows))).contiguous()
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        first = sum(sizes[: dist.get_rank()])
        ctx.own = slice(first, first + len(rows))
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient[ctx.own] * count()


def _sum_of_all(values: Tensor) -> Tensor:
    summed: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return summed


class _Sum(torch.autograd.Function):
    """All-reduce with a gradient: every process's loss depends on the sum, so their gradients are summed as well."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        summed = values.clone()
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        summed = gradient.contiguous().clone()
        dist.all_reduce(summed)
        return summed
