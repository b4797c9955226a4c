"""Parquet parts that many processes write at once, and a manifest per centre and stage that names those in force."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.errors import PublishError
from warehouse.lake import atomic
from warehouse.lake.home import LAKE_VERSION, Home
from warehouse.tables import STAGES, TABLES, Stage, Table

STALE_AFTER_S = 3600.0  # temporary files of running writers are never this old


@dataclass(frozen=True)
class Part:
    """One Parquet file: its table, its path relative to the lake, the SHA-256 of its bytes, and its rows."""

    table: str
    path: str
    sha256: str
    n_rows: int


@dataclass(frozen=True)
class Manifest:
    """The parts of a centre in force, the fingerprint of their sources, and the stage that wrote them."""

    center_id: str
    fingerprint: dict[str, str]
    parts: tuple[Part, ...]
    stage: Stage = "ingest"

    def to_json(self) -> str:
        """Return the canonical JSON, with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True, indent=1)

    @property
    def sha256(self) -> str:
        """Hash of the canonical JSON, which identifies the manifest."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read what `to_json` wrote."""
        document = json.loads(text)
        parts = tuple(Part(**part) for part in document["parts"])
        return cls(document["center_id"], document["fingerprint"], parts, document.get("stage", "ingest"))


def commit_center(
    home: Home,
    center_id: str,
    tables: Mapping[str, pa.Table],
    fingerprint: Mapping[str, str],
    stage: Stage = "ingest",
) -> Manifest:
    """Put all tables of a centre that one stage makes in force at once.

    Parts are named by their content, so one that did not change is not rewritten. The manifest is renamed into
    place last: until then the previous one remains in force.

    Parameters
    ----------
    tables : mapping of str to pyarrow.Table
        Every table of origin `partition` and of this stage, each of exactly its `Table.schema()`.
    fingerprint : mapping of str to str
        Identifies the sources of the tables; the next run compares it.
    stage : {"ingest", "harmonize"}
        Which step wrote them; each has its own manifest.

    Raises
    ------
    PublishError
        When a table is missing or unknown, has another schema, or contains rows of another centre.
    """
    _check(center_id, tables, stage)
    with atomic.lock(lock_path(home), exclusive=False):
        if not home.manifests.exists():  # a new lake
            atomic.write_text(home.lake_version, LAKE_VERSION)
        parts = [_write_part(home, center_id, table, tables[table.name]) for table in STAGES[stage]]
        manifest = Manifest(center_id, dict(fingerprint), tuple(sorted(parts, key=lambda part: part.table)), stage)
        write_manifest(home, manifest)
    return manifest


def write_manifest(home: Home, manifest: Manifest) -> None:
    """Put a manifest in force; the caller must hold the lock of the lake."""
    atomic.write_text(_manifest_path(home, manifest.center_id, manifest.stage), manifest.to_json())


def read_manifest(home: Home, center_id: str, stage: Stage = "ingest") -> Manifest | None:
    """Return the manifest in force; None where the stage never committed the centre."""
    try:
        return Manifest.from_json(_manifest_path(home, center_id, stage).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def manifests(home: Home, stage: Stage = "ingest") -> dict[str, Manifest]:
    """Return every manifest of a stage that is in force, by centre."""
    folder = _manifest_path(home, "any", stage).parent
    found = (read_manifest(home, path.stem, stage) for path in sorted(folder.glob("[!.]*.json")))
    return {manifest.center_id: manifest for manifest in found if manifest is not None}


def in_force(home: Home) -> list[Manifest]:
    """Return every manifest that enters a snapshot: first those of ingests, then those of harmonisations."""
    ingested = manifests(home)
    made = (manifest for center_id, manifest in manifests(home, "harmonize").items() if center_id in ingested)
    return [*ingested.values(), *made]


def read_table(home: Home, center_id: str, name: str, columns: list[str] | None = None) -> pa.Table | None:
    """Read a centre's table by the manifest in force.

    Returns
    -------
    pyarrow.Table or None
        None where the table is absent, or was written with another version of its schema and cannot be used.
    """
    wanted = TABLES[name].schema()
    with atomic.lock(lock_path(home), exclusive=False):
        manifest = read_manifest(home, center_id, TABLES[name].stage)
        files = [home.lake / part.path for part in manifest.parts if part.table == name] if manifest else []
        read = []
        for path in files:
            with pq.ParquetFile(path) as file:
                if not file.schema_arrow.equals(wanted, check_metadata=False):
                    return None
                read.append(file.read(columns=columns))
    return pa.concat_tables(read) if read else None


def drop_center(home: Home, center_id: str) -> None:
    """Take a centre out of force; its parts are swept later, and published snapshots keep their rows."""
    for stage in STAGES:
        path = _manifest_path(home, center_id, stage)
        if path.exists():
            path.unlink(missing_ok=True)
            atomic.fsync(path.parent)


def append_events(home: Home, table: str, rows: Iterable[Mapping[str, object]]) -> Path | None:
    """Append records to a table of events; the next snapshot contains them.

    `event_id` and `occurred_at` are filled in where they are absent. A record that breaks a rule of the table is
    refused here, since an event cannot be removed later. Of records with the same `event_id` the first counts.

    Returns
    -------
    Path or None
        The file that holds them; None where there was nothing to append.

    Raises
    ------
    PublishError
        When the table takes no events, or a record does not fit it.
    """
    spec = _event_table(table)
    now = datetime.now(UTC)
    records = [{"event_id": uuid4().hex, "occurred_at": now, **row} for row in rows]
    if not records:
        return None
    arrow = _event_rows(spec, records)
    with reading(home):  # otherwise a concurrent sweep would remove the temporary file
        temporary = atomic.temporary_beside(home.events / table / "event.parquet")
        pq.write_table(arrow, temporary, compression="zstd")
        target = temporary.with_name(f"event-{now:%Y%m%dT%H%M%S%f}-{atomic.sha256(temporary)[:16]}.parquet")
        atomic.move(temporary, target)
    return target


def event_files(home: Home) -> dict[str, list[Path]]:
    """Return the files of each table of events, in the order in which they were appended."""
    tables = [table.name for table in TABLES.values() if table.origin == "event"]
    return {name: sorted((home.events / name).glob("event-*.parquet")) for name in tables}


def reading(home: Home) -> AbstractContextManager[bool]:
    """Return a shared lock on the lake; while it is held, no sweep removes a part or a recent temporary file."""
    return atomic.lock(lock_path(home), exclusive=False)


def sweep(home: Home) -> list[Path]:
    """Remove temporary files of interrupted writers, and parts that no manifest names.

    While another process reads or writes, only temporary files older than an hour are removed.

    Returns
    -------
    list of Path
        The removed files.
    """
    if not home.lake.is_dir():
        return []
    with atomic.lock(lock_path(home), exclusive=True, wait=False) as alone:
        stale = atomic.stale_temporaries(home.lake)
        if alone:
            everything = (manifest for stage in STAGES for manifest in manifests(home, stage).values())
            named = {home.lake / part.path for manifest in everything for part in manifest.parts}
            layers = {table.layer for tables in STAGES.values() for table in tables}
            parts = (path for layer in layers for path in (home.lake / layer).glob("*/center=*/part-*.parquet"))
            stale += sorted(path for path in parts if path not in named)
        else:
            stale = [path for path in stale if _age_s(path) > STALE_AFTER_S]
        for path in stale:
            path.unlink(missing_ok=True)
    return stale


def lock_path(home: Home) -> Path:
    """Return the file whose lock keeps sweeps and migrations away from writers and readers."""
    return home.lake / "lock"


def _manifest_path(home: Home, center_id: str, stage: Stage) -> Path:
    folder = home.manifests if stage == "ingest" else home.manifests / stage
    return folder / f"{center_id}.json"


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _check(center_id: str, tables: Mapping[str, pa.Table], stage: Stage) -> None:
    expected = {table.name: table for table in STAGES[stage]}
    if different := sorted(expected.keys() ^ tables.keys()):
        raise PublishError(f"centre {center_id}: tables missing or unknown: {different}", "commit every table at once")
    for name, arrow in tables.items():
        wanted = expected[name].schema()
        if not arrow.schema.equals(wanted, check_metadata=False):
            raise PublishError(
                f"centre {center_id}: {name} has another schema: {_difference(arrow.schema, wanted)}",
                "build it with Table.rows, or cast it to Table.schema()",
            )
        if others := set(arrow["center_id"].unique().to_pylist()) - {center_id}:
            raise PublishError(f"centre {center_id}: {name} contains rows of {others}", "commit each centre by itself")


def _difference(found: pa.Schema, wanted: pa.Schema) -> str:
    pairs = {str(field) for field in found} ^ {str(field) for field in wanted}
    return ", ".join(sorted(pairs)) or "another order of columns"


def _write_part(home: Home, center_id: str, table: Table, arrow: pa.Table) -> Part:
    folder = home.lake / table.layer / table.short / f"center={center_id}"
    temporary = atomic.temporary_beside(folder / "part.parquet")
    pq.write_table(arrow.replace_schema_metadata(None), temporary, compression="zstd")
    digest = atomic.sha256(temporary)
    target = folder / f"part-{digest[:16]}.parquet"
    if target.exists() and atomic.sha256(target) == digest:  # a damaged part is replaced
        temporary.unlink()
    else:
        atomic.move(temporary, target)
    return Part(table.name, target.relative_to(home.lake).as_posix(), digest, arrow.num_rows)


def _event_table(name: str) -> Table:
    table = TABLES.get(name)
    if table is None or table.origin != "event":
        known = sorted(t.name for t in TABLES.values() if t.origin == "event")
        raise PublishError(f"{name} takes no events", f"tables of events are {', '.join(known)}")
    return table


def _event_rows(table: Table, records: list[dict[str, object]]) -> pa.Table:
    known = {column.name for column in table.columns}
    if unknown := sorted({key for record in records for key in record} - known):
        raise PublishError(f"{table.name} has no columns {unknown}", f"it has {sorted(known)}")
    try:
        arrow = table.rows(records)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise PublishError(f"{table.name}: a record does not fit: {error}", "correct the record") from error
    _refuse_offenders(table, arrow)
    return arrow


def _refuse_offenders(table: Table, arrow: pa.Table) -> None:
    import duckdb  # not at the top: a process that only commits does not load it

    with duckdb.connect() as connection:
        connection.register("records", arrow)
        for rule, query in table.offenders("records").items():
            if offender := connection.sql(query).to_arrow_table().to_pylist():
                raise PublishError(f"{table.name}: rule '{rule}' is broken by {offender[0]}", "correct the record")
