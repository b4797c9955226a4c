"""Names of exported files, as BIDS derivatives have them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from warehouse.errors import VolumeError
from warehouse.volumes.volume import Volume

# The order is BIDS's; names with other orders do not validate.
ORDER = (
    "sub", "ses", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce", "trc", "stain", "rec", "dir", "run", "mod",
    "echo", "flip", "inv", "mt", "part", "proc", "hemi", "space", "split", "recording", "chunk", "seg", "res", "den",
    "label", "desc",
)  # fmt: skip
SESSION_SPACE = "session"
DESCRIPTION = "harmonized"
BRAIN = "brain"


def entities(volume: Volume) -> dict[str, str]:
    """Return the BIDS entities of a volume's image, without suffix.

    Raises
    ------
    VolumeError
        When the participant is unknown.
    """
    attributes = volume.attributes
    stored: Mapping[str, Any] = attributes.get("entities") or {}
    found = {key: _label(stored[key]) for key in ORDER if stored.get(key) not in (None, "")}
    if "sub" not in found and attributes.get("participant_id"):
        found["sub"] = _label(attributes["participant_id"])
    if "ses" not in found and "/ses-" in str(attributes.get("session_id")):
        found["ses"] = _label(str(attributes["session_id"]).split("/ses-")[1])
    if "sub" not in found:
        raise VolumeError(f"{volume.path} names no participant", "harmonise the scan again")
    return found


def suffix(volume: Volume) -> str:
    """Return the BIDS suffix: the image's own, else its contrast."""
    stored = (volume.attributes.get("entities") or {}).get("suffix")
    found = str(stored or volume.attributes.get("contrast") or "")
    if not found:
        raise VolumeError(f"{volume.path} names neither suffix nor contrast", "harmonise the scan again")
    return found.removeprefix("ce")  # a contrast like ceT1w: the agent is an entity of its own in BIDS


def resolution(volume: Volume) -> str:
    """Return the ``res`` label of a grid: 1mm, 0p8mm, or 1x1x2mm where it is not isotropic."""
    sizes = [f"{size:.3g}".replace(".", "p") for size in volume.voxel_size_mm]
    return ("x".join(sizes) if len(set(sizes)) > 1 else sizes[0]) + "mm"


def image_entities(volume: Volume) -> dict[str, str]:
    """Return the entities of the exported volume; a native one is on its own grid, so no space is named."""
    found = entities(volume) | {"desc": DESCRIPTION}
    if str(volume.attributes.get("contrast", "")).startswith("ce"):
        found.setdefault("ce", "unspecified")
    if volume.attributes.get("form") == "session":
        found |= {"space": SESSION_SPACE, "res": resolution(volume)}
    return found


def mask_entities(volume: Volume) -> dict[str, str]:
    """Return the entities of the exported mask; ``mod`` tells masks of several scans of a session apart."""
    return image_entities(volume) | {"mod": suffix(volume), "desc": BRAIN}


def relative_path(found: Mapping[str, str], suffix: str, extension: str) -> Path:
    """Return where a file of these entities lies in a data set."""
    folders = [f"{key}-{found[key]}" for key in ("sub", "ses") if key in found]
    name = "_".join(f"{key}-{found[key]}" for key in ORDER if key in found)
    return Path(*folders, "anat", f"{name}_{suffix}{extension}")


def _label(value: Any) -> str:
    """Return a label as BIDS allows it: letters and digits only."""
    return re.sub(r"[^0-9A-Za-z]", "", str(value))
