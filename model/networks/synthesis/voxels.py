"""Sample a latent map at the voxels of another grid, as a scan there would have seen it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations, product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from model.data.target_voxels import ROUNDING_VOXELS, Matrix, TargetVoxels

SAMPLES_AT_ONCE = 2**15  # of one slab: its indices and weights stay in the cache
CORNERS = tuple(product((0, 1), repeat=3))


def sample(latent: Tensor, at: TargetVoxels) -> tuple[Tensor, Tensor]:
    """Return the mean of a latent map over each voxel, and what a decoder must know of where it lies.

    A voxel is sampled along its own axes at least once per voxel of the latent map, midway in equal parts. Outside,
    the map goes on with its outermost values. Where axes are parallel, the mean is taken along one axis after the
    other, and voxels of the same size that coincide are copied.

    Parameters
    ----------
    latent : (batch, c, i, j, k) Tensor
    at : TargetVoxels

    Returns
    -------
    (batch, c, i', j', k') Tensor
        Mean over the extent of each voxel, trilinear between the latent map's; of the same type.
    (6, i', j', k') float32 Tensor
        Offset of each voxel's centre from the nearest voxel of the latent map (−0.5 to 0.5 along i, j, k; outside the
        map, from where the nearest would be), and the logarithm of its extents along i, j, k (`TargetVoxels.extents`).
    """
    at = TargetVoxels(at.shape, _without_rounding(at))
    axes = _parallel_axes(at.matrix)
    if axes is not None:
        values = _along_axes(latent, at, axes)
    else:
        # Slabs of the target should be slabs of the latent map, so its axes come in the order of the nearest ones.
        order = _nearest_axes(at.matrix)
        back = [2 + order.index(axis) for axis in range(3)]
        values = _turned(latent, _in_order(at, order)).permute(0, 1, *back)
    return values, _where(at).to(latent.device)


def _without_rounding(at: TargetVoxels) -> Matrix:
    """Return the matrix with entries made whole that differ from it by rounding: slight turns, shifts, and scales."""
    whole = np.rint(at.matrix)
    drift = np.abs(at.matrix - whole) * [*(max(n - 1, 1) for n in at.shape), 1]  # of the block's far end
    return np.asarray(np.where(drift < ROUNDING_VOXELS / 4, whole, at.matrix))


def _parallel_axes(matrix: Matrix) -> tuple[int, ...] | None:
    """Return the axis of the latent map that is parallel to each axis of the block, or None where one is turned."""
    entries = matrix[:3, :3] != 0
    if (entries.sum(0) == 1).all() and (entries.sum(1) == 1).all():
        return tuple(int(axis) for axis in entries.argmax(0))
    return None


def _nearest_axes(matrix: Matrix) -> tuple[int, ...]:
    """Return the axis of the block that is nearest to each axis of the latent map."""
    share = np.abs(matrix[:3, :3]) / np.linalg.norm(matrix[:3, :3], axis=0)
    return max(permutations(range(3)), key=lambda order: float(sum(share[row, b] for row, b in enumerate(order))))


def _in_order(at: TargetVoxels, order: Sequence[int]) -> TargetVoxels:
    """Return the same voxels with the axes in another order."""
    i, j, k = (at.shape[axis] for axis in order)
    return TargetVoxels((i, j, k), at.matrix[:, [*order, 3]])


def _n_parts(extent: float) -> int:
    """Return into how many parts a voxel is divided along an axis, given its length in voxels of the latent map."""
    return max(1, int(np.ceil(extent - 0.05)))


def _along_axes(latent: Tensor, at: TargetVoxels, axes: Sequence[int]) -> Tensor:
    """Return means over voxels whose axes are parallel to those of the latent map: first where it becomes smaller."""
    values = latent.permute(0, 1, *(2 + axis for axis in axes))
    steps = [(float(at.matrix[axis, b]), float(at.matrix[axis, 3])) for b, axis in enumerate(axes)]
    for b in sorted(range(3), key=lambda b: at.shape[b] / values.shape[2 + b]):
        (step, start), n_from = steps[b], values.shape[2 + b]
        if abs(step) == 1 and start.is_integer():
            indices = (start + step * np.arange(at.shape[b])).clip(0, n_from - 1).astype(np.int64)
            if at.shape[b] != n_from or (indices != np.arange(n_from)).any():
                values = values.index_select(2 + b, torch.from_numpy(indices).to(latent.device))
            continue
        weights = torch.from_numpy(_weights(at.shape[b], n_from, step, start)).to(latent.device, torch.float32)
        with torch.autocast(latent.device.type, enabled=False):
            wide = torch.promote_types(latent.dtype, torch.float32)
            mean = values.movedim(2 + b, -1).to(wide) @ weights.T.to(wide)
        values = mean.movedim(-1, 2 + b).to(latent.dtype)
    return values


def _weights(n_to: int, n_from: int, step: float, start: float) -> NDArray[np.float64]:
    """Return the mean over each voxel along one axis as weights, (n_to, n_from)."""
    n_parts = _n_parts(abs(step))
    parts = (np.arange(n_parts) + 0.5) / n_parts - 0.5
    position = (start + step * (np.arange(n_to)[:, None] + parts)).clip(0, n_from - 1)
    # A linear interpolation weighs each voxel by a tent around it.
    tents = (1 - np.abs(position[..., None] - np.arange(n_from))).clip(0)
    return np.asarray(tents.mean(1))


def _turned(latent: Tensor, at: TargetVoxels) -> Tensor:
    """Return means over voxels whose axes are turned against those of the latent map."""
    wide = latent.to(torch.promote_types(latent.dtype, torch.float32))
    if latent.device.type == "cpu":
        values: Tensor = _SparseMean.apply(wide, at)  # type: ignore[no-untyped-call]
    else:
        values = _mean_of_samples(wide, at)
    return values.to(latent.dtype)


def _parts(at: TargetVoxels) -> NDArray[np.float64]:
    """Return the middles of the parts of a voxel, as shifts of the position in the latent map, (n, 3)."""
    counts = [_n_parts(float(extent)) for extent in np.linalg.norm(at.matrix[:3, :3], axis=0)]
    along = [(np.arange(n) + 0.5) / n - 0.5 for n in counts]
    return np.array(list(product(*along))) @ at.matrix[:3, :3].T


def _mean_of_samples(latent: Tensor, at: TargetVoxels) -> Tensor:
    """Return the mean of trilinear samples by torch's own operation, one part of all voxels at a time."""
    last = torch.tensor([n - 1 for n in latent.shape[2:]], dtype=torch.float32, device=latent.device)
    matrix = torch.from_numpy(at.matrix).to(latent.device, torch.float32)
    along = [torch.arange(n, dtype=torch.float32, device=latent.device) for n in at.shape]
    indices = torch.stack(torch.meshgrid(*along, indexing="ij"), -1)
    position = indices @ matrix[:3, :3].T + matrix[:3, 3]
    parts = torch.from_numpy(_parts(at)).to(latent.device, torch.float32)
    total = latent.new_zeros((*latent.shape[:2], *at.shape))
    for part in parts:
        # The operation counts from −1 to 1 between the centres of the first and last voxel, last axis first.
        points = ((position + part) * 2 / last.clamp_min(1) - 1).flip(-1).to(latent.dtype)
        total = total + torch.nn.functional.grid_sample(
            latent, points.expand(len(latent), *points.shape), padding_mode="border", align_corners=True
        )
    return total / len(parts)


class _SparseMean(torch.autograd.Function):
    """The mean over voxels as a sparse matrix; backwards its transpose.

    torch samples volumes point by point on CPUs: backwards it takes ten times as long as this.
    """

    @staticmethod
    def forward(ctx: Any, latent: Tensor, at: TargetVoxels) -> Tensor:
        """Return (batch, c, i', j', k') means of a (batch, c, i, j, k) map."""
        shape = latent.shape[2:]
        rows = latent.detach().permute(2, 3, 4, 0, 1).reshape(shape.numel(), -1).contiguous().numpy()
        means = np.empty((int(np.prod(at.shape)), rows.shape[1]), rows.dtype)
        ctx.shape, ctx.slabs = latent.shape, []
        for to, within, operator in _slabs(at, shape, rows.dtype):
            means[to] = operator @ rows[within]
            if ctx.needs_input_grad[0]:
                ctx.slabs.append((to, within, operator))
        return torch.from_numpy(means).reshape(*at.shape, *latent.shape[:2]).permute(3, 4, 0, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        """Return the gradient of the map."""
        (gradient,) = gradients
        n_maps = ctx.shape[:2].numel()
        of_means = gradient.detach().permute(2, 3, 4, 0, 1).reshape(-1, n_maps).contiguous().numpy()
        of_rows = np.zeros((ctx.shape[2:].numel(), n_maps), of_means.dtype)
        for to, within, operator in ctx.slabs:
            of_rows[within] += operator.T @ of_means[to]
        spatial = ctx.shape[2:]
        return torch.from_numpy(of_rows).reshape(*spatial, *ctx.shape[:2]).permute(3, 4, 0, 1, 2), None


def _slabs(at: TargetVoxels, shape: Sequence[int], dtype: Any) -> Iterator[tuple[slice, slice, Any]]:
    """Yield slabs of the block: its voxels, the voxels of the latent map that they need, and the sparse weights."""
    parts = _parts(at).astype(dtype)
    n_plane = at.shape[1] * at.shape[2]
    thickness = max(1, SAMPLES_AT_ONCE // (n_plane * len(parts)))
    for start in range(0, at.shape[0], thickness):
        stop = min(start + thickness, at.shape[0])
        columns, weights = _corners(at, range(start, stop), parts, shape)
        first, last = int(columns.min()), int(columns.max())
        n_rows = (stop - start) * n_plane
        pointers = np.arange(n_rows + 1, dtype=np.int32) * np.int32(8 * len(parts))
        columns -= np.int32(first)
        operator = sparse.csr_array(
            (weights.reshape(-1), columns.reshape(-1), pointers), shape=(n_rows, last - first + 1)
        )
        yield slice(start * n_plane, stop * n_plane), slice(first, last + 1), operator


def _corners(
    at: TargetVoxels, planes: range, parts: NDArray[Any], shape: Sequence[int]
) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Return the voxels of the latent map around each sample of some planes, and their weights, (voxels, parts, 8)."""
    along = [np.arange(planes.start, planes.stop), np.arange(at.shape[1]), np.arange(at.shape[2])]
    size = (len(planes) * at.shape[1] * at.shape[2], len(parts), len(CORNERS))
    columns, weights = np.empty(size, np.int32), np.empty(size, parts.dtype)
    strides = (shape[1] * shape[2], shape[2], 1)
    base = np.zeros(size[:2], np.int32)
    shares: list[tuple[NDArray[Any], NDArray[Any]]] = []
    for axis, stride in enumerate(strides):
        i, j, k = ((steps * at.matrix[axis, b]) for b, steps in enumerate(along))
        centers = (i[:, None, None] + j[:, None] + k + at.matrix[axis, 3]).astype(parts.dtype)
        position = (centers.reshape(-1, 1) + parts[:, axis]).clip(0, shape[axis] - 1)
        below = np.minimum(position.astype(np.int32), max(shape[axis] - 2, 0))  # which is not negative: truncated
        base += below * np.int32(stride)
        above = position - below
        shares.append((1 - above, above))
    # Along an axis of one voxel, both neighbours are that voxel.
    steps = [stride if n > 1 else 0 for stride, n in zip(strides, shape, strict=True)]
    for place, (a, b, c) in enumerate(CORNERS):
        if c == 0:
            of_plane = shares[0][a] * shares[1][b] / len(parts)
        np.multiply(of_plane, shares[2][c], out=weights[..., place])
        np.add(base, np.int32(a * steps[0] + b * steps[1] + c * steps[2]), out=columns[..., place])
    return columns, weights


def _where(at: TargetVoxels) -> Tensor:
    """Return offsets from the nearest voxels of the latent map and logarithms of extents, (6, i', j', k')."""
    where = np.empty((6, *at.shape), np.float32)
    for axis in range(3):
        i, j, k = (np.arange(n) * at.matrix[axis, b] for b, n in enumerate(at.shape))
        position = i[:, None, None] + j[:, None] + k + at.matrix[axis, 3]
        where[axis] = position - np.rint(position)
        where[3 + axis] = np.log(at.extents[axis])
    return torch.from_numpy(where)
