"""Holding rows against the rules of their tables before they are written."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from warehouse.ingest.rows import ImageRows, Row
from warehouse.ingest.tree import Refusal
from warehouse.tables import TABLES, Table

MILLISECONDS = 1000.0


def refused_images(images: ImageRows) -> dict[str, Refusal]:
    """Return the images that break a rule of `core.image` or `core.acquisition`, by path."""
    paths = {image["image_id"]: image for image in images.images}
    refused: dict[str, Refusal] = {}
    for name, rows in (("core.image", images.images), ("core.acquisition", images.acquisitions)):
        for rule, row in _offenders(TABLES[name], TABLES[name].rows(rows)):
            image = paths[row["image_id"]]
            found = _refusal(TABLES[name], rule, row, image)
            path = str(image["path"])
            refused[path] = _joined(refused[path], found) if path in refused else found
    return refused


def _joined(one: Refusal, other: Refusal) -> Refusal:
    return replace(one, detail=f"{one.detail}; {other.detail}", remedy=f"{one.remedy}; {other.remedy}")


def _offenders(table: Table, rows: pa.Table) -> list[tuple[str, Row]]:
    import duckdb

    with duckdb.connect() as connection:
        connection.register("candidate", rows)
        found = []
        for rule, query in table.offenders("candidate").items():
            result = connection.execute(query)
            names = [column[0] for column in result.description or ()]
            found += [(rule, dict(zip(names, values, strict=True))) for values in result.fetchall()]
        return found


def _refusal(table: Table, rule: str, row: Row, image: Row) -> Refusal:
    sidecars = image["sidecar_paths"]
    place = f"{sidecars[-1]}" if isinstance(sidecars, list) and sidecars else "the centre's definition"
    column = next((column for column in table.columns if column.name == rule), None)
    if column is None:
        values = ", ".join(
            f"{name} = {row[name]}" for name in ("echo_time_s", "repetition_time_s") if row.get(name) is not None
        )
        return Refusal("check", "broken_rule", f"{rule}: {values or 'broken'}", f"correct {place}")
    value = row[rule]
    detail = f"{rule} = {value} breaks the rule {column.rule}"
    if rule.endswith("_s") and isinstance(value, float) and value >= 1:
        return Refusal(
            "check",
            "out_of_range",
            detail,
            f"BIDS wants seconds: {value:g} ms would be {value / MILLISECONDS:g} s; correct {place}",
        )
    return Refusal("check", "out_of_range", detail, f"correct {place}")
