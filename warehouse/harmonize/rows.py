"""Rows of harmonised sessions, on their way into the lake."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from warehouse.harmonize.recipe import Recipe
from warehouse.lake import atomic
from warehouse.lake.home import Home
from warehouse.lake.parts import Manifest, commit_center, read_manifest, read_table
from warehouse.tables import HARMONIZED, TABLES, Table

Row = dict[str, Any]


@dataclass
class HarmonizedRows:
    """What sessions gave.

    Parameters
    ----------
    volumes, transforms, quality, rejections : list of dict
        Rows of `core.volume`, `core.transform`, `core.quality` and `core.volume_rejection`.
    pictures : dict of str to str
        Path of each session's mosaic, relative to the home.
    n_done : int
        Scans that were worked on; the others were found finished.
    is_whole : bool
        False where a process died or failed unforeseen: the next run tries again.
    """

    volumes: list[Row] = field(default_factory=list)
    transforms: list[Row] = field(default_factory=list)
    quality: list[Row] = field(default_factory=list)
    rejections: list[Row] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)
    n_done: int = 0
    is_whole: bool = True

    def add(self, other: HarmonizedRows) -> None:
        """Take in what other sessions gave."""
        for mine, theirs in zip(self.lists(), other.lists(), strict=True):
            mine.extend(theirs)
        self.pictures |= other.pictures
        self.n_done += other.n_done
        self.is_whole = self.is_whole and other.is_whole

    def tables(self) -> dict[str, pa.Table]:
        """Return the rows as tables."""
        return {table.name: table.rows(rows) for table, rows in zip(HARMONIZED, self.lists(), strict=True)}

    def lists(self) -> tuple[list[Row], ...]:
        """Return the rows in the order of the tables of harmonisation."""
        return self.volumes, self.transforms, self.quality, self.rejections


def commit(home: Home, center_id: str, recipe: Recipe, made: HarmonizedRows, fingerprint: str) -> Manifest:
    """Put the rows of one recipe in force beside those of others.

    Rows of images that the centre no longer has go. An image of which a row breaks a rule is rejected instead: one
    scan must not keep all centres from being published.
    """
    refuse_broken(made, center_id, recipe)
    fresh = made.tables()
    with atomic.lock(home.manifests / "harmonize" / f".{center_id}.lock", exclusive=True):
        before = read_manifest(home, center_id, "harmonize")
        prints = dict(before.fingerprint) if before else {}
        prints.pop(recipe.recipe_id, None)
        if made.is_whole:
            prints[recipe.recipe_id] = fingerprint
        images = read_table(home, center_id, "core.image", ["image_id"])
        tables = {
            table.name: _merged(home, center_id, table, fresh[table.name], recipe, images) for table in HARMONIZED
        }
        return commit_center(home, center_id, tables, prints, "harmonize")


def refuse_broken(made: HarmonizedRows, center_id: str, recipe: Recipe) -> None:
    """Turn images of which a row breaks a rule of its table into rejections."""
    import duckdb

    broken: dict[str, str] = {}
    with duckdb.connect() as connection:
        for name, rows in made.tables().items():
            connection.register("made_rows", rows)
            for rule, query in TABLES[name].offenders("made_rows").items():
                for row in connection.sql(query).to_arrow_table().to_pylist():
                    broken.setdefault(row["image_id"], f"{name}: rule '{rule}' is broken by {row}")
    for rows in made.lists():
        rows[:] = [row for row in rows if row["image_id"] not in broken]
    made.rejections += [
        rejection(image_id, center_id, recipe, "broken_rule", why, "look at the scan; its values cannot be true")
        for image_id, why in broken.items()
    ]


def rejection(image_id: str, center_id: str, recipe: Recipe, reason: str, detail: str, remedy: str) -> Row:
    """Return a row of `core.volume_rejection` for what no step of its own refused."""
    stage = "worker" if reason != "broken_rule" else "write"
    keys = {"image_id": image_id, "recipe_id": recipe.recipe_id, "center_id": center_id}
    return keys | {"stage": stage, "reason": reason, "detail": detail, "remedy": remedy}


def _merged(
    home: Home, center_id: str, table: Table, fresh: pa.Table, recipe: Recipe, images: pa.Table | None
) -> pa.Table:
    """Return fresh rows with those of other recipes, in the order of the key: the order of work leaves no trace."""
    before = read_table(home, center_id, table.name)
    if before is not None and images is not None:
        others = pc.and_(
            pc.not_equal(before["recipe_id"], recipe.recipe_id),
            pc.is_in(before["image_id"], value_set=images["image_id"].combine_chunks()),
        )
        fresh = pa.concat_tables([fresh, before.filter(others).cast(fresh.schema)])
    return fresh.sort_by([(name, "ascending") for name in table.key]).combine_chunks()
