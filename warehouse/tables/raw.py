"""Tables of the data as published, without identifying fields."""

from warehouse.tables.spec import BIGINT, DOUBLE, DOUBLES, INTEGER, INTEGERS, JSON, TEXT, Column, Table

CENTER = Column("center_id", TEXT, "Centre, as registered.")
PATH = Column("path", TEXT, "Path relative to the centre's root, with forward slashes.")

CONTENTS = ("present", "absent", "unreadable")
DISPOSITIONS = ("image", "companion", "rejection")

FILE = Table(
    "raw.file",
    "One row per file under a centre's root (version-control folders such as .git left out).",
    (
        CENTER,
        PATH,
        Column("size_bytes", BIGINT, "Size of the content in bytes; from the annex key where the content is absent.", True, "size_bytes >= 0"),
        Column("mtime_ns", BIGINT, "Time of last modification, nanoseconds since 1970; used to detect changed files."),
        Column("ctime_ns", BIGINT, "Time of last change of the inode, nanoseconds since 1970."),
        Column("link_target", TEXT, "Target of a symbolic link as written; null for a plain file.", True),
        Column("content", TEXT, "present, absent (a git-annex link that was not fetched) or unreadable.", False, f"content IN {CONTENTS}"),
        Column("disposition", TEXT, "Outcome of the file: image, companion or rejection.", False, f"disposition IN {DISPOSITIONS}"),
        Column("kind", TEXT, "Kind of companion, image or rejection, e.g. sidecar, table, nifti."),
    ),
    ("center_id", "path"),
)

SIDECAR = Table(
    "raw.sidecar",
    "One row per JSON sidecar that could be parsed.",
    (
        CENTER,
        PATH,
        Column("fields", JSON, "Fields that the lists of warehouse/ingest/privacy.py allow: numbers, and codes of devices and methods."),
        Column("n_dropped", INTEGER, "Number of fields that were dropped, or whose text was replaced by its length.", False, "n_dropped >= 0"),
        Column("device_id", TEXT, "Salted hash of the device's serial number; differs from home to home.", True),
    ),
    ("center_id", "path"),
)

PARTICIPANT_ROW = Table(
    "raw.participant_row",
    "One row per row of a centre's tables of participants or visits.",
    (
        CENTER,
        PATH,
        Column("row", INTEGER, "Line in the table, the first below the header being 1.", False, '"row" >= 1'),
        Column("participant_id", TEXT, "Participant of the row, without prefix; null where the row names none.", True),
        Column("session_label", TEXT, "Visit of the row; null where the row is about the participant.", True),
        Column("fields", JSON, "Cells that are numbers, declared codes or common words, in columns that identify nobody."),
    ),
    ("center_id", "path", "row"),
)

HEADER = Table(
    "raw.header",
    "One row per NIfTI file whose header was read.",
    (
        CENTER,
        PATH,
        Column("shape", INTEGERS, "Voxels along each axis."),
        Column("zooms", DOUBLES, "Voxel size along each axis, in spatial_unit and temporal_unit."),
        Column("affine", DOUBLES, "Voxel (i, j, k) to world (x, y, z), RAS+, mm; 4 × 4, row by row."),
        Column("qform_code", INTEGER, "NIfTI qform code: coordinate system of the quaternion affine."),
        Column("sform_code", INTEGER, "NIfTI sform code: coordinate system of the matrix affine."),
        Column("dtype", TEXT, "Stored number type, e.g. int16."),
        Column("spatial_unit", TEXT, "Declared unit of space: mm, meter, micron or unknown."),
        Column("temporal_unit", TEXT, "Declared unit of time: sec, msec, usec, hz, ppm, rads or unknown."),
        Column("scl_slope", DOUBLE, "Intensity scale; null where the header sets none.", True),
        Column("scl_inter", DOUBLE, "Intensity offset; null where the header sets none.", True),
    ),
    ("center_id", "path"),
)

RAW = (FILE, SIDECAR, PARTICIPANT_ROW, HEADER)
