"""Scans of made-up heads on grids of any orientation, in memory or in stores: every voxel tells where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model.data.catalogue import Item, outside
from model.data.natives import NativeScan
from model.data.patches import PatchBatch
from model.simulation.rendering import rotation
from warehouse.imaging.brain_scale import BrainScale
from warehouse.imaging.geometry import Grid
from warehouse.prompts.record import PromptRecord
from warehouse.volumes import Payload, write

Matrix = NDArray[np.float64]
Head = Callable[[Matrix], Matrix]  # signal at (…, 3) places of the session's world, mm
UNIT = BrainScale(0.5, 0.4)
MARKER_MM = np.array([7.0, -4.0, 5.0])  # right of the middle, behind it, above it
FULL = PromptRecord(
    contrast="T1w",
    post_contrast=True,
    vendor="GE",
    model="MR750",
    field_strength_t=3.0,
    age_years=40.0,
    sex="F",
    voxel_size_mm=(1.0, 1.0, 1.0),
    repetition_time_s=2.0,
    echo_time_s=0.003,
    inversion_time_s=0.9,
    flip_angle_deg=8.0,
    flip_angle_variable=True,
)


def marked(places: Matrix) -> Matrix:
    """Return the signal of a head that has one bright spot, 4 mm wide, off all planes of symmetry."""
    return np.asarray(0.3 + 0.5 * np.exp(-(((places - MARKER_MM) / 4.0) ** 2).sum(-1)))


def sloped(places: Matrix) -> Matrix:
    """Return a signal that is linear in the place: its mean over any voxel is that of the centre."""
    return np.asarray(0.5 + places @ [0.004, -0.003, 0.002])


def placed(axes: Matrix, sizes_mm: tuple[float, float, float], shape: tuple[int, int, int]) -> Grid:
    """Return a grid around the origin whose axes point along columns of a matrix."""
    affine = np.eye(4)
    affine[:3, :3] = axes @ np.diag(sizes_mm)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


OBLIQUE = rotation((8.0, -12.0, 15.0))
GRIDS = {
    "RAS": placed(np.eye(3), (1.5, 1.5, 1.5), (26, 24, 22)),
    "LPS": placed(np.diag([-1.0, -1.0, 1.0]), (1.5, 1.5, 1.5), (26, 24, 22)),
    "PIR": placed(np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]]), (1.5, 1.5, 1.5), (24, 22, 26)),
    "oblique": placed(OBLIQUE @ np.diag([-1.0, 1.0, -1.0]), (1.4, 1.4, 1.6), (28, 26, 24)),
    "thick": placed(np.diag([-1.0, -1.0, 1.0]), (1.0, 1.0, 4.0), (40, 38, 9)),
    "thick, oblique": placed(OBLIQUE @ np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]]), (1.0, 1.0, 4.0), (38, 34, 10)),
}


def pose(number: int) -> Matrix:
    """Return how a scan's world lies in its session's: another turn and shift for each scan; 0 is none."""
    matrix = np.eye(4)
    if number:
        rng = np.random.default_rng(number)
        matrix[:3, :3], matrix[:3, 3] = rotation(rng.uniform(-5, 5, 3)), rng.uniform(-2, 2, 3)
    return matrix


def centers(grid: Grid, to_session: Matrix) -> Matrix:
    """Return where the centres of voxels lie in the session's world, (i, j, k, 3)."""
    indices = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), -1)
    matrix = to_session @ grid.affine
    return np.asarray(indices @ matrix[:3, :3].T + matrix[:3, 3])


def item_of(path: Path, contrast: str = "T1w", session: str = "s0", scale: BrainScale = UNIT) -> Item:
    """Return an item of the catalogue."""
    record = replace(FULL, contrast=contrast, post_contrast=False)
    names = f"{session}{contrast}{path.name}", "c", session, f"p{session}", "train", contrast
    return Item(*names, record=record, is_simulated=True, path=path, scale=scale)


def stored(folder: Path, name: str, head: Head, grid: Grid, to_session: Matrix, **names: str) -> Item:
    """Write the native store of a head's scan, whose brain is the right half, and return its item."""
    places = centers(grid, to_session)
    attributes = {
        "image_id": name,
        "form": "native",
        "transforms": [{"kind": "native_to_session", "matrix": to_session.tolist()}],
    }
    mask = (places[..., 0] > 0).astype(np.uint8)
    item = item_of(folder / name / "session.zarr", **names)
    write(item.native_path, Payload(head(places).astype(np.float16), grid.affine, mask, attributes, b""), name=name)
    return item


def scan_of(head: Head, grid: Grid, to_session: Matrix, scale: BrainScale = UNIT) -> NativeScan:
    """Return a head's scan on a grid that is turned to right, anterior, superior, as it is read."""
    voxels = scale.to_network(head(centers(grid, to_session))).astype(np.float16)
    return NativeScan(voxels, np.ones(grid.shape, bool), grid, to_session, outside(scale))


@dataclass
class Few:
    """Scans in memory: those of a session are one head, and sessions differ."""

    items: list[Item]
    pairs: list[tuple[int, int]]
    grids: dict[int, Grid] = field(default_factory=dict)
    poses: dict[int, Matrix] = field(default_factory=dict)
    grid: Grid = field(default_factory=lambda: placed(np.eye(3), (3.0, 3.0, 3.0), (12, 14, 10)))
    made: dict[int, NativeScan] = field(default_factory=dict)

    def scan(self, index: int) -> NativeScan:
        """Return a scan; T2w is the negative of the others."""
        if index not in self.made:
            self.made[index] = self._made(index)
        return self.made[index]

    def _made(self, index: int) -> NativeScan:
        item, grid = self.items[index], self.grids.get(index, self.grid)
        made = scan_of(sloped, grid, self.poses.get(index, np.eye(4)))
        sign = -1 if item.contrast_label == "T2w" else 1
        mask = np.zeros(grid.shape, bool)
        mask[3:-3, 3:-3, 3:-3] = True
        shift = np.float16(0.1 * int(item.session_id[1:]))
        return replace(made, voxels=sign * made.voxels + shift, mask=mask)


def few(contrasts: tuple[str, ...] = ("T1w", "T2w", "FLAIR"), n_sessions: int = 4) -> Few:
    """Return sessions of two contrasts, the first of all."""
    items = [
        item_of(Path("nowhere"), contrast, f"s{session}")
        for session in range(n_sessions)
        for contrast in contrasts[: 3 if session == 0 else 2]
    ]
    pairs = [
        (one, other)
        for one, source in enumerate(items)
        for other, target in enumerate(items)
        if one != other and source.session_id == target.session_id
    ]
    return Few(items, pairs)


def same(one: PatchBatch, other: PatchBatch) -> bool:
    """Return whether two batches hold the same."""
    tensors = all(torch.equal(getattr(one, name), getattr(other, name)) for name in ("voxels", "seen", "sizes_mm"))
    targets = all(
        np.array_equal(a.target, b.target) and np.array_equal(a.mask, b.mask) and a.record == b.record
        for a, b in zip(one.patches, other.patches, strict=True)
    )
    return tensors and targets and one.records == other.records
