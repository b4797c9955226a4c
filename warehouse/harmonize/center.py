"""Harmonises all sessions of a centre and commits their rows together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from warehouse.centers.registry import RegisteredCenter
from warehouse.errors import HarmonizeError
from warehouse.harmonize.plan import count_images, fingerprint, is_current, sessions
from warehouse.harmonize.recipe import Recipe
from warehouse.harmonize.rows import HarmonizedRows, rejection
from warehouse.harmonize.tasks import Progress, Work, tasks_of, work_tasks
from warehouse.lake import atomic
from warehouse.lake.home import Home
from warehouse.lake.parts import Manifest, commit_center, read_manifest, read_table
from warehouse.quality.mosaics import pictures_folder
from warehouse.quality.page import write_center_page
from warehouse.tables import HARMONIZED, TABLES, Table


@dataclass(frozen=True)
class Harmonized:
    """Result of harmonising a centre.

    Parameters
    ----------
    n_scans : int
        Eligible scans whose content is there.
    n_done, n_reused, n_rejected : int
        Processed; found finished; rejected.
    seconds : float
        Wall time.
    manifest : Manifest
        The centre's current one.
    changed : bool
        False where nothing had changed and no image was opened.
    pictures : tuple of Path
        Mosaics of the sessions.
    page : Path or None
        The centre's quality.html.
    """

    center_id: str
    n_scans: int
    n_done: int
    n_reused: int
    n_rejected: int
    seconds: float
    manifest: Manifest
    changed: bool
    pictures: tuple[Path, ...] = ()
    page: Path | None = None


def harmonize_center(
    home: Home,
    registration: RegisteredCenter,
    recipe: Recipe,
    *,
    workers: int | None = None,
    memory_gb: float | None = None,
    progress: Progress | None = None,
    force: bool = False,
    work: Work | None = None,
) -> Harmonized:
    """Harmonise every eligible scan of a centre whose content is there.

    Parameters
    ----------
    home : Home
    registration : RegisteredCenter
        The centre and its folder; it must have been ingested.
    recipe : Recipe
    workers : int, optional
        Processes; default: one per CPU. Memory may allow fewer.
    memory_gb : float, optional
        For all processes together; default: most of the free memory.
    progress : callable, optional
        Called with scans done, scans in all, and the name of the session.
    force : bool
        Harmonise finished scans again.
    work : callable, optional
        Harmonises the sessions; default: `work_tasks`, with processes for this centre alone.

    Raises
    ------
    TumsynError
        When the centre was not ingested.
    """
    start = time.perf_counter()
    center_id = registration.center.center_id
    if not force and is_current(home, registration, recipe):
        return _unchanged(home, center_id, recipe, start)
    found = sessions(home, registration)
    tasks = tasks_of(home, center_id, found, recipe, force)
    rows = (work or work_tasks)(tasks, workers=workers, memory_gb=memory_gb, progress=progress)
    n_scans = sum(len(scans) for scans in found.values())
    return finish(home, center_id, recipe, rows, fingerprint(found), n_scans, time.perf_counter() - start)


def finish(
    home: Home,
    center_id: str,
    recipe: Recipe,
    rows: HarmonizedRows,
    wanted: str,
    n_scans: int,
    seconds: float,
) -> Harmonized:
    """Commit the rows of a whole centre and write its page of quality.

    Parameters
    ----------
    wanted : str
        `fingerprint` of the scans that were to be harmonised.
    seconds : float
        Wall time of the work.
    """
    manifest = commit(home, center_id, recipe, rows, wanted)
    n_volumes = len({row["image_id"] for row in rows.volumes})
    by_table = {table.name: records for table, records in zip(HARMONIZED, rows.lists(), strict=True)}
    page = write_center_page(home, center_id, recipe, by_table, rows.pictures)
    return Harmonized(
        center_id=center_id,
        n_scans=n_scans,
        n_done=rows.n_done,
        n_reused=max(0, n_volumes - rows.n_done),
        n_rejected=len(rows.rejections),
        seconds=seconds,
        manifest=manifest,
        changed=True,
        pictures=tuple(home.root / path for path in sorted(rows.pictures.values())),
        page=page,
    )


def commit(home: Home, center_id: str, recipe: Recipe, rows: HarmonizedRows, wanted: str) -> Manifest:
    """Commit the rows of one recipe beside those of other recipes.

    Rows of images that the centre no longer has are removed. An image with a row that breaks a rule of its table is
    rejected, so that one scan does not keep all centres from being published.
    """
    refuse_broken(rows, center_id, recipe)
    fresh = _tables(rows)
    with atomic.lock(home.manifests / "harmonize" / f".{center_id}.lock", exclusive=True):
        before = read_manifest(home, center_id, "harmonize")
        prints = dict(before.fingerprint) if before else {}
        prints.pop(recipe.recipe_id, None)
        if rows.is_whole:
            prints[recipe.recipe_id] = wanted
        images = read_table(home, center_id, "core.image", ["image_id"])
        tables = {
            table.name: _merged(home, center_id, table, fresh[table.name], recipe, images) for table in HARMONIZED
        }
        return commit_center(home, center_id, tables, prints, "harmonize")


def refuse_broken(rows: HarmonizedRows, center_id: str, recipe: Recipe) -> None:
    """Replace the rows of images that break a rule of their table by rejections."""
    import duckdb

    broken: dict[str, str] = {}
    with duckdb.connect() as connection:
        for name, table in _tables(rows).items():
            connection.register("made_rows", table)
            for rule, query in TABLES[name].offenders("made_rows").items():
                for row in connection.sql(query).to_arrow_table().to_pylist():
                    broken.setdefault(row["image_id"], f"{name}: rule '{rule}' is broken by {row}")
    for records in rows.lists():
        records[:] = [row for row in records if row["image_id"] not in broken]
    remedy = "look at the scan; its values are impossible"
    rows.rejections += [
        rejection(image_id, center_id, recipe, HarmonizeError("write", "broken_rule", why, remedy))
        for image_id, why in broken.items()
    ]


def _tables(rows: HarmonizedRows) -> dict[str, pa.Table]:
    return {table.name: table.rows(records) for table, records in zip(HARMONIZED, rows.lists(), strict=True)}


def _merged(
    home: Home, center_id: str, table: Table, fresh: pa.Table, recipe: Recipe, images: pa.Table | None
) -> pa.Table:
    """Return fresh rows with those of other recipes, sorted by key so that the order of work does not matter."""
    before = read_table(home, center_id, table.name)
    if before is not None and images is not None:
        others = pc.and_(
            pc.not_equal(before["recipe_id"], recipe.recipe_id),
            pc.is_in(before["image_id"], value_set=images["image_id"].combine_chunks()),
        )
        fresh = pa.concat_tables([fresh, before.filter(others).cast(fresh.schema)])
    return fresh.sort_by([(name, "ascending") for name in table.key]).combine_chunks()


def _unchanged(home: Home, center_id: str, recipe: Recipe, start: float) -> Harmonized:
    manifest = read_manifest(home, center_id, "harmonize")
    assert manifest is not None  # it is current
    n_volumes, n_rejected = count_images(home, center_id, recipe)
    place = pictures_folder(home, center_id, recipe)
    page = place / "quality.html"
    return Harmonized(
        center_id=center_id,
        n_scans=n_volumes + n_rejected,
        n_done=0,
        n_reused=n_volumes,
        n_rejected=n_rejected,
        seconds=time.perf_counter() - start,
        manifest=manifest,
        changed=False,
        pictures=tuple(sorted((place / "sessions").glob("*.png"))),
        page=page if page.exists() else None,
    )
