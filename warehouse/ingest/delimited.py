"""Text tables and spreadsheets as rows of cells."""

from __future__ import annotations

import csv
import io
import re

from warehouse.errors import ParticipantsError
from warehouse.ingest.privacy import clean_text

SURPLUS = "(beyond the header)"
QUOTED = re.compile(r'"([^"]*)"')


def read_table(content: bytes, path: str) -> list[dict[str, str]]:
    """Read a table of text cells; headers and cells lose surrounding blanks and control characters.

    Tab-separated text has no quoting (BIDS): a quote is a character of its cell, and a pair around a whole cell is
    removed. In other text, a quote that is never closed is a character as well.

    Raises
    ------
    ParticipantsError
        When it cannot be decoded or parsed, has no header, or names a column twice.
    """
    if path.lower().endswith((".xls", ".xlsx", ".ods")):
        rows = _spreadsheet(content, path)
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ParticipantsError(f"{path}: not UTF-8: {error}", "save it as UTF-8") from error
        rows = _text_rows(text.replace("\0", " "), path)
    if not rows or not any(cell.strip() for cell in rows[0]):
        raise ParticipantsError(
            f"{path}: the table has no header", "write the names of the columns into the first line"
        )
    header = [clean_text(cell) for cell in rows[0]]
    if twice := {name for name in header if name and header.count(name) > 1}:
        raise ParticipantsError(f"{path}: columns {sorted(twice)} stand twice", "rename one of each")
    return [_cells(header, [clean_text(cell) for cell in row]) for row in rows[1:]]


def _text_rows(text: str, path: str) -> list[list[str]]:
    delimiter = _delimiter(text, path)
    try:
        if delimiter == "\t" or _has_open_quote(text, delimiter):
            rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=csv.QUOTE_NONE)
            return [[_unquoted(cell) for cell in row] for row in rows]
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise ParticipantsError(f"{path}: no table: {error}", "compare it with its source and save it again") from error


def _has_open_quote(text: str, delimiter: str) -> bool:
    """Return whether a quote is never closed, or only by the next one rows below, so that it swallows rows."""
    try:
        for _ in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True):
            pass
    except csv.Error as error:
        if "end of data" in str(error):
            return True
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return any("\n" in cell for row in rows for cell in row)
    return False


def _unquoted(cell: str) -> str:
    match = QUOTED.fullmatch(cell.strip())
    return match[1] if match else cell


def _cells(header: list[str], row: list[str]) -> dict[str, str]:
    cells = dict.fromkeys(header, "") | dict(zip(header, row, strict=False))
    surplus = " ".join(row[len(header) :]).strip()
    return cells | ({SURPLUS: surplus} if surplus else {})


def _delimiter(text: str, path: str) -> str:
    first = text.split("\n", 1)[0]
    if path.lower().endswith(".tsv") or "\t" in first:
        return "\t"
    return ";" if first.count(";") > first.count(",") else ","


def _spreadsheet(content: bytes, path: str) -> list[list[str]]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0)
    except (CalamineError, ValueError, OSError) as error:
        raise ParticipantsError(f"{path}: no spreadsheet: {error}", "save it as CSV") from error
    return [[str(cell) for cell in row] for row in sheet.to_python()]
