"""Writes one HTML page per centre and recipe: every scan with its verdict, measures and picture.

The page needs no network. It is complete without JavaScript, which adds sorting, filters and reasons on touch. Pictures
are separate files that load when they come into view, so that a thousand visits stay usable.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from warehouse.catalog import sqlfiles
from warehouse.lake import atomic
from warehouse.lake.home import Home
from warehouse.lake.parts import read_table
from warehouse.prompts.record import contrast_label
from warehouse.quality.mosaics import RecipeName, pictures_folder
from warehouse.tables import TABLES

Row = Mapping[str, Any]

VERDICTS = {"all": "all", "pass": "✔ pass", "flag": "⚠ flag", "rejected": "✖ rejected"}


@dataclass(frozen=True)
class Column:
    """A column of numbers on the page; `better` is "higher", "lower" or empty."""

    name: str
    decimals: int
    meaning: str
    better: str = ""


COLUMNS = (
    Column("snr_csf", 2, "signal-to-noise within cerebrospinal fluid", "higher"),
    Column("snr_gm", 2, "signal-to-noise within grey matter", "higher"),
    Column("snr_wm", 2, "signal-to-noise within white matter", "higher"),
    Column("snr_total", 2, "mean of the three tissues' signal-to-noise", "higher"),
    Column("cnr", 2, "contrast of grey and white matter over noise", "higher"),
    Column("cjv", 3, "joint variation of grey and white matter: noise, motion, shading", "lower"),
    Column("efc", 3, "entropy of the volume: ghosts and blur by motion", "lower"),
    Column("fber", 0, "energy in the head over energy in the air", "higher"),
    Column("wm2max", 3, "white matter over the brightest voxels: fat and vessels that outshine the brain"),
    Column(
        "resolution_lr_mm",
        1,
        "effective resolution along left–right, mm; coarser than the voxels after interpolation",
        "lower",
    ),
    Column("resolution_pa_mm", 1, "effective resolution from posterior to anterior, mm", "lower"),
    Column("resolution_is_mm", 1, "effective resolution from inferior to superior, mm", "lower"),
    Column("mask_volume_ml", 0, "volume of the brain mask, millilitres"),
    Column("similarity", 3, "similarity to the reference (of the reference: to MNI152) after registration"),
    Column("translation_mm", 1, "how far the brain was moved to the reference (the reference: to MNI152), mm"),
    Column("seconds", 0, "CPU seconds"),
)


@dataclass
class ScanLine:
    """One scan on the page."""

    image_id: str
    session_id: str
    contrast: str
    name: str
    is_reference: bool = False
    verdict: str = "pass"
    why: str = ""
    values: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    robust_z: dict[str, float] = field(default_factory=dict)  # of outliers


def write_center_page(
    home: Home, center_id: str, recipe: RecipeName, rows: dict[str, list[dict[str, Any]]], drawn: dict[str, str]
) -> Path:
    """Write the page of a centre, and remove mosaics that it does not show.

    Parameters
    ----------
    rows : dict
        Rows of this recipe of the tables of harmonisation, by the table's name.
    drawn : dict of str to str
        The mosaic of each session, relative to the home.
    """
    folder = pictures_folder(home, center_id, recipe)
    mosaics = {session_id: home.root / path for session_id, path in drawn.items()}
    for stale in set((folder / "sessions").glob("*.png")) - set(mosaics.values()):
        stale.unlink()
    return write_page(center_id, rows, mosaics, folder / "quality.html", _images(home, center_id))


def write_page(
    center_id: str,
    rows: Mapping[str, Sequence[Row]],
    mosaics: Mapping[str, Path],
    path: Path,
    images: Mapping[str, Mapping[str, str]],
) -> Path:
    """Write the page of a centre from the rows of one recipe, and return its path.

    Parameters
    ----------
    center_id : str
    rows : mapping
        Rows of `core.volume`, `core.transform`, `core.quality` and `core.volume_rejection`, by the table's name.
    mosaics : mapping of str to Path
        Picture of each session.
    path : Path
        Of the page; pictures are linked relative to its folder.
    images : mapping
        `session_id`, `contrast` and `name` (of the file) of each image, which the rows do not hold.
    """
    lines = _lines(rows, images)
    _mark_outliers(lines, rows)
    environment = Environment(
        loader=PackageLoader("warehouse.quality", "page_parts"), autoescape=True, undefined=StrictUndefined
    )
    text = environment.get_template("page.html").render(
        center=center_id,
        recipe=", ".join(sorted({str(row["recipe"]) for row in rows.get("core.volume", ())})) or "none",
        n_visits=len({line.session_id for line in lines}),
        verdicts={name: sum(name in ("all", line.verdict) for line in lines) for name in VERDICTS},
        labels=VERDICTS,
        contrasts=sorted({line.contrast for line in lines}),
        columns=COLUMNS,
        lines=lines,
        links={session: _link(picture, path.parent) for session, picture in mosaics.items() if picture.exists()},
    )
    atomic.write_text(path, text)
    return path


def _images(home: Home, center_id: str) -> dict[str, dict[str, str]]:
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


def _lines(rows: Mapping[str, Sequence[Row]], images: Mapping[str, Mapping[str, str]]) -> list[ScanLine]:
    """Return one line per image, sorted by visit with the reference first."""
    lines: dict[str, ScanLine] = {}

    def line_of(image_id: str, session_id: str = "") -> ScanLine:
        known = images.get(image_id, {})
        made = ScanLine(
            image_id, session_id or known.get("session_id", ""), known.get("contrast", "?"), known.get("name", "")
        )
        return lines.setdefault(image_id, made)

    for row in rows.get("core.volume", ()):
        line = line_of(row["image_id"], row["session_id"])
        line.is_reference, line.verdict, line.why = row["is_reference"], row["verdict"], row["verdict_reason"] or ""
        line.values |= {"mask_volume_ml": row["mask_volume_ml"], "seconds": row["seconds"]}
    for row in rows.get("core.quality", ()):
        line = line_of(row["image_id"])
        if row["value"] is None:
            line.reasons[row["measure"]] = row["reason"]
        else:
            line.values[row["measure"]] = row["value"]
    for row in rows.get("core.transform", ()):
        line = line_of(row["image_id"])
        if row["kind"] == _shown_transform(line):
            line.values["translation_mm"] = row["translation_mm"]
            if row["similarity_after"] is not None:
                line.values["similarity"] = row["similarity_after"]
    for row in rows.get("core.volume_rejection", ()):
        line = line_of(row["image_id"])
        line.verdict, line.why = "rejected", f"{row['stage']}: {row['detail']} → {row['remedy']}"
    return sorted(
        lines.values(), key=lambda line: (line.session_id, not line.is_reference, line.contrast, line.image_id)
    )


def _shown_transform(line: ScanLine) -> str:
    return "reference_to_mni_rigid" if line.is_reference else "to_reference"


def _mark_outliers(lines: Sequence[ScanLine], rows: Mapping[str, Sequence[Row]]) -> None:
    """Set the robust z of values that `out.quality_outliers` selects; its query runs on the rows of the page."""
    import duckdb
    import pyarrow as pa

    by_image = {line.image_id: line for line in lines}
    labels = [{"image_id": line.image_id, "center_id": "", "contrast_label": line.contrast} for line in lines]
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA core; CREATE SCHEMA out")
        for name in ("core.quality", "core.volume", "core.transform"):
            connection.register("given", TABLES[name].rows(map(dict, rows.get(name, ()))))
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
        schema = pa.schema([(name, pa.string()) for name in ("image_id", "center_id", "contrast_label")])
        connection.register("given", pa.Table.from_pylist(labels, schema))
        connection.execute("CREATE TABLE out.image_catalog AS SELECT * FROM given")
        outliers = connection.sql(sqlfiles.read("out/quality_outliers")).to_arrow_table().to_pylist()
    for outlier in outliers:
        line = by_image[outlier["image_id"]]
        is_shown = outlier["measure"] == f"similarity_{_shown_transform(line)}"
        line.robust_z["similarity" if is_shown else outlier["measure"]] = outlier["robust_z"]


def _link(picture: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(picture, folder)).as_posix())
