"""Whole brains of catalogue people, made by a network and measured against the real scan on its own voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.data.catalogue import CatalogueImages, Source
from model.data.natives import NativeScan, NativeScans, block_of, working_grid
from model.data.target_voxels import Matrix, TargetVoxels
from model.evaluation.baselines import IntensityMap, identity
from model.evaluation.metrics import measure
from model.inference.synthesize import Synthesizer
from model.networks.pair_encoder import FrozenTextEncoder
from model.networks.synthesis import SynthesisNetwork
from model.training.synthesis import relative_spreads
from warehouse.imaging.itk import inverse
from warehouse.prompts.record import PromptRecord


@dataclass(frozen=True)
class Whole:
    """Figures in the brain of a whole volume, beside the map of intensities that is fitted on that very volume.

    Parameters
    ----------
    psnr_db, ssim : float
        Of what the network makes.
    map_psnr_db, map_ssim : float
        Of the fitted map.
    """

    psnr_db: float
    ssim: float
    map_psnr_db: float
    map_ssim: float


def synthesizer_of(network: SynthesisNetwork, encoder: FrozenTextEncoder, training: CatalogueImages) -> Synthesizer:
    """Return a network that was just trained on these images as a synthesizer; nothing is written."""
    return Synthesizer("", network.eval(), encoder, training.grid_mm, {}, relative_spreads(training), "cpu")


def whole(
    synthesizer: Synthesizer, scans: NativeScans, pair: tuple[int, int], asked: PromptRecord | None = None
) -> Whole:
    """Return the figures of one volume.

    Parameters
    ----------
    synthesizer : Synthesizer
    scans : NativeScans
    pair : (int, int)
        Indices of source and target.
    asked : PromptRecord, optional
        What is asked for; default: what the catalogue knows of the target.
    """
    given, real = (scans.scan(index) for index in pair)
    grid = working_grid(given.grid, synthesizer.grid_mm)
    to_given = inverse(given.to(given, grid))
    voxels, seen = on(given, grid.shape, to_given)
    at = TargetVoxels(real.voxels.shape, real.to(given, grid))
    i, j, k = (float(one) for one in np.linalg.norm(given.to(given, grid)[:3, :3], axis=1) * synthesizer.grid_mm)
    item, wanted = (scans.items[index] for index in pair)
    brain = _mask_on(given, grid.shape, to_given)
    source = Source(voxels, brain, item.record, seen, (i, j, k), item.scale.relative_spread)
    made = synthesizer.volume([source], asked or wanted.record, tiled=False, at=at)
    truth = identity(real.voxels)
    beside, _ = on(given, real.voxels.shape, inverse(given.to(real, real.grid)))
    mapped = IntensityMap.fit([((beside,), truth, real.mask)]).apply([beside], real.mask)
    voxel_size_mm = tuple(real.grid.voxel_size_mm)
    shown = identity(made)
    if real.is_stripped:  # as in the file that a user gets: similarity looks at what lies around the brain, too
        shown = np.where(real.mask, shown, truth)
    own, fitted = (measure(one, truth, real.mask, voxel_size_mm) for one in (shown, mapped))
    return Whole(*(one[name, "brain"] for one in (own, fitted) for name in ("psnr_db", "ssim")))


def on(scan: NativeScan, shape: Sequence[int], to_scan: Matrix) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return a scan on a whole grid, and where it has voxels."""
    voxels, seen = block_of(scan, to_scan, (0, 0, 0), max(shape))
    inside = tuple(slice(0, n) for n in shape)
    return np.ascontiguousarray(voxels[inside]), np.ascontiguousarray(seen[inside])


def _mask_on(scan: NativeScan, shape: Sequence[int], to_scan: Matrix) -> NDArray[np.bool_]:
    brain: NDArray[Any] = ndimage.affine_transform(
        scan.mask.astype(np.uint8), to_scan[:3, :3], to_scan[:3, 3], tuple(shape), order=0
    )
    return brain > 0
