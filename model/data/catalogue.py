"""The images that a model may see, as the catalogue has them: the only module here that reads it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.folds import DEALT, FOLD_SPLITS, Fold
from model.data.lru_cache import LruCache
from warehouse.catalog import sqlfiles
from warehouse.catalog.query import Catalogue
from warehouse.centers.readable import readable
from warehouse.centers.registry import HEALTHY, RegisteredCenter
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import USUAL_SPREAD, BrainScale
from warehouse.imaging.geometry import Grid
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord
from warehouse.tables.out import SPLITS
from warehouse.volumes.volume import open_store

BYTES_PER_VOXEL = 5  # float32 voxels and a mask
CACHE_BYTES = 2_000_000_000  # of decoded volumes; a draft volume takes 1.4 MB, one of 1 mm 36 MB


@dataclass(frozen=True)
class LesionFile:
    """A mask or segmentation of the lesions of a session.

    Parameters
    ----------
    path : Path
    space : str or None
        BIDS entity: where a contrast is named, the mask lies on the grid of that scan.
    content_hash : str
        As in `core.image`; empty where unknown.
    """

    path: Path
    space: str | None = None
    content_hash: str = ""


@dataclass(frozen=True)
class Item:
    """One harmonised image: whose it is, in which split, and what its prompt says.

    Parameters
    ----------
    image_id, center_id, session_id, person_id, split : str
        As in `out.image_catalog`; the split of a fold as `Fold.split` gives it.
    contrast_label : str
        Contrast as prompts write it, e.g. T1w or ceT1w.
    record : PromptRecord
    is_simulated : bool
    path : Path
        The store.
    scale : BrainScale
        Of the scan's brain, in the unit of the store.
    is_stripped : bool
        Whether it holds a brain and little else.
    file : Path or None
        The scan as it came; None where its centre is not registered any more.
    source_sha256 : str
        Hash of the file that was harmonised.
    lesions : tuple of LesionFile, or None
        Where the lesions of its session are marked; empty where the centre took healthy people. None: nobody knows
        where lesions are.
    """

    image_id: str
    center_id: str
    session_id: str
    person_id: str
    split: str
    contrast_label: str
    record: PromptRecord
    is_simulated: bool
    path: Path
    scale: BrainScale
    is_stripped: bool = False
    file: Path | None = None
    source_sha256: str = ""
    lesions: tuple[LesionFile, ...] | None = None

    @property
    def native_path(self) -> Path:
        """The store on the scan's own grid."""
        return self.path.with_name("native.zarr")


@dataclass(frozen=True)
class Sample:
    """The voxels of an image in memory.

    Parameters
    ----------
    voxels : (i, j, k) float32 array
        Network intensities. Do not write to it: it is shared.
    mask : (i, j, k) bool array
        Brain mask on the same grid.
    affine : (4, 4) float64 array
        Voxel (i, j, k) to world (x, y, z), RAS+, mm; the world is the session's.
    scale : BrainScale
        In the unit of the store.
    """

    voxels: NDArray[np.float32]
    mask: NDArray[np.bool_]
    affine: NDArray[np.float64]
    scale: BrainScale

    @property
    def grid(self) -> Grid:
        """Where its voxels are."""
        i, j, k = self.voxels.shape
        return Grid((i, j, k), self.affine)

    @property
    def size_bytes(self) -> int:
        """Bytes that it takes in memory."""
        return self.voxels.nbytes + self.mask.nbytes


@dataclass(frozen=True)
class Source:
    """What a network is given of one scan.

    Parameters
    ----------
    voxels : (i, j, k) float32 array
        Network intensities.
    mask : (i, j, k) bool array
        Brain mask on the same grid.
    record : PromptRecord
        What is known of the scan.
    seen : (i, j, k) bool array, optional
        Field of view of the scan on the same grid, and of a stripped scan its brain; None: the whole grid.
    size_mm : tuple of 3 floats, optional
        Extents of the scan's own voxels along R, A and S; None: those of the grid.
    relative_spread : float
        Spread of the brain as a part of the median's signal.
    affine : (4, 4) array, optional
        Voxel to a world near that of MNI152, RAS+, mm; None where the scan was not placed there.
    """

    voxels: NDArray[np.float32]
    mask: NDArray[np.bool_]
    record: PromptRecord
    seen: NDArray[np.bool_] | None = None
    size_mm: tuple[float, float, float] | None = None
    relative_spread: float = USUAL_SPREAD
    affine: NDArray[np.float64] | None = None


@dataclass
class CatalogueImages:
    """Harmonised images of some splits by one recipe, and the ordered pairs among them.

    Made by `CatalogueImages.open`.

    Attributes
    ----------
    items : list of Item
        In the order of their identity.
    pairs : list of (int, int)
        Indices of source and target in `items`: different images of one session, as in `out.training_pair`.
    snapshot_id, data_id : str
        Catalogue that was read, and identity of the data in it.
    recipe_id : str
    grid_mm : float
        Voxel size of the session grids, mm; isotropic.
    n_flagged : int
        Images of the splits that are left out, in training and in tests alike, because harmonisation flagged them.
    size_bytes : int
        Memory that all volumes and their masks would take, decoded.
    cache_bytes : int
        Volumes are kept in memory up to this size, the last used ones.
    """

    items: list[Item]
    pairs: list[tuple[int, int]]
    snapshot_id: str
    data_id: str
    recipe_id: str
    grid_mm: float
    n_flagged: int
    size_bytes: int
    cache_bytes: int = CACHE_BYTES
    _cache: LruCache[Sample] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._cache = LruCache(self.cache_bytes)

    @classmethod
    def open(
        cls,
        home: Home,
        recipe: str,
        splits: Sequence[str],
        *,
        cache_bytes: int = CACHE_BYTES,
        snapshot: str | None = None,
        centers: Sequence[str] = (),
        fold: Fold | None = None,
    ) -> CatalogueImages:
        """Read which images there are; no voxel is touched yet.

        Parameters
        ----------
        home : Home
        recipe : str
            Name or identity of the recipe that harmonised them.
        splits : sequence of str
            Of train, val, test_internal, test_external. One without images gives none.
        cache_bytes : int
            Memory for decoded volumes, bytes.
        snapshot : str, optional
            A past catalogue; default: the one in force.
        centers : sequence of str
            Whose images; default: those of all.
        fold : Fold, optional
            The splits are then train and cross_validation: people of the other folds, and of this one. Folds are drawn
            among the people of all centres.

        Raises
        ------
        ModelError
            When a split or center is unknown, or the recipe has made nothing, or its name stands for several.
        CatalogueError
            When nothing is published.
        """
        known_splits = FOLD_SPLITS if fold else SPLITS
        if unknown := sorted(set(splits) - set(known_splits)):
            raise ModelError(f"there are no splits {unknown}", f"splits are {', '.join(known_splits)}")
        catalogue = Catalogue(home, snapshot)
        with catalogue.connect() as connection:
            recipe_id = _recipe_id(_rows(connection, "recipes"), recipe)
            wanted = {"identity": recipe_id, "splits": list(DEALT if fold else splits)}
            found = _rows(connection, "harmonized_images", wanted)
            named_pairs = _rows(connection, "harmonized_pairs", wanted)
            masks = _rows(connection, "lesion_masks")
            there = [row["center_id"] for row in _rows(connection, "center_ids")] if centers else []
            [snapshot_row] = _rows(connection, "snapshot")
        if absent := sorted(set(centers) - set(there)):
            raise ModelError(
                f"no centre of the catalogue is called {', '.join(absent)}", f"there are: {', '.join(there)}"
            )
        known = readable(home).centers
        found = [row for row in fold.split(found) if row["split"] in splits] if fold else found
        found = [row for row in found if not centers or row["center_id"] in centers]
        rows = [row for row in found if not row["is_flagged"]]
        marked = _lesion_files(masks, known)
        items = [_item(home, row, known.get(row["center_id"]), marked) for row in rows]
        index = {item.image_id: number for number, item in enumerate(items)}
        named = [(pair["source_image_id"], pair["target_image_id"]) for pair in named_pairs]
        pairs = [(index[source], index[target]) for source, target in named if source in index]
        size_bytes = sum(math.prod(row["shape"]) for row in rows) * BYTES_PER_VOXEL
        source = catalogue.snapshot_id, snapshot_row["data_id"], recipe_id
        return cls(items, pairs, *source, _grid_mm(rows), len(found) - len(rows), size_bytes, cache_bytes)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def is_simulated(self) -> bool:
        """True where there are images and every one is simulated."""
        return bool(self.items) and all(item.is_simulated for item in self.items)

    def volume(self, index: int) -> Sample:
        """Return an image's voxels, from memory where they are still there.

        Parameters
        ----------
        index : int
            Of `items`.

        Raises
        ------
        VolumeError
            When the store is absent or damaged.
        """
        return self._cache.get(index, lambda: _read(self.items[index]))

    def source(self, index: int) -> Source:
        """Return an image as a network is given it; parameter and errors are those of `volume`."""
        sample, item = self.volume(index), self.items[index]
        seen, spread = sample.mask if item.is_stripped else None, item.scale.relative_spread
        return Source(sample.voxels, sample.mask, item.record, seen, relative_spread=spread, affine=sample.affine)

    @property
    def fits_in_memory(self) -> bool:
        """Whether the cache is large enough for all volumes."""
        return self.size_bytes <= self.cache_bytes


def training_hashes(items: Sequence[Item]) -> dict[str, list[str]]:
    """Return what a checkpoint keeps of the people and scans that it is trained on, sorted.

    Returns
    -------
    dict
        `people`: SHA-256 of every person_id. `scans`: SHA-256 of every source file, by which a scan is found again that
        lies in another centre under another name.
    """
    people = {hashlib.sha256(item.person_id.encode()).hexdigest() for item in items}
    return {"people": sorted(people), "scans": sorted({item.source_sha256 for item in items if item.source_sha256})}


def united(one: Mapping[str, Sequence[str]], other: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the people and scans of two trainings together, as `training_hashes` returns those of one."""
    return {what: sorted({*one.get(what, ()), *other.get(what, ())}) for what in ("people", "scans")}


def outside(scale: BrainScale) -> float:
    """Return the network intensity of what lies outside a scan: there, stores are 0."""
    return float(scale.to_network(np.zeros(1))[0])


def _rows(connection: Any, query: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
    sql = sqlfiles.read(f"catalog/{query}")
    rows: list[dict[str, Any]] = connection.sql(sql, params=dict(parameters or {})).to_arrow_table().to_pylist()
    return rows


def _recipe_id(known: list[dict[str, Any]], recipe: str) -> str:
    """Return the identity of the one recipe that has this name or identity."""
    fit = [row["recipe_id"] for row in known if recipe in (row["recipe"], row["recipe_id"])]
    if len(fit) == 1:
        return str(fit[0])
    listed = ", ".join(f"{row['recipe']} ({row['recipe_id']}, {row['n_volumes']} volumes)" for row in known)
    if fit:
        raise ModelError(f"{len(fit)} recipes are called {recipe!r}", f"name one by its identity: {listed}")
    remedy = f"there are: {listed}" if known else "nothing is harmonised yet"
    raise ModelError(
        f"the catalogue has no volumes by recipe {recipe!r}", f"{remedy}; run `tumsyn harmonize --recipe {recipe}`"
    )


def _lesion_files(
    masks: Sequence[Mapping[str, Any]], centers: Mapping[str, RegisteredCenter]
) -> dict[str, tuple[LesionFile, ...]]:
    """Return the files that mark the lesions of each session: those with the label that its centre names."""
    files: dict[str, tuple[LesionFile, ...]] = {}
    for row in masks:
        found = centers.get(row["center_id"])
        if found and found.center.lesions == row["label"]:
            file = LesionFile(found.root / row["file"], row["space"], row["content_hash"] or "")
            files[row["session_id"]] = (*files.get(row["session_id"], ()), file)
    return files


def _item(
    home: Home, row: dict[str, Any], found: RegisteredCenter | None, marked: Mapping[str, tuple[LesionFile, ...]]
) -> Item:
    if row["brain_median"] is None:
        what = f"the volume of {row['file']} has no scale of its brain: an earlier version wrote it"
        raise ModelError(what, f"harmonise {row['center_id']} again: `tumsyn harmonize {row['center_id']}`")
    scale = BrainScale(row["brain_median"], row["brain_spread"], row["signal_zero"])
    record = dict(row["record"])
    size = record.pop("voxel_size_mm")
    return Item(
        image_id=row["image_id"],
        center_id=row["center_id"],
        session_id=row["session_id"],
        person_id=row["person_id"],
        split=row["split"],
        contrast_label=row["contrast_label"],
        record=PromptRecord(**record, voxel_size_mm=None if size is None else (size[0], size[1], size[2])),
        is_simulated=row["is_simulated"],
        path=home.root / row["path"],
        scale=scale.in_unit(row["intensity_low"], row["intensity_high"]),
        is_stripped=bool(row["is_stripped"]),
        file=found.root / row["file"] if found else None,
        source_sha256=row["source_sha256"],
        lesions=() if found and found.center.lesions == HEALTHY else marked.get(row["session_id"]),
    )


def _grid_mm(rows: list[dict[str, Any]]) -> float:
    """Return the one voxel size of all volumes, mm; not a number where there are none."""
    sizes = {round(size, 4) for row in rows for size in row["voxel_size_mm"]}
    if len(sizes) > 1:
        raise ModelError(f"session grids have voxels of {sorted(sizes)} mm", "harmonise them by one recipe")
    return sizes.pop() if sizes else float("nan")


def _read(item: Item) -> Sample:
    volume = open_store(item.path)
    stored = np.ascontiguousarray(volume[...])
    mask = stored > 0 if volume.mask is None else np.ascontiguousarray(volume.mask[...]) > 0
    return Sample(item.scale.to_network(stored), mask, volume.affine, item.scale)
