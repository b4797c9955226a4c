"""Migration of names that earlier versions wrote into a home.

The lake of an earlier version is rewritten once, when a command opens its home. Configurations of trainings and
checkpoints are never rewritten, since their hash is their name: their keys are translated when they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warehouse.errors import TumsynError
from warehouse.lake import atomic
from warehouse.lake.home import LAKE_VERSION, Home

if TYPE_CHECKING:  # a command that has nothing to migrate does not load pyarrow
    import pyarrow as pa

    from warehouse.lake.parts import Part

COLUMNS = {
    "core.rejection": {"mend": "remedy"},
    "core.volume_rejection": {"mend": "remedy"},
    "core.training_run": {"code_version": "training_code"},
}
PREFIXES = {  # table: column, old prefix of its values, new prefix
    "core.evaluation_score": ("model_id", "floor:", "baseline:"),
    "core.finding": ("kind", "header_mended", "header_corrected"),
}
KEYS = {"n_hats": "n_intensity_bins", "tower_hats": "tower_intensity_bins", "code_version": "training_code"}


def migrate(home: Home) -> bool:
    """Rewrite a lake of an earlier version with the names of this one.

    An interrupted migration resumes at the next call: every file is replaced atomically.

    Returns
    -------
    bool
        Whether the lake was of an earlier version.

    Raises
    ------
    TumsynError
        When the lake was written by a later version, or cannot be written.
    """
    if not home.lake.is_dir() or (found := _version(home.lake_version)) == LAKE_VERSION:
        return False
    if found > LAKE_VERSION:
        what = f"{home.root} was written by a later version (lake version {found}; this one reads {LAKE_VERSION})"
        raise TumsynError(what, "use that version, or another home")
    from warehouse.lake import parts
    from warehouse.tables import STAGES

    try:
        with atomic.lock(parts.lock_path(home), exclusive=True):
            for stage in STAGES:
                for manifest in parts.manifests(home, stage).values():
                    renamed = tuple(_rewritten_part(home, part) for part in manifest.parts)
                    if renamed != manifest.parts:
                        parts.write_manifest(home, replace(manifest, parts=renamed))
            for table, files in parts.event_files(home).items():
                for path in files:
                    _rewritten_events(table, path)
            atomic.write_text(home.lake_version, LAKE_VERSION)
    except OSError as error:
        what = f"{home.root} was written by an earlier version and cannot be updated: {error}"
        raise TumsynError(what, "make it writable for one command, e.g. `tumsyn centers list`") from error
    return True


def current_keys(document: Any) -> Any:
    """Return a configuration with the keys of this version, at every level of nesting."""
    if isinstance(document, Mapping):
        return {KEYS.get(key, key): current_keys(value) for key, value in document.items()}
    return document


def _version(mark: Path) -> str:
    try:
        return mark.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return "1"


def _rewritten_part(home: Home, part: Part) -> Part:
    rewritten = _rewritten(part.table, home.lake / part.path, lambda digest: f"part-{digest[:16]}.parquet")
    if rewritten is None:
        return part
    target, digest = rewritten
    return replace(part, path=target.relative_to(home.lake).as_posix(), sha256=digest)


def _rewritten_events(table: str, path: Path) -> None:
    stem = path.stem.rsplit("-", 1)[0]
    rewritten = _rewritten(table, path, lambda digest: f"{stem}-{digest[:16]}.parquet")
    if rewritten and rewritten[0] != path:
        path.unlink()


def _rewritten(table: str, path: Path, name: Callable[[str], str]) -> tuple[Path, str] | None:
    """Write a copy with the names of this version; return its path and hash, or None if no name changed."""
    import pyarrow.parquet as pq

    if table not in COLUMNS and table not in PREFIXES:
        return None
    before = pq.read_table(path, partitioning=None)
    after = _renamed(table, before)
    if after.equals(before):
        return None
    temporary = atomic.temporary_beside(path)
    pq.write_table(after, temporary, compression="zstd")
    digest = atomic.sha256(temporary)
    target = path.with_name(name(digest))
    atomic.move(temporary, target)
    return target, digest


def _renamed(table: str, rows: pa.Table) -> pa.Table:
    import pyarrow.compute as pc

    names = COLUMNS.get(table, {})
    rows = rows.rename_columns([names.get(name, name) for name in rows.column_names])
    if table in PREFIXES:
        column, old, new = PREFIXES[table]
        values = pc.replace_substring_regex(rows[column], f"^{old}", new)
        rows = rows.set_column(rows.column_names.index(column), rows.schema.field(column), values)
    return rows
