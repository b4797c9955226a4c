"""Wide tables, ready to use, derived in SQL from core (one file each in `warehouse/catalog/sql/out/`)."""

import pyarrow as pa

from warehouse.prompts.vocabulary import CONTRASTS
from warehouse.tables.core import AGE, IMAGE_ID, PARTICIPANT_ID, SESSION_ID
from warehouse.tables.raw import CENTER, PATH
from warehouse.tables.spec import BIGINT, BOOLEAN, DOUBLE, DOUBLES, INTEGERS, TEXT, TEXTS, Column, Kind, Table
from warehouse.tables.volumes import RECIPE_ID

RECORD = Kind(
    "STRUCT(contrast VARCHAR, post_contrast BOOLEAN, vendor VARCHAR, model VARCHAR, field_strength_t DOUBLE, "
    "age_years DOUBLE, sex VARCHAR, voxel_size_mm DOUBLE[3], repetition_time_s DOUBLE, echo_time_s DOUBLE, "
    "inversion_time_s DOUBLE, flip_angle_deg DOUBLE, flip_angle_variable BOOLEAN)",
    pa.struct(
        [
            ("contrast", pa.string()),
            ("post_contrast", pa.bool_()),
            ("vendor", pa.string()),
            ("model", pa.string()),
            ("field_strength_t", pa.float64()),
            ("age_years", pa.float64()),
            ("sex", pa.string()),
            ("voxel_size_mm", pa.list_(pa.float64(), 3)),
            ("repetition_time_s", pa.float64()),
            ("echo_time_s", pa.float64()),
            ("inversion_time_s", pa.float64()),
            ("flip_angle_deg", pa.float64()),
            ("flip_angle_variable", pa.bool_()),
        ]
    ),
)

SPLITS = ("train", "val", "test_internal", "test_external", "acceptance", "excluded")

SPLIT_COLUMN = Column(
    "split",
    TEXT,
    "train, val, test_internal, test_external, acceptance (simulated people for the gates of a demonstration), or "
    "excluded (also scanned in an external centre, or by definition).",
    False,
    f"split IN {SPLITS}",
)
PERSON_ID = Column("person_id", TEXT, "Person; never in two of train, val and test.")

SPLIT = Table(
    "out.split",
    "One row per participant: the split of all of their images.",
    (CENTER, PARTICIPANT_ID, PERSON_ID, SPLIT_COLUMN),
    ("center_id", "participant_id"),
    origin="derived",
)

IMAGE_CATALOG = Table(
    "out.image_catalog",
    "One row per image, with all of its metadata.",
    (
        IMAGE_ID,
        CENTER,
        Column("center_title", TEXT, "Name of the dataset."),
        Column("role", TEXT, "internal or external."),
        Column("is_simulated", BOOLEAN, "True for simulated data."),
        PARTICIPANT_ID,
        PERSON_ID,
        SESSION_ID,
        PATH,
        Column(
            "contrast", TEXT, "One of the seven contrasts; null for any other image.", True, f"contrast IN {CONTRASTS}"
        ),
        Column("is_post_contrast", BOOLEAN, "True after a contrast agent."),
        Column(
            "contrast_label",
            TEXT,
            "Contrast as written in prompts: ceT1w for post-contrast T1w; null for any other image.",
            True,
        ),
        Column("suffix", TEXT, "BIDS suffix.", True),
        Column("eligibility", TEXT, "eligible for synthesis, or ineligible."),
        Column("eligibility_reason", TEXT, "Why, in words."),
        SPLIT_COLUMN,
        Column("sex", TEXT, "M, F or O (other).", True),
        *(column for column in AGE),
        Column("manufacturer", TEXT, "Vendor, canonical spelling.", True),
        Column("manufacturers_model_name", TEXT, "Model of the scanner, canonical spelling.", True),
        Column("magnetic_field_strength_t", DOUBLE, "Field strength as published, tesla.", True),
        Column(
            "nominal_field_strength_t",
            DOUBLE,
            "Nominal field strength of the scanner, tesla: 2.89 becomes 3.0.",
            True,
        ),
        Column("repetition_time_s", DOUBLE, "RepetitionTime (TR), seconds.", True),
        Column("echo_time_s", DOUBLE, "EchoTime (TE), seconds.", True),
        Column("inversion_time_s", DOUBLE, "InversionTime (TI), seconds.", True),
        Column("flip_angle_deg", DOUBLE, "FlipAngle (FA), degrees.", True),
        Column("is_flip_angle_variable", BOOLEAN, "True where the flip angle is declared to vary.", True),
        Column("shape", INTEGERS, "Voxels along each axis.", True),
        Column("voxel_size_mm", DOUBLES, "Voxel size of the image's grid along i, j, k, mm.", True),
        Column(
            "is_resampled",
            BOOLEAN,
            "True where the publishers resampled the scan to another grid: its prompt has no voxel size, because that of "
            "the acquisition is unknown.",
        ),
        Column("axcodes", TEXT, "Direction of the voxel axes, e.g. RAS.", True),
        Column("content", TEXT, "present, absent or unreadable."),
        Column("size_bytes", BIGINT, "Size of the file's content in bytes.", True),
    ),
    ("image_id",),
    origin="derived",
)

PROMPT = Table(
    "out.prompt",
    "One row per eligible image: its prompt as the paper's sentence and as a record.",
    (
        IMAGE_ID,
        CENTER,
        Column("prompt", TEXT, "The paper's sentence, with None for missing values."),
        Column("record", RECORD, "The same content, typed (warehouse.prompts.record.PromptRecord)."),
    ),
    ("image_id",),
    origin="derived",
)

TRAINING_PAIR = Table(
    "out.training_pair",
    "One row per ordered pair of eligible images of one visit.",
    (
        Column("source_image_id", TEXT, "Input image of the model."),
        Column("target_image_id", TEXT, "Image that the model learns to synthesise."),
        CENTER,
        SESSION_ID,
        PERSON_ID,
        SPLIT_COLUMN,
        Column("source_contrast", TEXT, "Contrast label of the source, e.g. T1w or ceT1w."),
        Column("target_contrast", TEXT, "Contrast label of the target."),
        Column("is_available", BOOLEAN, "True where both files are present."),
    ),
    ("source_image_id", "target_image_id"),
    origin="derived",
    rules={"no image is its own target": "source_image_id <> target_image_id"},
)

SOURCE_SET = Table(
    "out.source_set",
    "One row per target image: the images of its visit from which a training draws its sources. For a model of at most N "
    "sources, the target is drawn first, balanced by contrast; then the number of sources, uniformly from 1 to the smaller "
    "of N and the number of candidates; then which candidates, uniformly and without replacement.",
    (
        Column("target_image_id", TEXT, "Image that the model learns to synthesise."),
        CENTER,
        SESSION_ID,
        PERSON_ID,
        SPLIT_COLUMN,
        Column("target_contrast", TEXT, "Contrast label of the target."),
        Column(
            "source_image_ids",
            TEXTS,
            "Candidates: the other eligible images of the visit whose files are present, sorted by contrast and identity.",
            False,
            "len(source_image_ids) >= 1",
        ),
        Column("source_contrasts", TEXTS, "Contrast labels of the candidates, in the same order."),
    ),
    ("target_image_id",),
    origin="derived",
    rules={
        "no image is its own source": "NOT list_contains(source_image_ids, target_image_id)",
        "no candidate is listed twice": "len(source_image_ids) = len(list_distinct(source_image_ids))",
        "every candidate has a contrast": "len(source_image_ids) = len(source_contrasts)",
    },
)

METADATA_DISTRIBUTION = Table(
    "out.metadata_distribution",
    "One row per facet and value: numbers of eligible images and people (the paper's Figure 1a).",
    (
        Column("facet", TEXT, "center, contrast, age, sex, country, vendor, field_strength or split."),
        Column("value", TEXT, "Value, or decade of age as [20, 30); unknown where it is missing."),
        Column("n_images", BIGINT, "Number of eligible images."),
        Column("n_persons", BIGINT, "Number of people in these images."),
    ),
    ("facet", "value"),
    origin="derived",
)

MISSING_METADATA = Table(
    "out.missing_metadata",
    "One row per centre, contrast and field of the prompt: how many images lack the field.",
    (
        CENTER,
        Column("contrast_label", TEXT, "Contrast, e.g. T1w or ceT1w."),
        Column("field", TEXT, "Column of out.image_catalog that is missing."),
        Column("n_images", BIGINT, "Number of eligible images of this centre and contrast."),
        Column(
            "n_missing", BIGINT, "Number of these images that lack the field.", False, "n_missing >= 0 AND n_missing <= n_images"
        ),
        Column("example_path", TEXT, "An image that lacks the field; null where none does.", True),
    ),
    ("center_id", "contrast_label", "field"),
    origin="derived",
)

QUALITY_OUTLIERS = Table(
    "out.quality_outliers",
    "One row per image, recipe and measure that is an outlier among images of its centre and contrast.",
    (
        IMAGE_ID,
        RECIPE_ID,
        CENTER,
        Column("contrast_label", TEXT, "Contrast, e.g. T1w or ceT1w."),
        Column("measure", TEXT, "Measure of core.quality, mask_volume_ml, or similarity_ followed by the kind of a transform."),
        Column("value", DOUBLE, "Value of this image."),
        Column("median_value", DOUBLE, "Median over the images of this centre and contrast by this recipe."),
        Column("spread", DOUBLE, "Median absolute deviation of these images × 1.4826.", False, "spread > 0"),
        Column("robust_z", DOUBLE, "(value − median) / spread.", False, "abs(robust_z) > 3.5"),
        Column("n_images", BIGINT, "Number of images that were compared.", False, "n_images >= 5"),
    ),
    ("image_id", "recipe_id", "measure"),
    origin="derived",
)

OUT = (
    SPLIT,
    IMAGE_CATALOG,
    PROMPT,
    TRAINING_PAIR,
    SOURCE_SET,
    METADATA_DISTRIBUTION,
    MISSING_METADATA,
    QUALITY_OUTLIERS,
)
