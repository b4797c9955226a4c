"""Decides which images can be used for synthesis, with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from warehouse.imaging.files import RefusedError
from warehouse.imaging.nifti import Header, refuse_unless_one_volume

CONTRAST_OF_SUFFIX = {name: name for name in ("T1w", "T2w", "PDw", "FLAIR", "T2starw", "SWI", "angio")} | {"swi": "SWI"}

# BIDS suffixes of images that show a brain in none of the seven contrasts, by the reason that users read.
REASONS = {
    suffix: reason
    for reason, suffixes in {
        "a mask": "mask defacemask",
        "a region of interest": "roi",
        "a segmentation": "dseg probseg",
        "diffusion": "dwi",
        "a reference volume": "sbref",
        "functional": "bold cbv",
        "perfusion": "asl m0scan",
        "PET": "pet",
        "CT": "ct",
        "a field map": "phasediff phase1 phase2 magnitude magnitude1 magnitude2 fieldmap epi TB1map TB1TFL",
        "one inversion of MP2RAGE": "MP2RAGE mp2rage",
        "a combined MP2RAGE image, no weighted contrast": "UNIT1",
        "a deprecated suffix that may be a map or a weighted image": "T2star PD",
        "an in-plane reference": "inplaneT1 inplaneT2",
        "a localiser": "localizer scout",
        "two contrasts in one file": "PDT2",
        "magnetisation transfer": "MTR MTS",
        "one of several flip angles": "VFA",
        "gradient echoes of a parametric series": "FLASH MEGRE",
        "gradient echoes, magnitude or phase parts": "GRE",
        "spin echoes of a parametric series": "MESE",
    }.items()
    for suffix in suffixes.split()
}

# DICOM, Image Type value 3 of vendors and Complex Image Component (0008,9208).
COMPLEX_PARTS = {
    "phase": frozenset({"P", "PHASE", "PHASE MAP"}),
    "real": frozenset({"R", "REAL"}),
    "imaginary": frozenset({"I", "IMAGINARY"}),
}
PROJECTIONS = frozenset({"MPR", "MIP", "MNIP", "MINIP", "PROJECTION IMAGE", "REFORMATTED"})


def contrast_of(suffix: str | None) -> str | None:
    """Return the contrast that a BIDS suffix names, or None."""
    return CONTRAST_OF_SUFFIX.get(suffix or "")


def judge(
    entities: Mapping[str, str],
    suffix: str | None,
    header: Header | None,
    declared: str | None,
    derived: bool,
    image_type: frozenset[str] = frozenset(),
) -> tuple[bool, str]:
    """Return whether an image can be used for synthesis, and why or why not.

    Parameters
    ----------
    entities : mapping
        BIDS entities of the image's name.
    suffix : str or None
        BIDS suffix.
    header : Header or None
        None where the content is absent; then only the name decides.
    declared : str or None
        The layout's reason why such images are never used.
    derived : bool
        Whether it lies under `derivatives/` or `sourcedata/`, or its name marks it as derived.
    image_type : frozenset of str
        Values of DICOM's Image Type and Complex Image Component, in upper case, from the sidecars.

    Returns
    -------
    eligible : bool
    reason : str
    """
    reason = declared or _by_name(entities, suffix, derived) or _by_image_type(image_type)
    reason = reason or (_by_header(header) if header else None)
    if reason:
        return False, reason
    return True, "a whole image of one contrast" + ("" if header else "; content not fetched, header unseen")


def judge_copies(images: Iterable[dict[str, Any]]) -> None:
    """Make copies of raw scans ineligible where the raw scan can be used itself, in place.

    A copy is one of a participant, visit and contrast, before or after a contrast agent. The raw scan counts only if it
    is eligible and its content is present: a link that was not fetched leaves the copy in use.

    Parameters
    ----------
    images : iterable of dict
        Rows of `core.image` of one centre, with the definition's `copy_of_raw` of each: what it is; None for a raw
        scan.
    """
    usable = [image for image in images if image["eligibility"] == "eligible"]
    raw: dict[tuple[object, ...], str] = {}
    for image in usable:
        if image["copy_of_raw"] is None and image["content"] == "present":
            raw.setdefault(_scanned(image), image["path"])
    for image in usable:
        what = image["copy_of_raw"]
        if what is None:
            continue
        if original := raw.get(_scanned(image)):
            image["eligibility"] = "ineligible"
            image["eligibility_reason"] = f"{what}; the raw scan is there: {original}"
        else:
            image["eligibility_reason"] += f"; {what}, used because the raw scan is not there"


def _scanned(image: Mapping[str, Any]) -> tuple[object, ...]:
    """Return whose image it is, of which visit and contrast."""
    return image["session_id"], image["contrast"], image["is_post_contrast"]


def _by_name(entities: Mapping[str, str], suffix: str | None, derived: bool) -> str | None:
    if derived or "desc" in entities:
        return "a derivative"
    if suffix is None:
        return "no suffix in its name"
    if suffix in REASONS:
        return REASONS[suffix]
    if suffix.endswith("map"):
        return "a parametric map"
    if suffix.endswith("mask"):
        return "a mask"
    if suffix not in CONTRAST_OF_SUFFIX:
        return f"suffix {suffix} is none of the seven contrasts"
    if "coil" in entities:
        return "one coil of several"
    if entities.get("part", "mag") != "mag":
        return f"the {entities['part']} part of a complex image"
    if "inv" in entities:
        return "one inversion of several"
    if "echo" in entities:
        return "one echo of several"
    if "ce" in entities and suffix != "T1w":
        return f"post-contrast {suffix} is none of the contrasts"
    return None


def _by_image_type(values: frozenset[str]) -> str | None:
    for part, names in COMPLEX_PARTS.items():
        if values & names:
            return f"the {part} part of a complex image, as its sidecar says"
    if "DERIVED" in values and (kind := sorted(values & PROJECTIONS)):
        return f"a reformatted or projected image ({kind[0]}), as its sidecar says"
    return None


def _by_header(header: Header) -> str | None:
    try:
        refuse_unless_one_volume(header)
    except RefusedError as refusal:
        return refusal.detail
    if min(header.shape[:3]) < 2:  # a single slice can be synthesised from, but not trained on
        return f"shape {header.shape} is no volume"
    return None
