"""Which stores are named by anything: snapshots that are kept, and rows that were committed."""

from __future__ import annotations

from warehouse.catalog import snapshots, sqlfiles
from warehouse.lake import parts
from warehouse.lake.home import Home


def referenced(home: Home) -> set[str]:
    """Return the paths of all stores that something names, relative to the home."""
    import duckdb

    paths: set[str] = set()
    for center_id in parts.manifests(home, "harmonize"):
        rows = parts.read_table(home, center_id, "core.volume", ["path"])
        paths.update([] if rows is None else rows["path"].to_pylist())
    for snapshot_id in snapshots.existing(home):
        with duckdb.connect(str(snapshots.path(home, snapshot_id)), read_only=True) as connection:
            try:
                paths.update(path for (path,) in connection.execute(sqlfiles.read("catalog/volume_paths")).fetchall())
            except duckdb.CatalogException:
                continue  # from before there were volumes
    return paths
