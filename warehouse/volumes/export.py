"""Writes volumes as NIfTI into a BIDS derivative data set."""

from __future__ import annotations

import gzip
import importlib
import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from warehouse.errors import VolumeError
from warehouse.lake import atomic
from warehouse.provenance import PACKAGE, release
from warehouse.volumes.volume import Volume, nifti_of

BIDS_VERSION = "1.10.0"
DESCRIPTION_FILE = "dataset_description.json"
# Entities in the order of BIDS; names in other orders do not validate.
ENTITY_ORDER = (
    "sub", "ses", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce", "trc", "stain", "rec", "dir", "run", "mod",
    "echo", "flip", "inv", "mt", "part", "proc", "hemi", "space", "split", "recording", "chunk", "seg", "res", "den",
    "label", "desc",
)  # fmt: skip
# Those that BIDS allows in the name of an anatomical derivative; `runs` tells apart scans that only others did.
SOURCE_ENTITIES = ("sub", "ses", "task", "acq", "ce", "rec", "run", "echo", "part", "chunk")
IGNORED = "*_SWI.*\n"  # BIDS has no name for this contrast
FREE_TEXTS = ("data_type", "db_name", "descrip", "aux_file", "intent_name")  # fields in which scanners may store names
README = """# Harmonised brain MRI

TUMSyn wrote these scans with `tumsyn export`: reoriented, aligned within their session, intensities scaled. The JSON
file beside each scan says of which file it was made, how to return to the intensities of the source, and what its
quality is. Scans with `"IsSimulated": true` are of no person. They are for research and not for clinical use.
"""
GZIP_LEVEL = 1  # of isal and of zlib alike: within 2 % of the higher levels' size on scans, at a fraction of their time


@dataclass(frozen=True)
class Exported:
    """Files of one exported volume.

    Parameters
    ----------
    image, sidecar : Path
    mask, mask_sidecar : Path or None
        None where the volume has no mask.
    """

    image: Path
    sidecar: Path
    mask: Path | None
    mask_sidecar: Path | None


def runs(volumes: Sequence[Volume]) -> list[int | None]:
    """Return the number of the run of each volume: from 1 among those that would share a name, else None.

    A centre whose files are not named by BIDS may have two scans of one contrast in a session, and neither a run nor
    another entity that distinguishes them.
    """
    names = [relative_path(image_entities(volume), image_suffix(volume), "") for volume in volumes]
    places: dict[Path, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        places[name].append(place)
    numbers: list[int | None] = [None] * len(volumes)
    for same in places.values():
        if len(same) > 1:
            for number, place in enumerate(sorted(same, key=lambda place: str(volumes[place].path)), start=1):
                numbers[place] = number
    return numbers


def export(
    volume: Volume,
    out_dir: Path,
    *,
    source_units: bool = False,
    force: bool = False,
    run: int | None = None,
) -> Exported:
    """Write a volume, its mask and their sidecars into a BIDS derivative data set.

    Parameters
    ----------
    volume : Volume
    out_dir : Path
        Root of the data set; created where absent. One per centre, because participants' labels are unique in it only.
    source_units : bool
        Intensities of the source after bias correction, instead of [0, 1].
    force : bool
        Overwrite files of the same name.
    run : int, optional
        Entity `run` of the names, for volumes that would share one; see `runs`.

    Raises
    ------
    VolumeError
        When a file exists, or the folder is a raw data set.
    """
    out_dir = Path(out_dir)
    entities, suffix = image_entities(volume), image_suffix(volume)
    if run is not None:
        entities["run"] = str(run)
    image, sidecar = (out_dir / relative_path(entities, suffix, ending) for ending in (".nii.gz", ".json"))
    mask = mask_sidecar = None
    if volume.mask is not None:
        entities |= {"label": "brain", "desc": suffix}  # tells masks of one session apart; BIDS has no mod here
        mask, mask_sidecar = (out_dir / relative_path(entities, "mask", ending) for ending in (".nii.gz", ".json"))
    exported = Exported(image, sidecar, mask, mask_sidecar)
    _refuse(exported, out_dir, force)
    _describe_dataset(out_dir, volume)
    voxels, stripped = _voxels(volume, source_units)
    _write_nifti(image, nifti_of(voxels, volume))
    _write_json(sidecar, _sidecar(volume, image.relative_to(out_dir), source_units, stripped))
    if mask is not None and mask_sidecar is not None and volume.mask is not None:
        _write_nifti(mask, nifti_of(volume.mask[...], volume))
        _write_json(mask_sidecar, _mask_sidecar(volume, image.relative_to(out_dir)))
    return exported


def image_entities(volume: Volume) -> dict[str, str]:
    """Return the BIDS entities of an exported volume, without suffix.

    Raises
    ------
    VolumeError
        When the participant is unknown.
    """
    attributes = volume.attributes
    stored: Mapping[str, Any] = attributes.get("entities") or {}
    labels = {key: _label(stored[key]) for key in SOURCE_ENTITIES if stored.get(key) is not None}
    found = {key: label for key, label in labels.items() if label}
    if "sub" not in found and _label(attributes.get("participant_id") or ""):
        found["sub"] = _label(attributes["participant_id"])
    if "ses" not in found and "/ses-" in str(attributes.get("session_id")):
        found["ses"] = _label(str(attributes["session_id"]).split("/ses-")[1])
    if "sub" not in found:
        raise VolumeError(f"{volume.path} names no participant", "harmonise the scan again")
    found["desc"] = "harmonized"
    if str(attributes.get("contrast", "")).startswith("ce"):
        found.setdefault("ce", "unspecified")
    if attributes.get("form") == "session":  # a native volume is on its own grid, which needs no name
        found |= {"space": "session", "res": resolution(volume)}
    return found


def image_suffix(volume: Volume) -> str:
    """Return the BIDS suffix of an image, or its contrast where it has none."""
    stored = (volume.attributes.get("entities") or {}).get("suffix")
    found = _label(stored or volume.attributes.get("contrast") or "")
    if not found:
        raise VolumeError(f"{volume.path} names neither suffix nor contrast", "harmonise the scan again")
    return found.removeprefix("ce")  # as in ceT1w; the agent is an entity in BIDS


def resolution(volume: Volume) -> str:
    """Return the ``res`` label of a grid: 1mm, 0p8mm, or 1x1x2mm where it is not isotropic."""
    sizes = [f"{size:.3g}".replace(".", "p") for size in volume.voxel_size_mm]
    return ("x".join(sizes) if len(set(sizes)) > 1 else sizes[0]) + "mm"


def relative_path(found: Mapping[str, str], suffix: str, extension: str) -> Path:
    """Return the path of a file with these entities in a data set."""
    folders = [f"{key}-{found[key]}" for key in ("sub", "ses") if key in found]
    name = "_".join(f"{key}-{found[key]}" for key in ENTITY_ORDER if key in found)
    return Path(*folders, "anat", f"{name}_{suffix}{extension}")


def _label(value: Any) -> str:
    """Return a label with letters and digits only, as BIDS requires."""
    return re.sub(r"[^0-9A-Za-z]", "", str(value))


def compress(data: bytes) -> bytes:
    """Return data compressed by gzip without a time stamp, by isal where it is installed."""
    if find_spec("isal") is None:
        return gzip.compress(data, GZIP_LEVEL, mtime=0)
    igzip: Any = importlib.import_module("isal.igzip")
    return bytes(igzip.compress(data, GZIP_LEVEL, mtime=0))


def to_source_units(volume: Volume, voxels: NDArray[Any], mask: NDArray[np.uint8] | None = None) -> NDArray[np.float32]:
    """Return intensities in the source's units, as they were after bias correction.

    Clipped values stay at the bound. Outside a mask that stripped the volume, 0 stays 0.

    Parameters
    ----------
    volume : Volume
        Whose parameters are used.
    voxels : array
        Any piece of it.
    mask : array, optional
        The same piece of the mask, where the volume is stripped by it.
    """
    intensity = volume.attributes.get("intensity") or {}
    if not {"low", "high"} <= intensity.keys():
        raise VolumeError(f"{volume.path} has no intensity parameters", "export it without source units")
    low, high = float(intensity["low"]), float(intensity["high"])
    values = voxels.astype(np.float64) * (high - low) + low
    return (values if mask is None else np.where(mask > 0, values, 0.0)).astype(np.float32)


def _voxels(volume: Volume, source_units: bool) -> tuple[NDArray[Any], bool]:
    """Return the voxels to write, and whether all are 0 outside the brain."""
    voxels = volume[...]
    mask = None if volume.mask is None else volume.mask[...]
    stripped = mask is not None and not voxels[mask == 0].any()
    if source_units:
        return to_source_units(volume, voxels, mask if stripped else None), stripped
    return (voxels.astype(np.float32) if voxels.dtype == np.float16 else voxels), stripped


def _sidecar(volume: Volume, path: Path, source_units: bool, stripped: bool) -> dict[str, Any]:
    stored = volume.attributes
    intensity = stored.get("intensity") or {}
    fields = {
        "Description": "Brain MRI, harmonised: reoriented, aligned within its session, intensities scaled.",
        "Sources": _sources(volume),
        **_space(volume, path),
        "SkullStripped": stripped,
        "Units": "arbitrary",
        "IntensityScaling": {
            **{key: intensity.get(key) for key in ("low", "high", "percentiles")},
            "values_are": "of the source, bias-corrected and clipped" if source_units else "scaled to [0, 1]",
            "to_source": "value" if source_units else "low + value * (high - low)",
        },
        "Recipe": stored.get("recipe"),
        "RecipeId": stored.get("recipe_id"),
        "ImageId": stored.get("image_id"),
        "SourceSha256": (stored.get("source") or {}).get("sha256"),
        "VoxelsSha256": stored.get("voxels_sha256"),
        "Transforms": stored.get("transforms"),
        "Quality": stored.get("quality"),
        "Verdict": stored.get("verdict"),
        "VerdictReason": stored.get("verdict_reason"),
        "IsSimulated": stored.get("is_simulated"),
    }
    return {key: value for key, value in fields.items() if value is not None}


def _mask_sidecar(volume: Volume, image: Path) -> dict[str, Any]:
    mask = volume.attributes.get("mask") or {}
    fields = {
        "Description": "Brain mask of the first of Sources.",
        "Type": "Brain",
        "Sources": [f"bids::{image.as_posix()}", *(_sources(volume) or [])],
    }
    measured = {"MaskSource": mask.get("source"), "MaskVolumeMl": mask.get("volume_ml")}
    return fields | _space(volume, image) | {key: value for key, value in measured.items() if value is not None}


def _space(volume: Volume, image: Path) -> dict[str, Any]:
    """Return the BIDS fields about the grid; a session's space is defined by the images in it."""
    if volume.attributes.get("form") != "session":
        return {"SpatialReference": "orig"}
    size = " × ".join(f"{mm:g}" for mm in volume.voxel_size_mm)
    return {"SpatialReference": f"bids::{image.as_posix()}", "Resolution": f"{size} mm grid of the session, RAS"}


def _sources(volume: Volume) -> list[str] | None:
    path = volume.attributes.get("path") or (volume.attributes.get("source") or {}).get("path")
    center = volume.attributes.get("center_id")
    return [f"bids:{center}:{path}"] if path and center and not Path(path).is_absolute() else None


def _refuse(exported: Exported, out_dir: Path, force: bool) -> None:
    if out_dir.exists() and not out_dir.is_dir():
        raise VolumeError(f"{out_dir} is a file", "give the folder of a data set")
    existing = [path for path in vars(exported).values() if path is not None and path.exists()]
    if existing and not force:
        raise VolumeError(f"{existing[0]} exists", "give another folder, or overwrite it with force")
    description = _read_description(out_dir)
    if description and description.get("DatasetType") != "derivative":
        raise VolumeError(
            f"{out_dir} is a raw BIDS data set", "export into a folder of its own, e.g. derivatives/tumsyn"
        )


def _read_description(out_dir: Path) -> dict[str, Any]:
    path = out_dir / DESCRIPTION_FILE
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
    except ValueError as error:
        raise VolumeError(f"{path} cannot be read: {error}", "correct it, or export into another folder") from error


def _describe_dataset(out_dir: Path, volume: Volume) -> None:
    """Write the data set's description, or add this volume's centre to it."""
    before = _read_description(out_dir)
    center = volume.attributes.get("center_id")
    links = before.get("DatasetLinks", {})
    if center:
        links = {str(center): f"urn:{PACKAGE}:center:{center}"} | links  # a link that a person corrected is kept
    fresh = {
        "Name": "Harmonised brain MRI",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": PACKAGE, "Version": release()}],
    }
    after = fresh | before | ({"DatasetLinks": links} if links else {})
    if after != before:
        _write_json(out_dir / DESCRIPTION_FILE, after)
    if not any(out_dir.glob("README*")):
        atomic.write_text(out_dir / "README.md", README)
    if not (out_dir / ".bidsignore").exists():
        atomic.write_text(out_dir / ".bidsignore", IGNORED)


def _write_nifti(path: Path, image: nib.Nifti1Image) -> None:
    for field in FREE_TEXTS:
        image.header[field] = b""
    buffer = BytesIO()
    image.to_stream(buffer)
    temporary = atomic.temporary_beside(path)
    try:
        temporary.write_bytes(compress(buffer.getvalue()))
        atomic.move(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    atomic.write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
