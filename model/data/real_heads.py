"""Anatomy of real people for the simulator: shares of fluid, grey and white matter in a harmonised T1w scan.

They are no simulated heads: there is nothing outside the brain, and deep grey matter has the times of cortex. What they
add is the folding, the asymmetry and the ageing of brains. A lesion is no tissue here, since a segmentation takes
oedema for cortex: its voxels are left out of what a network is given and of what is wanted of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.data.catalogue import CatalogueImages, Item, Sample
from model.data.fine_heads import (
    BOXES,
    INTRACRANIAL,
    N_CHANNELS,
    N_PLACES,
    UNKNOWN,
    WHOLE,
    FineHead,
    box_means,
    brain_places,
    read_head,
    write_head,
)
from model.data.head_bank import Told, make_missing
from model.data.lesions import LesionMasks
from model.physics.tissue import TISSUES
from model.simulation.people import Subject
from model.simulation.seeds import seed_of, stream
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import harden
from warehouse.imaging.geometry import Image
from warehouse.quality.tissues import CSF, GM, WM, segment

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
CHANNEL = {CSF: TISSUES.index("csf"), GM: TISSUES.index("cortex"), WM: TISSUES.index("white_matter")}
LOCAL_MM = 12.0  # standard deviation of the weights of the voxels that give a tissue's intensity at a place
LEAST_WEIGHT = 1e-3  # of these; where no pure voxel is near, the mean of the brain is taken
MARGIN_VOXELS = 3  # of air around the brain
AGES_YEARS = (2.0, 100.0)  # that `Subject` knows
LONGEST_VOXEL = 1.5  # of a scan, in voxels of the grid: interpolated slices of several millimetres are no anatomy
VERSION = 2  # raised when the same scans give other files


@dataclass(frozen=True)
class RealHeads:
    """Brains of the training people of a catalogue, by number.

    Parameters
    ----------
    folder : Path
        Where they are kept; made where absent.
    images : CatalogueImages
        Harmonised scans. One T1w before contrast agent is taken of each person of the split train; nobody is taken of
        whom it is not known where lesions are.
    n_most : int
        People that are taken at most: the first by a hash.
    """

    folder: Path
    images: CatalogueImages
    n_most: int
    indices: list[int] = field(init=False)
    lesions: LesionMasks = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lesions", LesionMasks(self.images))
        scans: dict[str, list[int]] = {}
        for index, item in enumerate(self.images.items):
            if _is_usable(item, self.images.grid_mm):
                scans.setdefault(item.person_id, []).append(index)
        people = sorted(scans, key=lambda person: hashlib.sha256(person.encode()).hexdigest())
        known = (self._first_known(scans[person]) for person in people)
        taken = islice((index for index in known if index is not None), self.n_most)
        object.__setattr__(self, "indices", sorted(taken))

    @property
    def n_heads(self) -> int:
        """How many there are."""
        return len(self.indices)

    @property
    def items(self) -> list[Item]:
        """The scans of which they are made."""
        return [self.images.items[index] for index in self.indices]

    @property
    def voxel_mm(self) -> float:
        """Of the session grids."""
        return self.images.grid_mm

    def fill(self, n_workers: int | None = 1, told: Told = lambda done, total: None) -> None:
        """Make the heads that are not there yet, as `FineHeads.fill` does."""
        make_missing(self.make, [self._path(number) for number in range(self.n_heads)], n_workers, told)

    def make(self, number: int) -> None:
        """Segment one scan and keep its shares."""
        item = self.images.items[self.indices[number]]
        head = real_head(self.images.volume(self.indices[number]), item, self.lesions.mask(item))
        write_head(self._path(number), head)

    def head(self, number: int) -> FineHead:
        """Return a head, which is made if it is not there."""
        path = self._path(number)
        if not path.is_file():
            self.make(number)
        return read_head(path, *person_of(self.images.items[self.indices[number]]))

    def _first_known(self, indices: Sequence[int]) -> int | None:
        """Return the first image whose lesions are known."""
        return next((index for index in indices if self.lesions.is_known(self.images.items[index])), None)

    def _path(self, number: int) -> Path:
        """Return the file of a head; another scan, recipe or mask gives another file."""
        item = self.images.items[self.indices[number]]
        settings = {
            "version": VERSION,
            "recipe": self.images.recipe_id,
            "store": item.path.parent.name,
            "scan": item.source_sha256,
            "lesions": self.lesions.content_hash(item),
            "boxes": BOXES,
            "n_places": N_PLACES,
        }
        named = json.dumps(settings | {"image": item.image_id, "voxel_mm": self.voxel_mm}, sort_keys=True)
        return self.folder / "real" / f"head-{hashlib.sha256(named.encode()).hexdigest()[:16]}.npy"


def _is_usable(item: Item, grid_mm: float) -> bool:
    """Return whether a scan is a T1w of a training person in voxels that resolve the folding of the brain.

    Voxels are unknown where the publishers resampled the scan; those are taken.
    """
    size_mm = max(item.record.voxel_size_mm or (0.0,))
    is_ours = item.split == "train" and not item.is_simulated
    return is_ours and item.contrast_label == "T1w" and size_mm <= LONGEST_VOXEL * grid_mm


def real_head(sample: Sample, item: Item, lesions: Mask | None) -> FineHead:
    """Return a brain as shares of tissues.

    Parameters
    ----------
    sample : Sample
        A T1w on the isotropic grid of its session, whose world is near that of MNI152.
    item : Item
    lesions : (i, j, k) bool array or None
        On the same grid.

    Raises
    ------
    ModelError
        When the grid is not isotropic with axes to right, anterior and superior, or no tissue is found in the scan.
    """
    voxel_mm = float(sample.affine[0, 0])
    if not (voxel_mm > 0 and np.allclose(sample.affine[:3, :3], voxel_mm * np.eye(3), atol=1e-4)):
        what = f"{item.image_id} is not on an isotropic grid of R, A, S"
        raise ModelError(what, "take it from the grid of its session")
    signal = (1 + sample.scale.relative_spread * harden(sample.voxels.astype(np.float64))).astype(np.float32)
    known = sample.mask if lesions is None else sample.mask & ~lesions
    labels = segment(Image(signal, sample.affine), known, np.eye(4))
    if not labels.any():
        raise ModelError(f"no tissue is found in {item.image_id}", "look at its mask, or flag it")
    found = np.argwhere(sample.mask)
    low = np.maximum(found.min(0) - MARGIN_VOXELS, 0)
    high = np.minimum(found.max(0) + MARGIN_VOXELS + 1, labels.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    maps = np.zeros((*(high - low), N_CHANNELS), np.uint8)
    for tissue, share in tissue_shares(signal[box], labels[box], LOCAL_MM / voxel_mm).items():
        maps[..., CHANNEL[tissue]] = np.rint(WHOLE * share)
    maps[..., INTRACRANIAL] = np.where(labels[box] > 0, WHOLE, np.where(sample.mask[box], UNKNOWN, 0))
    affine = sample.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    subject, unstated = person_of(item)
    places = brain_places(labels[box] > 0, subject.seed)
    return FineHead(subject, maps, affine, places, box_means(maps, places), unstated)


def person_of(item: Item) -> tuple[Subject, tuple[str, ...]]:
    """Return whose scan it is, and the fields of a record that are unknown of this person and must stay unsaid.

    Relaxation times depend on age: where it is unknown, it is drawn.
    """
    seed = seed_of("real head", item.person_id) % 2**31
    age, sex = item.record.age_years, item.record.sex
    unstated = tuple(name for name, value in (("age_years", age), ("sex", sex)) if value is None)
    age = float(stream(seed, "age").uniform(20, 80)) if age is None else float(np.clip(age, *AGES_YEARS))
    return Subject(seed, age, "M" if sex == "M" else "F"), unstated


def tissue_shares(signal: Floats, labels: NDArray[np.uint8], local: float) -> Mapping[int, Floats]:
    """Return the share of each voxel that fluid, grey and white matter take, (i, j, k) each; their sum is 1 in labels.

    Among voxels of one label, a voxel is pure: what its intensity deviates is noise, which would become anatomy of
    source and wanted scan alike. At borders, its intensity lies between those of the pure voxels nearby, and the share
    is its place between them: of fluid and grey matter, or grey and white; of fluid and white matter where no grey is
    next to it.

    Parameters
    ----------
    signal : (i, j, k) float32 array
        T1w: fluid is darker than grey matter, and that darker than white.
    labels : (i, j, k) uint8 array
        As `segment` returns them.
    local : float
        Standard deviation, in voxels, of the weights of the pure voxels of a place.
    """
    is_tissue = {tissue: (labels == tissue).astype(np.float32) for tissue in CHANNEL}
    inside = labels > 0
    near = {tissue: ndimage.uniform_filter(one, 3) for tissue, one in is_tissue.items()}
    around = np.maximum(ndimage.uniform_filter(inside.astype(np.float32), 3), 1e-6)
    is_pure = {tissue: (labels == tissue) & (near[tissue] > 0.99 * around) for tissue in CHANNEL}
    level = {tissue: _local_mean(signal, is_pure[tissue], labels == tissue, local) for tissue in CHANNEL}
    has_grey = near[GM] > 0.01
    shares = dict(is_tissue)
    is_border = inside & ~np.logical_or.reduce(list(is_pure.values()))
    is_between = (level[CSF] < level[GM]) & (level[GM] < level[WM])
    is_ordered = np.where(has_grey, is_between, level[CSF] < level[WM])
    where = is_border & is_ordered
    value = signal[where]
    fluid, grey, white = (level[tissue][where] for tissue in (CSF, GM, WM))
    top = np.where(has_grey[where], grey, white)
    of_fluid = np.clip((top - value) / (top - fluid), 0, 1)
    from_grey = np.clip((value - grey) / np.where(has_grey[where], white - grey, 1), 0, 1)
    of_white = np.where(has_grey[where], from_grey, 1 - of_fluid)
    for tissue, share in ((CSF, of_fluid), (WM, of_white), (GM, 1 - of_fluid - of_white)):
        shares[tissue][where] = np.maximum(share, 0)
    return shares


def _local_mean(signal: Floats, pure: Mask, labelled: Mask, local: float) -> Floats:
    """Return the mean of pure voxels near each voxel; of all that are labelled where there are too few."""
    chosen = pure if pure.any() else labelled
    usual = float(signal[chosen].mean()) if chosen.any() else 0.0
    weight = ndimage.gaussian_filter(chosen.astype(np.float32), local, truncate=2)
    total = ndimage.gaussian_filter(np.where(chosen, signal, 0).astype(np.float32), local, truncate=2)
    return np.where(weight > LEAST_WEIGHT, total / np.maximum(weight, LEAST_WEIGHT), usual).astype(np.float32)
