"""One page per centre: every scan with its verdict, its measures and its picture, in a file that needs no network.

The page is whole without JavaScript; a few lines of our own sort, filter and explain. Pictures lie beside it and are
loaded when they come into view, so that a thousand visits stay usable.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import numpy as np

from warehouse.lake import atomic
from warehouse.quality.measures import HIGHER_IS_BETTER, MEASURES

Row = Mapping[str, Any]

PARTS = Path(__file__).parent / "page_parts"
VERDICTS = {"pass": "✔ pass", "flag": "⚠ flag", "rejected": "✖ rejected"}
MIN_ALIKE, FAR = 5, 3.5  # the rule of out.quality_outliers
MEANING = {
    "snr_csf": "signal-to-noise within cerebrospinal fluid",
    "snr_gm": "signal-to-noise within grey matter",
    "snr_wm": "signal-to-noise within white matter",
    "snr_total": "mean of the three tissues' signal-to-noise",
    "cnr": "contrast of grey and white matter over noise",
    "cjv": "joint variation of grey and white matter: noise, motion, shading",
    "efc": "entropy of the volume: ghosts and blur by motion",
    "fber": "energy in the head over energy in the air",
    "wm2max": "white matter over the brightest voxels: fat and vessels that outshine the brain",
    "mask_volume_ml": "volume of the brain mask, millilitres",
    "similarity": "similarity to the reference (of the reference: to MNI152) after registration",
    "translation_mm": "how far the brain was moved to the reference (the reference: to MNI152), mm",
    "seconds": "CPU seconds",
}
BETTER = dict.fromkeys(HIGHER_IS_BETTER, "higher is better") | {"cjv": "lower is better", "efc": "lower is better"}
COLUMNS = (*MEASURES, "mask_volume_ml", "similarity", "translation_mm", "seconds")
DECIMALS = dict.fromkeys(COLUMNS, 3) | dict.fromkeys(("snr_csf", "snr_gm", "snr_wm", "snr_total", "cnr"), 2)
DECIMALS |= {"fber": 0, "mask_volume_ml": 0, "translation_mm": 1, "seconds": 0}
NOT_MEASURED = "not measured"


@dataclass
class ScanLine:
    """One scan as the page shows it."""

    image_id: str
    session_id: str
    contrast: str
    name: str
    is_reference: bool = False
    verdict: str = "pass"
    why: str = ""
    values: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    far: dict[str, float] = field(default_factory=dict)  # robust z of what lies far from its like


def write_page(
    center_id: str,
    rows: Mapping[str, Sequence[Row]],
    mosaics: Mapping[str, Path],
    path: Path,
    images: Mapping[str, Mapping[str, str]] | None = None,
) -> Path:
    """Write the page of quality of a centre by one recipe.

    Parameters
    ----------
    center_id : str
    rows : mapping
        Rows of `core.volume`, `core.transform`, `core.quality` and `core.volume_rejection`, by the table's name.
    mosaics : mapping of str to Path
        Picture of each session.
    path : Path
        Of the page; pictures are linked relative to its folder.
    images : mapping, optional
        `session_id`, `contrast` and `name` (of the file) of each image: what those rows do not say.

    Returns
    -------
    Path
        The page.
    """
    lines = _lines(rows, images or {})
    _mark_far(lines)
    links = {session: _link(picture, path.parent) for session, picture in mosaics.items() if picture.exists()}
    page = Template((PARTS / "page.html").read_text(encoding="utf-8")).substitute(
        center=escape(center_id),
        recipe=escape(", ".join(sorted({str(row["recipe"]) for row in rows.get("core.volume", ())})) or "none"),
        style=(PARTS / "page.css").read_text(encoding="utf-8"),
        script=(PARTS / "page.js").read_text(encoding="utf-8"),
        summary=_summary(lines),
        verdicts="".join(_verdict_choice(name, lines) for name in ("all", *VERDICTS)),
        contrasts="".join(f"<option>{escape(name)}</option>" for name in sorted({line.contrast for line in lines})),
        heads="".join(_head(name) for name in COLUMNS),
        body="\n".join(_row(line, links.get(line.session_id)) for line in lines),
    )
    atomic.write_text(path, page)
    return path


def _lines(rows: Mapping[str, Sequence[Row]], images: Mapping[str, Mapping[str, str]]) -> list[ScanLine]:
    """Bring the tables together, one line per image, visits in order and the reference first."""
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
        if row["kind"] == ("reference_to_mni_rigid" if line.is_reference else "to_reference"):
            line.values["translation_mm"] = row["translation_mm"]
            if row["similarity_after"] is not None:
                line.values["similarity"] = row["similarity_after"]
    for row in rows.get("core.volume_rejection", ()):
        line = line_of(row["image_id"])
        line.verdict, line.why = "rejected", f"{row['stage']}: {row['detail']} → {row['remedy']}"
    return sorted(
        lines.values(), key=lambda line: (line.session_id, not line.is_reference, line.contrast, line.image_id)
    )


def _mark_far(lines: Iterable[ScanLine]) -> None:
    """Find values far from those of the same contrast, by the rule of `out.quality_outliers`."""
    alike: dict[tuple[str, str], list[ScanLine]] = {}
    for line in lines:
        for name in line.values:
            if name not in ("seconds", "translation_mm"):  # of the machine and the bed, not of the scan
                role = " reference" if name == "similarity" and line.is_reference else ""
                alike.setdefault((line.contrast + role, name), []).append(line)
    for (_, name), group in alike.items():
        values = np.array([line.values[name] for line in group])
        middle = float(np.median(values))
        spread = 1.4826 * float(np.median(np.abs(values - middle)))
        if len(group) >= MIN_ALIKE and spread > 0:
            for line in group:
                z = (line.values[name] - middle) / spread
                if abs(z) > FAR:
                    line.far[name] = z


def _link(picture: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(picture, folder)).as_posix())


def _summary(lines: Sequence[ScanLine]) -> str:
    sessions = len({line.session_id for line in lines})
    return f"{_counted(sessions, 'visit')}, {_counted(len(lines), 'scan')}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _verdict_choice(name: str, lines: Sequence[ScanLine]) -> str:
    n_lines = sum(name in ("all", line.verdict) for line in lines)
    checked = " checked" if name == "all" else ""
    return (
        f'<label class="choice {name}"><input type="radio" name="verdict" value="{name}"{checked}>'
        f"<span>{VERDICTS.get(name, name)} <b>{n_lines:,}</b></span></label>"
    )


def _head(name: str) -> str:
    better = BETTER.get(name, "")
    arrow = {"higher is better": " <i>↑</i>", "lower is better": " <i>↓</i>"}.get(better, "")
    title = escape("; ".join(part for part in (MEANING[name], better) if part), quote=True)
    return f'<th class="n" scope="col"><button type="button" title="{title}">{name}{arrow}</button></th>'


def _row(line: ScanLine, link: str | None) -> str:
    session = escape(line.session_id or "no visit", quote=True)
    picture = '<span class="nothing">no picture</span>'
    if link:
        picture = (
            f'<a class="thumb" href="{link}" target="_blank" rel="noopener" aria-label="Picture of {session}">'
            f'<img src="{link}" alt="" width="216" loading="lazy"></a>'
        )
    star = ' <span class="reference" title="reference of its visit">★</span>' if line.is_reference else ""
    why = f'<div class="why">{escape(line.why)}</div>' if line.why else ""
    cells = "".join(_cell(line, name) for name in COLUMNS)
    return (
        f'<tr data-verdict="{escape(line.verdict, quote=True)}" data-contrast="{escape(line.contrast, quote=True)}">'
        f"<td>{picture}</td>"
        f'<th scope="row" data-v="{session}"><span class="id">{session}</span>'
        f'<span class="file">{escape(line.name or line.image_id)}</span></th>'
        f'<td data-v="{escape(line.contrast, quote=True)}">{escape(line.contrast)}{star}</td>'
        f'<td data-v="{line.verdict}"><span class="verdict {line.verdict}">{VERDICTS[line.verdict]}</span>{why}</td>'
        f"{cells}</tr>"
    )


def _cell(line: ScanLine, name: str) -> str:
    if name not in line.values:
        reason = escape(line.reasons.get(name, NOT_MEASURED), quote=True)
        return f'<td class="n none" title="{reason}"><span aria-label="no value: {reason}" role="img">–</span></td>'
    value = line.values[name]
    text = f"{value:,.{DECIMALS[name]}f}"
    if name not in line.far:
        return f'<td class="n" data-v="{value:.9g}">{text}</td>'
    z = line.far[name]
    title = f"far from other {escape(line.contrast, quote=True)} scans of the centre: robust z = {z:+.1f}"
    return f'<td class="n far" data-v="{value:.9g}" title="{title}">{"▲" if z > 0 else "▼"} {text}</td>'
