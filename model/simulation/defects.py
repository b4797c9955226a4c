"""Defects of real files, applied to a few additional scans of a cohort.

An ingest can detect each of them, or must handle the missing facts. A mirrored image whose header does not show it is
not among them: no header reveals it, and it would only corrupt what is made from the cohort.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from warehouse.errors import PhantomError

KEPT = 0.6  # share of a file that truncation leaves


@dataclass(frozen=True)
class DefectKind:
    """One kind of defect and how an ingest treats it.

    Parameters
    ----------
    what : str
        Description.
    disposition : {"rejection", "image"}
        How the image is recorded.
    stage, reason : str
        Of `core.rejection`; empty if nothing is refused.
    refuses_sidecar : bool
        Whether the sidecar is refused and the image is kept.
    """

    what: str
    disposition: str
    stage: str = ""
    reason: str = ""
    refuses_sidecar: bool = False


KINDS: Mapping[str, DefectKind] = {
    "truncated": DefectKind("the file ends early, as after a broken transfer", "rejection", "read", "truncated_gzip"),
    "milliseconds": DefectKind(
        "the sidecar gives the echo time in milliseconds: the image stays, without TE, TR and TI", "image"
    ),
    "mirrored_qform": DefectKind(
        "left and right are swapped in the qform, and not in the sform", "rejection", "read", "conflicting_affines"
    ),
    "no_orientation": DefectKind(
        "neither qform nor sform is set: the image is catalogued as ineligible, left and right being unknown", "image"
    ),
    "no_sidecar": DefectKind("there is no sidecar: TR, TE, TI and flip angle are unknown", "image"),
    "broken_sidecar": DefectKind(
        "the sidecar ends early; the image stays, without parameters", "image", "parse", "bad_sidecar", True
    ),
}
HEADER_CODES = struct.Struct("<hh")  # qform_code and sform_code
TIMES = ("EchoTime", "RepetitionTime", "InversionTime")  # one unit for all: if one is implausible, an ingest reads none
CODES_AT, PIXDIM_AT = 252, 76  # offsets in a NIfTI-1 header, bytes


def kind_of(defect: str, path: str) -> DefectKind:
    """Return the kind of a defect as an ingest records it for a path.

    Raises
    ------
    PhantomError
        For an unknown defect.
    """
    if defect not in KINDS:
        raise PhantomError(f"no such defect: {defect!r}", f"choose from {', '.join(KINDS)}")
    kind = KINDS[defect]
    if defect == "truncated" and not path.endswith(".gz"):
        return DefectKind(kind.what, kind.disposition, kind.stage, "truncated")
    return kind


def spoil_header(header: bytearray, defect: str | None) -> None:
    """Apply a defect of headers to an uncompressed NIfTI-1 header, in place; other defects change nothing.

    Parameters
    ----------
    header : bytearray
        At least the 348 bytes of a little-endian header whose qform and sform are both set.
    """
    if defect == "no_orientation":
        HEADER_CODES.pack_into(header, CODES_AT, 0, 0)
    elif defect == "mirrored_qform":
        [handedness] = struct.unpack_from("<f", header, PIXDIM_AT)
        struct.pack_into("<f", header, PIXDIM_AT, -1.0 if handedness >= 0 else 1.0)


def spoil_file(content: bytes, defect: str | None) -> bytes:
    """Return the content of an image file after a defect of files; other defects change nothing."""
    return content[: int(KEPT * len(content))] if defect == "truncated" else content


def spoil_sidecar(fields: Mapping[str, object], defect: str | None) -> bytes | None:
    """Return the content of a sidecar after a defect, or None if the scan has no sidecar."""
    if defect == "no_sidecar":
        return None
    written = dict(fields)
    if defect == "milliseconds":
        written["EchoTime"] = round(1000 * float(str(fields["EchoTime"])), 3)
    content = (json.dumps(written, indent=2) + "\n").encode()
    return content[: int(KEPT * len(content))] if defect == "broken_sidecar" else content


def readable_fields(fields: Iterable[str], defect: str | None) -> list[str]:
    """Return the fields that an ingest reads from the sidecar of a scan with this defect, sorted."""
    if defect in ("no_sidecar", "broken_sidecar"):
        return []
    lost = TIMES if defect == "milliseconds" else ()
    return sorted(set(fields).difference(lost))
