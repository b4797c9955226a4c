"""Synthesise a scan from another scan and a prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray

from model.data.catalogue import Source
from model.inference.scans import SAME, Prepared, acquired_size, prepare, read, read_mask, with_steps
from model.inference.tiles import in_tiles
from model.networks.checkpoint import read_model
from model.networks.device import choose_device, in_fast_layout
from model.networks.film_unet import FilmUNet, FilmUNetConfig
from model.networks.pair_encoder import FrozenTextEncoder
from model.networks.weights import resolve
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import FARTHEST, harden
from warehouse.imaging.geometry import Grid, Image, turn_back
from warehouse.imaging.nifti import Header
from warehouse.imaging.resampling import resample, resample_along_axes
from warehouse.lake.home import Home
from warehouse.prompts.parse import parse_prompt
from warehouse.prompts.record import PromptRecord, contrast_label

MEDIAN = 1000.0  # intensity of the brain's median in a file: signal keeps three digits where it is cast to integers
AT_ONCE = 4_000_000  # voxels; larger volumes are computed in tiles. 16 channels of this size take 256 MB
CORE = 96  # side of the part that a tile contributes, voxels
DESCRIPTION_BYTES = 79  # of the NIfTI field descrip, without its terminator

Voxels = NDArray[np.float32]


@dataclass(frozen=True)
class Synthesizer:
    """A loaded model.

    Parameters
    ----------
    model_id : str
    network : FilmUNet
    encoder : FrozenTextEncoder
    grid_mm : float
        Voxel size of the model's grid, mm; isotropic.
    preparation : mapping
        Parameters of the recipe of its training data.
    relative_spread : mapping of str to float
        Spread of the brain as a part of its median signal, by contrast label, of its training data.
    device : str
    """

    model_id: str
    network: FilmUNet
    encoder: FrozenTextEncoder
    grid_mm: float
    preparation: Mapping[str, Any]
    relative_spread: Mapping[str, float]
    device: str
    max_sources: int = 1

    def volume(self, sources: Sequence[Source], target: PromptRecord, *, tiled: bool | None = None) -> Voxels:
        """Synthesise a volume on the model's grid.

        Parameters
        ----------
        sources : sequence of Source
            At most `max_sources`, on one grid: axes RAS, voxels of `grid_mm`.
        target : PromptRecord
            Of the wanted scan.
        tiled : bool, optional
            Whether to compute in tiles; default: where the volume is large.

        Returns
        -------
        (i, j, k) float32 array
            Network intensities.

        Raises
        ------
        ModelError
            When there are more sources than the network takes.
        """
        if not 1 <= len(sources) <= self.max_sources:
            what = f"{len(sources)} scans are given, and model {self.model_id} takes {self.max_sources}"
            raise ModelError(what, "give one scan, or name a model that takes several")
        [source] = sources
        config = self.network.config
        with torch.inference_mode():
            prompts = self.encoder.embed([source.record]), self.encoder.embed([target])
            volume = torch.from_numpy(np.ascontiguousarray(source.voxels, np.float32))[None, None].to(self.device)
            if not (volume.numel() > AT_ONCE if tiled is None else tiled):
                output = self.network(volume, *prompts)
            else:
                output = in_tiles(
                    lambda piece: self.network(piece, *prompts), volume, core=CORE, halo=config.reach, step=config.step
                )
            return np.asarray(output[0, 0].float().cpu().numpy())

    def signal(self, sources: Sequence[Source], target: PromptRecord) -> NDArray[np.float64]:
        """Synthesise a volume as signal: 0 where there is none, 1 at the median of the brain.

        Parameters and errors are those of `volume`.

        Returns
        -------
        (i, j, k) float64 array
        """
        made = np.clip(self.volume(sources, target).astype(np.float64), -FARTHEST, FARTHEST)
        return np.maximum(1 + self._spread(target) * harden(made), 0.0)

    def scan(
        self,
        images: Sequence[str | Path],
        source_records: Sequence[PromptRecord],
        target: PromptRecord,
        *,
        like: Grid,
        to_like: Sequence[NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        """Synthesise a scan from files on the grid of another scan, as `synthesize` does on the source's own.

        Parameters
        ----------
        images : sequence of str or Path
            Files of scans as they came.
        source_records : sequence of PromptRecord
        target : PromptRecord
        like : Grid
        to_like : sequence of (4, 4) array
            Maps the world of each image to the world of `like`; RAS+, mm.

        Returns
        -------
        (i, j, k) float64 array
            In spreads from the median of the brain, on `like`.

        Raises
        ------
        ModelError
            When a scan cannot be used.
        """
        prepared = [_prepared_file(str(image), self.grid_mm, json.dumps(dict(self.preparation))) for image in images]
        made = self._signal_of(prepared, source_records, target)
        placed = resample(Image(made, prepared[0].grid.affine), np.asarray(to_like[0]), like)
        return (placed.voxels.astype(np.float64) - 1) / self._spread(target)

    def _signal_of(self, prepared: Sequence[Prepared], records: Sequence[PromptRecord], target: PromptRecord) -> Voxels:
        """Return the signal on the grid of the first scan; a stripped one gives a stripped result."""
        sources = [Source(one.voxels, one.mask, record) for one, record in zip(prepared, records, strict=True)]
        made = self.signal(sources, target).astype(np.float32)
        return np.where(prepared[0].mask, made, np.float32(0)) if prepared[0].is_stripped else made

    def _spread(self, target: PromptRecord) -> float:
        label, known = contrast_label(target.contrast, target.post_contrast), self.relative_spread
        return known[label] if label is not None and label in known else float(np.median(list(known.values())))


@lru_cache(maxsize=8)
def _prepared_file(image: str, grid_mm: float, preparation: str) -> Prepared:
    """Prepare a file once for all that is made of it."""
    return prepare(read(image), grid_mm, json.loads(preparation))


def load_synthesizer(
    home: Home, model: str | Path | None = None, device: str | None = None, *, voxel_mm: float | None = None
) -> Synthesizer:
    """Load a model onto a device.

    Parameters
    ----------
    home : Home
    model : str or Path, optional
        Identity, ``champion``, or path; default: the home's champion, else the shipped weights.
    device : {"cpu", "cuda"}, optional
        Default: CUDA if it is available.
    voxel_mm : float, optional
        Smallest voxel side of the scan, mm; the grid of a default model must be fine enough for it.

    Raises
    ------
    ModelError
        When there is no such model, or its weights do not match its configuration.
    """
    path, device = resolve(home, model, "synthesis", voxel_mm=voxel_mm), choose_device(device)
    config, tensors = read_model(path)
    try:
        network = FilmUNet(FilmUNetConfig(**_tuples(config["architecture"])))
        network.load_state_dict(_part(tensors, "network."), strict=True)
        encoder = FrozenTextEncoder.from_parts(config["text_encoder"], _part(tensors, "text_encoder."))
        grid_mm, preparation = float(config["grid_mm"]), dict(config["preparation"])
        spread = {str(label): float(value) for label, value in config["relative_spread"].items()}
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        remedy = "use the version of this project that wrote it, or train the model again"
        raise ModelError(f"{path}: weights and configuration do not match: {error}", remedy) from error
    network = in_fast_layout(network.to(device)).eval()
    return Synthesizer(str(config["model_id"]), network, encoder.to(device), grid_mm, preparation, spread, device)


def synthesize(
    image: str | Path | nib.Nifti1Image,
    prompt: str | PromptRecord,
    *,
    source_prompt: str | PromptRecord | None = None,
    brain_mask: str | Path | nib.Nifti1Image | None = None,
    model: str | Path | Synthesizer | None = None,
    home: Home | str | Path | None = None,
    device: str | None = None,
) -> nib.Nifti1Image:
    """Synthesise the scan that a prompt describes from another scan of the same head.

    Parameters
    ----------
    image : str, Path or Nifti1Image
        One volume of a head, of any orientation, shape and voxel size.
    prompt : str or PromptRecord
        Description of the wanted scan. With a voxel size (mm, along the axes of the input), the result has this voxel
        size and the field of view of the input; otherwise it has the grid of the input.
    source_prompt : str or PromptRecord, optional
        What the scan is; fields that are None count as unknown. The voxel size is taken from the header, unless the
        scan was interpolated from larger voxels.
    brain_mask : str, Path or Nifti1Image, optional
        On the grid of the scan, positive in the brain; default: found in the scan.
    model : str, Path or Synthesizer, optional
        Identity, ``champion``, path, or a loaded model; default: the home's champion for the scan's voxel size, else
        the shipped weights.
    home : Home, str or Path, optional
        Default: the home that ``TUMSYN_HOME`` names.
    device : {"cpu", "cuda"}, optional

    Returns
    -------
    Nifti1Image
        float32, with the axes and orientation of the input. Intensities are proportional to the signal: 0 where there
        is none, 1000 at the median of the brain. `descrip` of the header states that it is synthetic.

    Raises
    ------
    ModelError
        When there is no model, or the scan cannot be used.
    PromptError
        When a prompt cannot be understood.

    Examples
    --------
    >>> synthesize("sub-01_T1w.nii.gz", "Modality: T2w").to_filename("t2w.nii.gz")  # doctest: +SKIP
    """
    target = parse_prompt(prompt) if isinstance(prompt, str) else prompt
    source = parse_prompt(source_prompt) if isinstance(source_prompt, str) else source_prompt or PromptRecord()
    scan = read(image)
    grid = scan.grid
    if not isinstance(model, Synthesizer):
        model = load_synthesizer(_home(home), model, device, voxel_mm=min(_sizes(grid)))
    wanted = _wanted_grid(grid, target)
    mask = None if brain_mask is None else read_mask(brain_mask, grid)
    prepared = prepare(scan, model.grid_mm, model.preparation, mask)
    if source.voxel_size_mm is None:
        source = replace(source, voxel_size_mm=acquired_size(scan, prepared.own_mask))
    made = model._signal_of([prepared], [source], target)
    placed = resample_along_axes(made, prepared.grid, wanted.turned())
    back = turn_back(np.float32(MEDIAN) * placed, wanted.affine)
    return _as_nifti(back, wanted, scan.header, model.model_id, target)


def _wanted_grid(grid: Grid, target: PromptRecord) -> Grid:
    """Return the grid of the result: that of the input unless the prompt has another voxel size."""
    if target.voxel_size_mm is None or np.allclose(target.voxel_size_mm, grid.voxel_size_mm, rtol=SAME):
        return grid
    return with_steps(grid, target.voxel_size_mm)


def _as_nifti(voxels: Voxels, grid: Grid, header: Header, model_id: str, target: PromptRecord) -> nib.Nifti1Image:
    """Return an image with a new header, as headers may contain names; only qform and sform codes are kept."""
    image = nib.Nifti1Image(voxels, grid.affine)
    code = header.sform_code or header.qform_code
    image.set_sform(grid.affine, code)
    image.set_qform(grid.affine, code)
    image.header.set_xyzt_units("mm", "sec")
    wanted = contrast_label(target.contrast, target.post_contrast) or "image"
    image.header["descrip"] = f"synthetic {wanted} by TUMSyn model {model_id}".encode()[:DESCRIPTION_BYTES]
    return image


def _home(home: Home | str | Path | None) -> Home:
    if home is None:
        return Home.default()
    return home if isinstance(home, Home) else Home(Path(home).resolve())


def _sizes(grid: Grid) -> tuple[float, float, float]:
    i, j, k = (float(size) for size in grid.voxel_size_mm)
    return i, j, k


def _tuples(architecture: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in architecture.items()}


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
