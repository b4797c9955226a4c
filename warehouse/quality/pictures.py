"""Pictures of quality in a home: one mosaic per session, one page per centre and recipe."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from warehouse.harmonize.plan import contrast_label
from warehouse.harmonize.recipe import Recipe
from warehouse.lake.home import Home
from warehouse.lake.parts import read_table
from warehouse.quality.page import write_page

Row = dict[str, Any]


def folder(home: Home, center_id: str, recipe: Recipe) -> Path:
    """Return where the pictures of a centre by one recipe lie."""
    return home.quality / center_id / f"{recipe.name}-{recipe.recipe_id}"


def draw_session(home: Home, session_id: str, recipe: Recipe, volumes: Sequence[Row]) -> Path | None:
    """Draw a session's mosaic from its stores, unless it was drawn of the same voxels before.

    Parameters
    ----------
    volumes : sequence of dict
        Rows of `core.volume` of this session, of both forms.

    Returns
    -------
    Path or None
        None where the session has no volume.
    """
    from warehouse.quality.mosaics import draw
    from warehouse.volumes.volume import open_store

    rows = sorted((row for row in volumes if row["form"] == "session"), key=lambda row: not row["is_reference"])
    if not rows:
        return None
    token = "".join(f"{row['image_id']}{row['voxels_sha256']}{row['verdict']}{row['verdict_reason']}" for row in rows)
    name = f"{slug(session_id)}-{hashlib.sha256(token.encode()).hexdigest()[:8]}.png"
    path = folder(home, rows[0]["center_id"], recipe) / "sessions" / name
    if not path.exists():
        first = open_store(home.root / rows[0]["path"])
        outline = None if first.mask is None else np.asarray(first.mask[...])
        draw([_panel(home, row, outline) for row in rows], first.voxel_size_mm, path, _title(session_id, recipe))
    return path


def write_center_page(
    home: Home, center_id: str, recipe: Recipe, rows: dict[str, list[Row]], drawn: dict[str, str]
) -> Path:
    """Write the page of a centre, and remove mosaics of what is no longer so.

    Parameters
    ----------
    rows : dict
        Rows of this recipe of the tables of harmonisation, by the table's name.
    drawn : dict of str to str
        The mosaic of each session, relative to the home.
    """
    place = folder(home, center_id, recipe)
    mosaics = {session_id: home.root / path for session_id, path in drawn.items()}
    for stale in set((place / "sessions").glob("*.png")) - set(mosaics.values()):
        stale.unlink()
    return write_page(center_id, rows, mosaics, place / "quality.html", _images(home, center_id))


def _images(home: Home, center_id: str) -> dict[str, dict[str, str]]:
    """Return what the page says of each image beyond the rows of harmonisation."""
    columns = ["image_id", "session_id", "path", "contrast", "is_post_contrast"]
    rows = read_table(home, center_id, "core.image", columns)
    return {
        row["image_id"]: {
            "session_id": row["session_id"],
            "contrast": contrast_label(row["contrast"], row["is_post_contrast"]) or "",
            "name": Path(row["path"]).name,
        }
        for row in ([] if rows is None else rows.to_pylist())
    }


def slug(session_id: str) -> str:
    """Return a session's name as files can have it."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", session_id)


def slug_of(path: str | Path) -> str:
    """Return the slug of the session that a mosaic shows."""
    return Path(path).stem.rpartition("-")[0]


def _title(session_id: str, recipe: Recipe) -> str:
    return f"{session_id}, recipe {recipe.name}"


def _panel(home: Home, row: Row, outline: np.ndarray[Any, Any] | None) -> Any:
    from warehouse.quality.mosaics import Panel
    from warehouse.volumes.volume import open_store

    volume = open_store(home.root / row["path"])
    verdict = row["verdict"] if row["verdict"] == "pass" else f"{row['verdict']}: {row['verdict_reason']}"
    mask = None if volume.mask is None else np.asarray(volume.mask[...])
    voxels = np.asarray(volume[...], np.float32)
    return Panel(str(volume.attributes.get("contrast")), voxels, mask, outline, verdict)
