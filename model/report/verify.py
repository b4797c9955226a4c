"""A written page held against the catalogue: every picture must be there, and every figure what SQL says."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as DecodingError
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

from model.report.data import ALL_TASKS, rows
from model.report.tables import DECIMALS, number

if TYPE_CHECKING:
    import duckdb

PNG, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
EMBEDDED = "data:image/png;base64,"
LINKS = ("src", "href", "srcset", "action", "data")


def problems(page: Path, connection: duckdb.DuckDBPyConnection, evaluation_id: str) -> list[str]:
    """Return what is wrong with a report; nothing where it is as it should be.

    Parameters
    ----------
    page : Path
        As `model.report.page.write_report` wrote it.
    connection : DuckDBPyConnection
        The published catalogue, read-only.
    evaluation_id : str

    Returns
    -------
    list of str
        One sentence each: a picture that is missing or damaged, a figure that is not the catalogue's, a figure of the
        catalogue that the page lacks, anything that would be fetched from elsewhere.
    """
    if not page.is_file():
        return [f"{page} is not there"]
    read = _Page()
    read.feed(page.read_text(encoding="utf-8"))
    examples = rows(connection, "examples", _asked(connection, evaluation_id))
    found = [f"picture {place} is damaged" for place, png in enumerate(read.pictures, start=1) if not _is_png(png)]
    if len(read.pictures) != len(examples):
        found.append(f"{len(read.pictures)} pictures for {len(examples)} tasks with a pair")
    overview = page.with_name("gallery.png")
    if not overview.is_file() or not _is_png(overview.read_bytes()):
        found.append(f"{overview.name} is not there, or damaged")
    found += [f"the page asks for {link}" for link in read.outside]
    return found + _differing(read.figures, rows(connection, "figures", {"evaluation_id": evaluation_id}))


def _asked(connection: duckdb.DuckDBPyConnection, evaluation_id: str) -> dict[str, object]:
    [about] = rows(connection, "evaluation", {"evaluation_id": evaluation_id})
    return {"evaluation_id": evaluation_id, "model_id": about["model_id"]}


def _is_png(data: bytes) -> bool:
    return data.startswith(PNG) and data.endswith(PNG_END)


def _differing(shown: dict[str, list[tuple[str, str]]], expected: list[dict[str, object]]) -> list[str]:
    """Return the figures of the page that are not SQL's, and those of SQL that are not on the page."""
    found = []
    for row in expected:
        key = "|".join(str(row[name]) for name in ("model_id", "split", "task", "metric", "mask"))
        metric, mean = str(row["metric"]), float(str(row["mean"]))
        is_wanted = metric in DECIMALS and (row["task"] != ALL_TASKS or (row["mask"] == "brain" and metric != "mae"))
        written = shown.pop(key, [])
        if is_wanted and not written:
            found.append(f"{key} is not on the page")
        for text, value in written:
            if abs(float(value) - mean) > 1e-9 * max(1.0, abs(mean)) or text != number(float(value), DECIMALS[metric]):
                found.append(f"{key} is {text} ({value}) on the page, and {mean!r} in the catalogue")
    return found + [f"{key} is on the page, and not in the catalogue" for key in shown]


class _Page(HTMLParser):
    """What a page shows and asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[bytes] = []
        self.figures: dict[str, list[tuple[str, str]]] = {}
        self.outside: list[str] = []
        self._open: tuple[str, str] | None = None
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.outside += [
            said[name][:80] for name in LINKS if name in said and not said[name].startswith(("data:", "#"))
        ]
        if tag == "img":
            try:
                self.pictures.append(b64decode(said.get("src", "").removeprefix(EMBEDDED), validate=True))
            except DecodingError:
                self.pictures.append(b"")
        if "data-cell" in said:
            self._open, self._text = (said["data-cell"], said["data-value"]), ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if self._open is not None:
            key, value = self._open
            self.figures.setdefault(key, []).append((self._text, value))
            self._open = None
