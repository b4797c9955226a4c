"""Normalised tables: centres, participants, visits, images, acquisitions, rejections, findings."""

from warehouse.prompts.limits import LIMITS
from warehouse.prompts.vocabulary import CONTRASTS, SEXES
from warehouse.tables.raw import CENTER, CONTENTS, PATH
from warehouse.tables.spec import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    DOUBLES,
    INTEGER,
    INTEGERS,
    JSON,
    TEXT,
    TEXTS,
    Column,
    Kind,
    Table,
)

ROLES = ("internal", "external")
FIXED_SPLITS = ("train", "val", "test_internal", "acceptance", "excluded")  # that a centre's definition may fix
PROVENANCES = ("sidecar", "header", "participants", "center_default")
STAGES = ("discover", "read", "parse", "participants", "check")
FINDING_KINDS = {
    "split_without_participant": "a definition fixes the split of a participant who does not exist",
    "row_without_images": "a row of a table names a participant or visit without an image",
    "images_without_row": "the tables list other participants, but not this one, who has images",
    "label_matched": "labels of a table differ from those of the folders by padding and were matched",
    "label_ambiguous": "a label of a table matches several participants or visits and was assigned to none",
    "sidecar_without_image": "a JSON sidecar applies to no image",
    "field_not_read": "a column or key looks like an age, a sex or a scan parameter and is not read",
    "value_not_read": "a value could not be read or is impossible, and is null",
    "value_unknown": "a zero that means an unknown value is null",
    "value_converted": "a value was given in another unit and was converted",
    "age_not_assigned": "one age is published for several visits and was assigned to none of the later ones",
    "sources_disagree": "two sources give different values; the detail states which one is used",
    "field_repeated": "a JSON object names a field twice; the last one is used",
    "header_corrected": "a part of a header is not valid and another part was used in its place",
    "duplicate": "a file has the same content as another one",
    "place": "a folder may have another role than its name or its place in the tree suggests",
}

IMAGE_ID = Column("image_id", TEXT, "First 16 hexadecimal digits of SHA-256 of centre and path: stable over re-ingest.", False, "length(image_id) = 16")
PARTICIPANT_ID = Column("participant_id", TEXT, "Participant within the centre, without the sub- prefix.")
SESSION_ID = Column("session_id", TEXT, "Visit: centre/sub-LABEL or centre/sub-LABEL/ses-LABEL.")


def provenance(name: str) -> Column:
    """Return the column with the source of a value."""
    return Column(f"{name}_provenance", TEXT, f"Source of {name}; null where it is missing.", True, f"{name}_provenance IN {PROVENANCES}")


def sourced(name: str, kind: Kind, description: str, rule: str = "") -> tuple[Column, Column]:
    """Return a nullable column and its provenance."""
    return Column(name, kind, description, True, rule), provenance(name)


AGE = (
    Column("age_years", DOUBLE, "Age, years; null where only a range is published.", True, LIMITS["age_years"].rule("age_years")),
    Column("age_low_years", DOUBLE, "Lower bound of the age where a range is published.", True, LIMITS["age_years"].rule("age_low_years")),
    Column("age_high_years", DOUBLE, "Upper bound of the age where a range is published.", True, "age_high_years >= 0 AND age_high_years <= 130"),
    provenance("age"),
)
AGE_RULES = {
    "age bounds are ordered": "age_low_years <= age_high_years",
    "an age has a provenance": "(coalesce(age_years, age_low_years, age_high_years) IS NULL) = (age_provenance IS NULL)",
}

CENTER_TABLE = Table(
    "core.center",
    "One row per registered centre.",
    (
        CENTER,
        Column("title", TEXT, "Name of the dataset."),
        Column("city", TEXT, "City where most of the data were acquired.", True),
        Column("country", TEXT, "Country, ISO 3166-1 alpha-2.", True, "length(country) = 2"),
        Column("latitude_deg", DOUBLE, "Latitude of the city, degrees north.", True, "latitude_deg BETWEEN -90 AND 90"),
        Column("longitude_deg", DOUBLE, "Longitude of the city, degrees east.", True, "longitude_deg BETWEEN -180 AND 180"),
        Column("role", TEXT, "internal: used for training; external: used for zero-shot tests only.", False, f"role IN {ROLES}"),
        Column("is_simulated", BOOLEAN, "True for simulated data."),
        Column("license", TEXT, "Licence or terms of use.", True),
        Column("access", TEXT, "How to get access.", True),
        Column("citation", TEXT, "How to cite the dataset.", True),
        Column("contrasts", TEXTS, "Contrasts of the dataset; ceT1w is post-contrast T1w."),
        Column("layout", TEXT, "bids or files.", False, "layout IN ('bids', 'files')"),
        Column("layout_unverified", TEXT, "Why the layout could not be verified against a public source; null where it was.", True),
        Column("root", TEXT, "Folder of the dataset on the machine that ingested it."),
    ),
    ("center_id",),
)

PARTICIPANT = Table(
    "core.participant",
    "One row per participant of a centre who is listed in a table or has images. The age is that of the participant's row, or of the first visit with an age; ages of visits are in core.session.",
    (
        CENTER,
        PARTICIPANT_ID,
        Column("person_id", TEXT, "Person; the participants of a travelling subject in several centres share it."),
        Column("fixed_split", TEXT, "Split that the centre's definition fixes; null where it is drawn by hash.", True, f"fixed_split IN {FIXED_SPLITS}"),
        *sourced("sex", TEXT, "M, F or O (other).", f"sex IN {SEXES}"),
        *AGE,
        Column("is_listed", BOOLEAN, "True where a table of participants has a row."),
        Column("has_images", BOOLEAN, "True where the centre's folder has an image."),
    ),
    ("center_id", "participant_id"),
    rules=AGE_RULES,
)

SESSION = Table(
    "core.session",
    "One row per visit that has an image. The age is that of the visit or null: a later visit never gets the age of the first.",
    (
        SESSION_ID,
        CENTER,
        PARTICIPANT_ID,
        Column("session_label", TEXT, "Label of the visit without the ses- prefix; null where the dataset has none.", True),
        *AGE,
    ),
    ("session_id",),
    rules=AGE_RULES,
)

ENTITIES = tuple(
    Column(name, TEXT, f"BIDS entity {name}: {meaning}.", True)
    for name, meaning in {
        "acq": "variant of the acquisition",
        "ce": "contrast agent",
        "rec": "reconstruction",
        "run": "repetition",
        "echo": "echo",
        "part": "mag, phase, real or imag",
        "inv": "inversion",
    }.items()
)

IMAGE = Table(
    "core.image",
    "One row per image file that was accepted into the catalogue.",
    (
        IMAGE_ID,
        CENTER,
        PARTICIPANT_ID,
        SESSION_ID,
        PATH,
        Column("datatype", TEXT, "BIDS datatype, e.g. anat; null where the layout has none.", True),
        Column("suffix", TEXT, "BIDS suffix, e.g. T1w.", True),
        Column("contrast", TEXT, "One of the seven contrasts; null for any other image.", True, f"contrast IN {CONTRASTS}"),
        Column("is_post_contrast", BOOLEAN, "True after a contrast agent."),
        *ENTITIES,
        Column("entities", JSON, "All entities of the file name, and further named groups of the layout."),
        Column("content", TEXT, "present, absent (a git-annex link that was not fetched) or unreadable.", False, f"content IN {CONTENTS}"),
        Column("size_bytes", BIGINT, "Size of the file's content in bytes.", True, "size_bytes >= 0"),
        Column("content_hash", TEXT, "Hash of the content as backend:digest: of the git-annex key, else the CRC-32 of the unpacked file; null where neither is known.", True),
        Column("shape", INTEGERS, "Voxels along each axis; null where the content is absent.", True),
        Column("voxel_size_mm", DOUBLES, "Voxel size along i, j, k, mm.", True, f"{LIMITS['voxel_size_mm'].rule('voxel_size_mm')} AND len(voxel_size_mm) = 3"),
        provenance("voxel_size_mm"),
        Column("is_resampled", BOOLEAN, "True where the publishers resampled the scan to another grid, as the centre's definition says: its voxel size is that of the grid, and that of the acquisition is unknown; null in older rows.", True),
        Column("affine", DOUBLES, "Voxel (i, j, k) to world (x, y, z), RAS+, mm; 4 × 4, row by row.", True, "len(affine) = 16"),
        Column("axcodes", TEXT, "Direction of the voxel axes, e.g. RAS.", True, "length(axcodes) = 3"),
        Column("dtype", TEXT, "Stored number type, e.g. int16.", True),
        Column("n_volumes", INTEGER, "Volumes along the fourth axis; 1 for a 3-D image.", True, "n_volumes >= 1"),
        Column("sidecar_paths", TEXTS, "JSON sidecars that apply by BIDS inheritance, the nearest last."),
        Column("eligibility", TEXT, "eligible for synthesis, or ineligible.", False, "eligibility IN ('eligible', 'ineligible')"),
        Column("eligibility_reason", TEXT, "Why, in words."),
    ),
    ("image_id",),
    rules={"an eligible image has a contrast": "eligibility = 'ineligible' OR contrast IS NOT NULL"},
)

ACQUISITION = Table(
    "core.acquisition",
    "One row per image: how it was acquired, each value with its provenance.",
    (
        IMAGE_ID,
        CENTER,
        *sourced("manufacturer", TEXT, "Vendor, canonical spelling."),
        *sourced("manufacturers_model_name", TEXT, "Model of the scanner, canonical spelling."),
        *sourced("magnetic_field_strength_t", DOUBLE, "Field strength as published, tesla, e.g. 2.89362.", LIMITS["field_strength_t"].rule("magnetic_field_strength_t")),
        *sourced("repetition_time_s", DOUBLE, "RepetitionTime (TR), seconds.", LIMITS["repetition_time_s"].rule("repetition_time_s")),
        *sourced("repetition_time_excitation_s", DOUBLE, "RepetitionTimeExcitation: between excitations of one shot, seconds.", LIMITS["repetition_time_s"].rule("repetition_time_excitation_s")),
        *sourced("repetition_time_preparation_s", DOUBLE, "RepetitionTimePreparation: between inversions, seconds.", LIMITS["repetition_time_s"].rule("repetition_time_preparation_s")),
        *sourced("echo_time_s", DOUBLE, "EchoTime (TE), seconds.", LIMITS["echo_time_s"].rule("echo_time_s")),
        *sourced("inversion_time_s", DOUBLE, "InversionTime (TI), seconds.", LIMITS["inversion_time_s"].rule("inversion_time_s")),
        *sourced("flip_angle_deg", DOUBLE, "FlipAngle (FA), degrees.", LIMITS["flip_angle_deg"].rule("flip_angle_deg")),
        *sourced("is_flip_angle_variable", BOOLEAN, "True where the flip angle is declared to vary along the echo train."),
        *sourced("slice_thickness_mm", DOUBLE, "SliceThickness, mm.", "slice_thickness_mm > 0 AND slice_thickness_mm < 100"),
        *sourced("mr_acquisition_type", TEXT, "2D or 3D.", "mr_acquisition_type IN ('1D', '2D', '3D')"),
        *sourced("scanning_sequence", TEXT, "ScanningSequence, e.g. GR_IR."),
        Column("device_id", TEXT, "Salted hash of the device's serial number; differs from home to home.", True),
    ),
    ("image_id",),
    rules={
        "TE is shorter than TR": "echo_time_s < repetition_time_s OR repetition_time_s IS NULL OR echo_time_s IS NULL",
    },
)

REJECTION = Table(
    "core.rejection",
    "One row per file, or row of a table, that was rejected; a file has at most one.",
    (
        Column("rejection_id", TEXT, "First 16 hexadecimal digits of SHA-256 of centre, path and row."),
        CENTER,
        PATH,
        Column("row", INTEGER, "Line in the table; null where the whole file was rejected.", True),
        Column("stage", TEXT, "Stage that rejected it: discover, read, parse, participants or check.", False, f"stage IN {STAGES}"),
        Column("reason", TEXT, "Why, as a short code, e.g. truncated_gzip."),
        Column("detail", TEXT, "What was found, with the value."),
        Column("remedy", TEXT, "What to do."),
    ),
    ("rejection_id",),
)

FINDING = Table(
    "core.finding",
    "One row per observation about a centre's files or tables that excludes no image; rejected files and rows are in core.rejection.",
    (
        Column("finding_id", TEXT, "First 16 hexadecimal digits of SHA-256 of the other columns up to value.", False, "length(finding_id) = 16"),
        CENTER,
        Column("kind", TEXT, "; ".join(f"{kind}: {meaning}" for kind, meaning in FINDING_KINDS.items()) + ".", False, f"kind IN {tuple(FINDING_KINDS)}"),
        Column("path", TEXT, "File that it concerns, relative to the centre's root; null where it is no single file.", True),
        Column("row", INTEGER, "Line in the table, the first below the header being 1; null where it is not one line.", True, '"row" >= 1'),
        Column("participant_id", TEXT, "Participant that it concerns, without the sub- prefix; null where it is not one.", True),
        Column("field", TEXT, "Column of a table, key of a sidecar or field of a header; null where it is none.", True),
        Column("value", TEXT, "Value that was found; text that may identify a person is replaced by its length.", True),
        Column("detail", TEXT, "What was found and how it was handled."),
        Column("remedy", TEXT, "What to change so that the finding disappears; empty where nothing needs to change."),
    ),
    ("finding_id",),
)

CORE = (CENTER_TABLE, PARTICIPANT, SESSION, IMAGE, ACQUISITION, REJECTION, FINDING)
