"""Synthesise a scan from another scan and a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray

from model.inference.scans import SAME, prepare, read, with_steps
from model.inference.tiles import in_tiles
from model.networks.checkpoint import read_model
from model.networks.device import choose_device, in_fast_layout
from model.networks.film_unet import FilmUNet, FilmUNetConfig
from model.networks.text_encoder import FrozenTextEncoder
from model.networks.weights import resolve
from warehouse.errors import ModelError
from warehouse.imaging.geometry import Grid, turn_back
from warehouse.imaging.nifti import Header
from warehouse.imaging.resampling import resample_along_axes
from warehouse.lake.home import Home
from warehouse.prompts.parse import parse_prompt
from warehouse.prompts.record import PromptRecord, contrast_label

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
    device : str
    """

    model_id: str
    network: FilmUNet
    encoder: FrozenTextEncoder
    grid_mm: float
    preparation: Mapping[str, Any]
    device: str

    def volume(
        self, voxels: Voxels, mask: NDArray[np.bool_] | None, source: PromptRecord, target: PromptRecord
    ) -> Voxels:
        """Synthesise a volume on the model's grid.

        Parameters
        ----------
        voxels : (i, j, k) float32 array
            Intensities in [0, 1]; axes RAS, voxels of `grid_mm`.
        mask : (i, j, k) bool array or None
            Brain mask; not used by this network.
        source, target : PromptRecord
            Record of the source as far as known, and of the wanted scan.

        Returns
        -------
        (i, j, k) float32 array
            Intensities in [0, 1].
        """
        config = self.network.config
        with torch.inference_mode():
            prompts = self.encoder.embed([source]), self.encoder.embed([target])
            volume = torch.from_numpy(np.ascontiguousarray(voxels, np.float32))[None, None].to(self.device)
            if volume.numel() <= AT_ONCE:
                output = self.network(volume, *prompts)
            else:
                output = in_tiles(
                    lambda piece: self.network(piece, *prompts), volume, core=CORE, halo=config.reach, step=config.step
                )
            return np.asarray(output[0, 0].clamp(0, 1).float().cpu().numpy())


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
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        remedy = "use the version of this project that wrote it, or train the model again"
        raise ModelError(f"{path}: weights and configuration do not match: {error}", remedy) from error
    network = in_fast_layout(network.to(device)).eval()
    return Synthesizer(str(config["model_id"]), network, encoder.to(device), grid_mm, preparation, device)


def synthesize(
    image: str | Path | nib.Nifti1Image,
    prompt: str | PromptRecord,
    *,
    source_prompt: str | PromptRecord | None = None,
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
        What the scan is; fields that are None count as unknown.
    model : str, Path or Synthesizer, optional
        Identity, ``champion``, path, or a loaded model; default: the home's champion for the scan's voxel size, else
        the shipped weights.
    home : Home, str or Path, optional
        Default: the home that ``TUMSYN_HOME`` names.
    device : {"cpu", "cuda"}, optional

    Returns
    -------
    Nifti1Image
        Synthetic intensities in [0, 1], float32, with the axes and orientation of the input; `descrip` of the header
        states that it is synthetic.

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
    if source.voxel_size_mm is None:
        source = replace(source, voxel_size_mm=_sizes(grid))
    wanted = _wanted_grid(grid, target)
    network_grid = with_steps(grid.turned(), (model.grid_mm,) * 3)
    prepared = prepare(scan.voxels, grid, network_grid, model.preparation)
    synthetic = model.volume(prepared, None, source, replace(target, voxel_size_mm=_sizes(wanted)))
    back = turn_back(resample_along_axes(synthetic, network_grid, wanted.turned()), wanted.affine)
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
