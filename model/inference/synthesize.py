"""A loaded synthesis model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.data.catalogue import Source
from model.data.target_voxels import TargetVoxels
from model.data.trained_ranges import states_settings
from model.inference.named_settings import signals, tells_contrast, weighed
from model.inference.placing import field_of_view, is_same_grid, place_mask
from model.inference.scans import Cleaned, Prepared, clean, on_grid, read, working_grid
from model.inference.tiles import fits, free_bytes, in_tiles, largest_core
from model.networks.device import choose_device, in_fast_layout
from model.networks.pair_encoder import FrozenTextEncoder
from model.networks.parts import read_parts
from model.networks.synthesis import Scans, SynthesisNetwork, Wanted
from model.networks.synthesis.physics import Settings, brain_scale, signal
from model.networks.synthesis.voxels import sample
from model.networks.synthesis.windows import UNBOUNDED, in_windows
from model.networks.weights import choose
from model.physics.expected import names_settings, typical_widening, without_settings
from warehouse.errors import ModelError
from warehouse.imaging.geometry import Grid
from warehouse.imaging.itk import inverse
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord, contrast_label

CORE = 96  # largest side of the part that a tile contributes, voxels
BYTES_PER_VOXEL = 320.0  # of `compact` at its widest: 2.1 GB for 182 × 218 × 182 voxels (benchmarks/synthesis.py)
MAP_SUFFIXES = ("PDmap", "T1map", "T2map", "T2starmap")  # of BIDS
DECODED_AT_ONCE = 4_000_000  # wanted voxels
SHARE_OF_FREE = 0.5  # of the memory that is free: others use the machine too

Voxels = NDArray[np.float32]


@dataclass(frozen=True)
class Synthesizer:
    """A loaded model.

    Parameters
    ----------
    model_id : str
    network : SynthesisNetwork
    encoder : FrozenTextEncoder
    grid_mm : float
        Voxel size of the model's grid, mm; isotropic.
    preparation : mapping
        Parameters of the recipe of its training data.
    relative_spread : mapping of str to float
        Spread of the brain as a part of its median signal, by contrast label, of its training data.
    device : str
    weights_sha256 : str
        Hash of its weights.
    trained_ranges : mapping
        Ranges of the prompts of its training data; see `model.data.trained_ranges`.
    bytes_per_voxel : float
        Memory that the network takes at its widest, for each voxel that it sees.
    memory_bytes : float, optional
        Memory that it may take; larger volumes are computed in tiles. Default: half of what is free.
    progress : callable
        Is called with the number of finished tiles and that of all.
    chosen : str
        Why this model is used, in words.
    is_simulated : bool
        Whether every scan that it learned from is simulated.
    """

    model_id: str
    network: SynthesisNetwork
    encoder: FrozenTextEncoder
    grid_mm: float
    preparation: Mapping[str, Any]
    relative_spread: Mapping[str, float]
    device: str
    weights_sha256: str = ""
    trained_ranges: Mapping[str, Any] = field(default_factory=dict)
    bytes_per_voxel: float = BYTES_PER_VOXEL
    memory_bytes: float | None = None
    progress: Callable[[int, int], None] = lambda done, total: None
    chosen: str = ""
    is_simulated: bool = False

    def volume(
        self,
        sources: Sequence[Source],
        target: PromptRecord,
        *,
        tiled: bool | None = None,
        at: TargetVoxels | None = None,
    ) -> Voxels:
        """Synthesise a volume.

        Parameters
        ----------
        sources : sequence of Source
            At most `max_sources`, on one grid: axes RAS, voxels of `grid_mm`.
        target : PromptRecord
            Of the wanted scan.
        tiled : bool, optional
            Whether to compute in tiles; default: where the whole volume does not fit into memory.
        at : TargetVoxels, optional
            Wanted voxels, in those of the sources; default: the same ones.

        Returns
        -------
        (i, j, k) float32 array
            Network intensities at the wanted voxels.

        Raises
        ------
        ModelError
            When there are more sources than the network takes.
        """
        return self.intensities(sources, target, tiled=tiled, at=at)[0]

    def intensities(
        self,
        sources: Sequence[Source],
        target: PromptRecord,
        *,
        tiled: bool | None = None,
        at: TargetVoxels | None = None,
    ) -> tuple[Voxels, float]:
        """Synthesise a volume; parameters and errors are those of `volume`.

        Returns
        -------
        voxels : (i, j, k) float32 array
            Network intensities.
        relative_spread : float
            Spread of the brain as a part of its median signal, by which they become signals: the usual one of the
            contrast, and where an equation rendered the brain, that of the rendered one, since contrast varies with TR
            and TE (`_least_spread` is below it).
        """
        self.refuse_number(len(sources))
        if self.weighs(target):
            silent = without_settings(target)
            return weighed(
                sources,
                target,
                lambda there: self.intensities(sources, silent, tiled=tiled, at=there),
                self.grid_mm,
                at,
            )
        if self.ignores(target):
            target = without_settings(target)
        spread = self._spread(target)
        with torch.inference_mode():
            scans, wanted = self._asked(sources, target, at)
            if self.network.reach >= UNBOUNDED:
                made = in_windows(self.network, scans, wanted, told=self.progress)
                made = made if at is None else sample(made, at)[0]
            else:
                latent = self._latent(scans, wanted, tiled)
                if self._has_equation(wanted):
                    least = self._least_spread(target)
                    wanted = _scaled(wanted, self._rendered(latent, wanted), sources, least)
                    spread = _relative_spread(wanted) or spread
                made = self._decoded(latent, wanted, at)
            return np.asarray(made[0, 0].float().cpu().numpy()), spread

    def _latent(self, scans: Scans, wanted: Wanted, tiled: bool | None) -> Tensor:
        """Return the latent map of whole scans."""
        is_tiled = not fits(scans.seen[0, 0].numel(), self.bytes_per_voxel, self._memory()) if tiled is None else tiled
        if is_tiled:
            sizes = {"halo": self.network.reach, "step": self.network.step}
            core = largest_core(scans.shape, self.bytes_per_voxel, self._memory(), most=CORE, **sizes)
            return in_tiles(
                lambda piece: self.network.latent(piece, wanted), scans, core=core, **sizes, progress=self.progress
            )
        self.progress(0, 1)
        latent = self.network.latent(scans, wanted)
        self.progress(1, 1)
        return latent

    def _decoded(self, latent: Tensor, wanted: Wanted, at: TargetVoxels | None) -> Tensor:
        """Return network intensities at the wanted voxels, computed in slabs of them."""
        if at is None:
            return self.network.decode(latent, wanted)
        thickness = max(1, DECODED_AT_ONCE // (at.shape[1] * at.shape[2]))
        slabs = []
        for first in range(0, at.shape[0], thickness):
            matrix = at.matrix.copy()
            matrix[:3, 3] += first * matrix[:3, 0]
            n = min(thickness, at.shape[0] - first)
            slabs.append(self.network.decode(latent, wanted, TargetVoxels((n, *at.shape[1:]), matrix)))
        return torch.cat(slabs, 2)

    def _asked(
        self, sources: Sequence[Source], target: PromptRecord, at: TargetVoxels | None = None
    ) -> tuple[Scans, Wanted]:
        """Return the sources and the wish as the network takes them."""
        own_mm = (self.grid_mm,) * 3
        voxels = np.stack([np.asarray(source.voxels, np.float32) for source in sources])
        seen = np.stack(
            [
                np.ones(voxels.shape[1:], np.float32) if one.seen is None else one.seen.astype(np.float32)
                for one in sources
            ]
        )
        sizes_mm = torch.tensor([[source.size_mm or own_mm for source in sources]], dtype=torch.float32)
        embeddings = self.encoder.embed([source.record for source in sources])[None]
        spreads = torch.tensor([[source.relative_spread for source in sources]], dtype=torch.float32)
        scans = Scans(
            torch.from_numpy(voxels)[None], torch.from_numpy(seen)[None], sizes_mm, embeddings, spreads=spreads
        )
        settings = Settings.of([target], [None])
        wanted_mm = own_mm if at is None else tuple(at.extents * self.grid_mm)
        wanted = Wanted(self.encoder.embed([target]), torch.tensor([wanted_mm], dtype=torch.float32), settings)
        return scans.to(self.device), wanted.to(self.device)

    def _memory(self) -> float:
        return self.memory_bytes if self.memory_bytes is not None else SHARE_OF_FREE * free_bytes(self.device)

    def _has_equation(self, wanted: Wanted) -> bool:
        return self.network.has_maps and wanted.settings is not None and bool((wanted.settings.family >= 0).all())

    def _rendered(self, latent: Tensor, wanted: Wanted) -> Tensor:
        maps = self.network.maps(latent)
        assert maps is not None
        assert wanted.settings is not None
        return signal(maps, wanted.settings)

    @property
    def max_sources(self) -> int:
        """Most scans of one head."""
        return self.network.max_scans

    def refuse_number(self, n_sources: int) -> None:
        """Raise `ModelError` unless the network takes so many scans of one head."""
        if not 1 <= n_sources <= self.max_sources:
            what = f"{n_sources} scans are given, and model {self.model_id} takes {self.max_sources}"
            raise ModelError(what, "give one scan, or name a model that takes several")

    def weighs(self, target: PromptRecord) -> bool:
        """Return whether settings are named that no real scan of the contrast, from which the network learned, stated.

        What it knows of them is from simulated scans, which look otherwise than real ones. So the image is made without
        them, and tissues are weighed by the signal equations (`model.inference.named_settings`).
        """
        return self._never_saw(target) and tells_contrast(target)

    def ignores(self, target: PromptRecord) -> bool:
        """Return whether such settings are named, and no equation tells what they do: no or several sequences fit."""
        return self._never_saw(target) and not tells_contrast(target)

    def _never_saw(self, target: PromptRecord) -> bool:
        label = contrast_label(target.contrast, target.post_contrast)
        is_learned = label in (self.trained_ranges.get("contrasts") or {})
        is_new = names_settings(target) and not states_settings(target, self.trained_ranges)
        return is_learned and is_new and not self.is_simulated

    def maps(self, sources: Sequence[Source], target: PromptRecord) -> dict[str, Voxels]:
        """Return maps of tissue on the model's grid, by their BIDS suffix.

        Parameters are those of `volume`.

        Returns
        -------
        dict of str to (i, j, k) float32 array
            PDmap, as a part of fluid's; T1map, T2map and T2starmap in seconds.

        Raises
        ------
        ModelError
            When the model has no physics branch.
        """
        self.refuse_number(len(sources))
        if not self.network.has_maps:
            what = f"model {self.model_id} makes no maps of tissue: its network has no physics branch"
            raise ModelError(what, "leave --maps out, or name a model whose network has one")
        with torch.inference_mode():
            scans, wanted = self._asked(sources, target)
            found = self.network.maps(self._latent(scans, wanted, None))
            assert found is not None
            named = zip(MAP_SUFFIXES, (found.pd, found.t1_s, found.t2_s, found.t2star_s), strict=True)
            return {suffix: np.asarray(one[0].float().cpu().numpy()) for suffix, one in named}

    def signal(
        self, sources: Sequence[Source], target: PromptRecord, at: TargetVoxels | None = None
    ) -> NDArray[np.float64]:
        """Synthesise a volume as signal: 0 where there is none, 1 at the median of the brain.

        Parameters and errors are those of `volume`.

        Returns
        -------
        (i, j, k) float64 array
        """
        return self._signal(sources, target, at)[0]

    def _signal(
        self, sources: Sequence[Source], target: PromptRecord, at: TargetVoxels | None
    ) -> tuple[NDArray[np.float64], float]:
        """Return the signal, and the spread by which it was made of network intensities."""
        intensities, spread = self.intensities(sources, target, at=at)
        return signals(intensities, spread), spread

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
        self.refuse_number(len(images))
        asked = json.dumps(dict(self.preparation))
        scans = [_cleaned_file(str(image), asked) for image in images]
        grid = working_grid(scans[0].image.grid, self.grid_mm)
        to_first = [inverse(np.asarray(to_like[0])) @ np.asarray(to) for to in to_like]
        prepared = [
            on_grid(one, grid, to if number else None)
            for number, (one, to) in enumerate(zip(scans, to_first, strict=True))
        ]
        made, spread = self._signal_of(prepared, source_records, target, like, np.asarray(to_like[0]))
        return (made.astype(np.float64) - 1) / spread

    def signal_of(
        self,
        prepared: Sequence[Prepared],
        records: Sequence[PromptRecord],
        target: PromptRecord,
        like: Grid | None = None,
        to_like: NDArray[np.float64] | None = None,
    ) -> Voxels:
        """Return the signal on the grid of the first scan or another.

        A stripped scan gives a stripped result, and air stays without signal: it has none in any contrast.

        Parameters
        ----------
        prepared : sequence of Prepared
        records : sequence of PromptRecord
            Of these scans.
        target : PromptRecord
        like : Grid, optional
            Of the result; outside the first scan's field of view it is 0.
        to_like : (4, 4) array, optional
            The first scan's world to that of `like`; RAS+, mm. Default: they are one world.
        """
        return self._signal_of(prepared, records, target, like, to_like)[0]

    def _signal_of(
        self,
        prepared: Sequence[Prepared],
        records: Sequence[PromptRecord],
        target: PromptRecord,
        like: Grid | None,
        to_like: NDArray[np.float64] | None,
    ) -> tuple[Voxels, float]:
        """Return the signal on the grid, and the spread by which it was made of network intensities."""
        here, shown = prepared[0].grid, _shown(prepared)
        if like is None or (to_like is None and is_same_grid(here, like)):
            whole, spread = self._signal(sources_of(prepared, records), target, None)
            made = whole.astype(np.float32)
            return (made if shown is None else np.where(shown, made, np.float32(0))), spread
        world = np.eye(4) if to_like is None else to_like
        at = TargetVoxels(like.shape, inverse(world @ here.affine) @ like.affine)
        placed, spread = self._signal(sources_of(prepared, records), target, at)
        kept = field_of_view(here, like, to_like) if shown is None else place_mask(shown, here, like, to_like)
        return np.where(kept, placed.astype(np.float32), np.float32(0)), spread

    def _least_spread(self, target: PromptRecord) -> float:
        """Return the least spread of a rendered brain, as a part of its median: that of real ones with such settings.

        Maps of a head of which a network is not sure are smoother than the head. By the spread of what they render, all
        would be stretched. Networks that learned from simulated scans alone know the maps: nothing is expected of them.
        """
        label = contrast_label(target.contrast, target.post_contrast)
        if self.is_simulated or label is None:
            return 0.0
        return self.relative_spread.get(label, 0.0) * (typical_widening(target) or 0.0)

    def _spread(self, target: PromptRecord) -> float:
        label, known = contrast_label(target.contrast, target.post_contrast), self.relative_spread
        return known[label] if label is not None and label in known else float(np.median(list(known.values())))


def sources_of(prepared: Sequence[Prepared], records: Sequence[PromptRecord]) -> list[Source]:
    """Return prepared scans as a network is given them."""
    return [
        Source(one.voxels, one.mask, record, one.seen, one.size_mm, one.relative_spread)
        for one, record in zip(prepared, records, strict=True)
    ]


def _shown(prepared: Sequence[Prepared]) -> NDArray[np.bool_] | None:
    """Return where a result has signal, on the network's grid; None: everywhere.

    That is the brain of a stripped first scan; else where any scan that shows a head has no air.
    """
    if prepared[0].is_stripped:
        return prepared[0].mask
    if prepared[0].head is None:
        return None
    return np.asarray(np.any([one.head for one in prepared if one.head is not None], axis=0))


def _scaled(wanted: Wanted, rendered: Tensor, sources: Sequence[Source], least_spread: float) -> Wanted:
    """Return what is wanted with the scale of its rendered brain; the spread is at least such a part of the median."""
    assert wanted.settings is not None
    brain = torch.from_numpy(np.any([source.mask for source in sources], axis=0)).to(rendered.device)
    median, spread = brain_scale(rendered, brain)
    return replace(wanted, settings=wanted.settings.scaled(median, torch.maximum(spread, least_spread * median)))


def _relative_spread(wanted: Wanted) -> float | None:
    """Return the spread of a rendered brain as a part of its median; None where it has none, and its branch is off."""
    assert wanted.settings is not None
    median, spread = float(wanted.settings.median[0]), float(wanted.settings.spread[0])
    return spread / median if median > 0 and np.isfinite(spread) else None


@lru_cache(maxsize=4)
def _cleaned_file(image: str, preparation: str) -> Cleaned:
    """Clean a file once for all that is made of it."""
    return clean(read(image), json.loads(preparation))


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
        Smallest voxel side of scan and result, mm; the grid of a default model must be fine enough for it.

    Raises
    ------
    ModelError
        When there is no such model, or its weights do not match its configuration.
    """
    choice, device = choose(home, model, "synthesis", voxel_mm=voxel_mm), choose_device(device)
    path = choice.path
    config, network, encoder = read_parts(path)
    try:
        grid_mm, preparation = float(config["grid_mm"]), dict(config["preparation"])
        spread = {str(label): float(value) for label, value in config["relative_spread"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        remedy = "use the version of this project that wrote it, or train the model again"
        raise ModelError(f"{path}: its configuration is incomplete: {error!r}", remedy) from error
    network = in_fast_layout(network.to(device)).eval()
    return Synthesizer(
        str(config["model_id"]),
        network,
        encoder.to(device),
        grid_mm,
        preparation,
        spread,
        device,
        weights_sha256=str(config["weights_sha256"]),
        trained_ranges=config.get("trained_ranges") or {"contrasts": {label: {} for label in spread}},
        chosen=choice.reason,
        is_simulated=bool(config.get("is_simulated")),
    )
