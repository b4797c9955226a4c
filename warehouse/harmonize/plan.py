"""Finds the scans of a centre to harmonise, from the tables that its ingest committed."""

from __future__ import annotations

import hashlib
import json

import pyarrow.compute as pc

from warehouse.centers.registry import RegisteredCenter
from warehouse.errors import TumsynError
from warehouse.harmonize.recipe import Recipe, steps_hash
from warehouse.harmonize.rows import EligibleScan, Row
from warehouse.lake.home import Home
from warehouse.lake.parts import read_manifest, read_table
from warehouse.prompts.record import contrast_label
from warehouse.tables import HARMONIZED

COLUMNS = [
    "image_id", "participant_id", "session_id", "path", "suffix", "contrast", "is_post_contrast", "entities", "content",
    "eligibility",
]  # fmt: skip


def sessions(home: Home, registration: RegisteredCenter) -> dict[str, tuple[EligibleScan, ...]]:
    """Return the eligible scans of a centre whose content is there, by session.

    Raises
    ------
    TumsynError
        When the centre was not ingested.
    """
    center_id = registration.center.center_id
    center = _rows(home, center_id, "core.center", ["is_simulated"])
    files = _rows(home, center_id, "raw.file", ["path", "size_bytes", "mtime_ns"])
    signatures = {file["path"]: f"{file['size_bytes']}-{file['mtime_ns']}" for file in files}
    found: dict[str, list[EligibleScan]] = {}
    for image in sorted(
        _rows(home, center_id, "core.image", COLUMNS), key=lambda row: (row["session_id"], row["path"])
    ):
        if image["eligibility"] == "eligible" and image["content"] == "present":
            known = {"center_id": center_id, "is_simulated": center[0]["is_simulated"]}
            scan = _scan(image, known, registration, signatures[image["path"]])
            found.setdefault(image["session_id"], []).append(scan)
    return {session_id: tuple(scans) for session_id, scans in found.items()}


def fingerprint(found: dict[str, tuple[EligibleScan, ...]]) -> str:
    """Return a hash of the scans to harmonise, of the code that does it, and of the tables that it writes."""
    content = [
        [session_id, scan.image_id, str(scan.path), scan.contrast, scan.signature]
        for session_id, scans in sorted(found.items())
        for scan in scans
    ]
    digest = hashlib.sha256((steps_hash() + json.dumps(content)).encode())
    for table in HARMONIZED:
        digest.update(table.ddl().encode())
    return digest.hexdigest()


def is_current(home: Home, registration: RegisteredCenter, recipe: Recipe) -> bool:
    """Return whether there is nothing to harmonise; no image and no store is opened."""
    manifest = read_manifest(home, registration.center.center_id, "harmonize")
    if manifest is None or recipe.recipe_id not in manifest.fingerprint:
        return False
    try:
        wanted = fingerprint(sessions(home, registration))
    except TumsynError:
        return False
    if manifest.fingerprint[recipe.recipe_id] != wanted:
        return False
    volumes = read_table(home, registration.center.center_id, "core.volume", ["recipe_id", "path"])
    if volumes is None:
        return False
    paths = volumes.filter(pc.equal(volumes["recipe_id"], recipe.recipe_id))["path"]
    return all((home.root / path).is_dir() for path in paths.to_pylist())


def count_images(home: Home, center_id: str, recipe: Recipe) -> tuple[int, int]:
    """Return the numbers of images of a centre that a recipe harmonised and rejected."""
    counts = []
    for name in ("core.volume", "core.volume_rejection"):
        table = read_table(home, center_id, name, ["recipe_id", "image_id"])
        rows = [] if table is None else table.to_pylist()
        counts.append(len({row["image_id"] for row in rows if row["recipe_id"] == recipe.recipe_id}))
    return counts[0], counts[1]


def _rows(home: Home, center_id: str, table: str, columns: list[str]) -> list[Row]:
    rows = read_table(home, center_id, table, columns)
    if rows is None:
        raise TumsynError(f"centre {center_id} has not been ingested by this version", f"tumsyn ingest {center_id}")
    return list(rows.to_pylist())


def _scan(image: Row, known: Row, registration: RegisteredCenter, signature: str) -> EligibleScan:
    attributes = known | {
        "participant_id": image["participant_id"],
        "path": image["path"],
        "entities": {"suffix": image["suffix"]} | json.loads(image["entities"] or "{}"),
    }
    return EligibleScan(
        image_id=image["image_id"],
        path=registration.root / image["path"],
        contrast=contrast_label(image["contrast"], image["is_post_contrast"]) or "",
        attributes=attributes,
        signature=signature,
    )
