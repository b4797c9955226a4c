"""Tables about the snapshot itself."""

from warehouse.tables.spec import INTEGER, TEXT, TIMESTAMP, Column, Table

SNAPSHOT = Table(
    "meta.snapshot",
    "One row: this snapshot.",
    (
        Column("snapshot_id", TEXT, "Hash of all content of the snapshot."),
        Column("parent_id", TEXT, "Snapshot that was in force before; null for the first.", True),
        Column("data_id", TEXT, "Hash of the data that a training depends on: eligible images, their metadata, splits and volumes."),
        Column("created_at", TIMESTAMP, "When it was built."),
        Column("release", TEXT, "Version of the package, and the git commit if known."),
        Column("spec_version", TEXT, "Hash of the table specification and its SQL."),
        Column("run_id", TEXT, "Dagster run that built it; null where it was built without Dagster.", True),
    ),
    ("snapshot_id",),
    origin="build",
)

BUILD = Table(
    "meta.build",
    "One row per part of the lake that went into this snapshot.",
    (
        Column("center_id", TEXT, "Centre of a partition; null for events.", True),
        Column("table_name", TEXT, "Table that the part belongs to."),
        Column("part", TEXT, "Path of the part inside the lake."),
        Column("sha256", TEXT, "Hash of the part."),
        Column("n_rows", INTEGER, "Rows in the part.", False, "n_rows >= 0"),
    ),
    ("part",),
    origin="build",
)

SNAPSHOT_PIN = Table(
    "meta.snapshot_pin",
    "One row per pin or unpin of a snapshot.",
    (
        Column("event_id", TEXT, "Identity of the record."),
        Column("occurred_at", TIMESTAMP, "When it was recorded."),
        Column("snapshot_id", TEXT, "Snapshot that is pinned or unpinned."),
        Column("referrer", TEXT, "Who needs the snapshot, e.g. model:3f2a… or a person's note."),
        Column("action", TEXT, "pin or unpin.", False, "action IN ('pin', 'unpin')"),
    ),
    ("event_id",),
    origin="event",
)

META = (SNAPSHOT, BUILD, SNAPSHOT_PIN)
