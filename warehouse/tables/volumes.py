"""Tables of harmonised volumes: stores, transforms, quality measures and rejections."""

from warehouse.tables.core import IMAGE_ID, SESSION_ID
from warehouse.tables.raw import CENTER
from warehouse.tables.spec import BIGINT, BOOLEAN, DOUBLE, DOUBLES, INTEGERS, TEXT, Column, Table, inside

FORMS = ("session", "native")
TRANSFORMS = ("to_reference", "reference_to_mni_rigid", "reference_to_mni_affine", "native_to_session")
RECIPE_ID = Column("recipe_id", TEXT, "Hash of the recipe's parameters.")

VOLUME = Table(
    "core.volume",
    "One row per harmonised volume: an image, a recipe and a form.",
    (
        IMAGE_ID,
        RECIPE_ID,
        Column("form", TEXT, "session: resampled once to the session's grid; native: on the scan's own grid.", False, f"form IN {FORMS}"),
        CENTER,
        SESSION_ID,
        Column("recipe", TEXT, "Name of the recipe, e.g. standard or draft."),
        Column("is_draft", BOOLEAN, "True for the draft recipe: coarse, without bias correction, for demonstrations only."),
        Column("path", TEXT, "Zarr store relative to the home.", False, inside("path")),
        Column("shape", INTEGERS, "Voxels along i, j, k."),
        Column("voxel_size_mm", DOUBLES, "Voxel size along i, j, k, mm.", False, "len(voxel_size_mm) = 3 AND list_min(voxel_size_mm) > 0"),
        Column("affine", DOUBLES, "Voxel (i, j, k) to world (x, y, z), RAS+, mm; 4 × 4, row by row. World is that of the session for form session, that of the scanner for form native.", False, "len(affine) = 16"),
        Column("is_reference", BOOLEAN, "True for the scan to which the others of its session were aligned."),
        Column("mask_source", TEXT, "own: found in this scan; carried: taken from the best mask of the session."),
        Column("mask_volume_ml", DOUBLE, "Volume of the brain mask, millilitres.", False, "mask_volume_ml > 0"),
        Column("intensity_low", DOUBLE, "Intensity that was mapped to 0, in the units of the file."),
        Column("intensity_high", DOUBLE, "Intensity that was mapped to 1, in the units of the file.", False, "intensity_high > intensity_low"),
        Column("signal_zero", DOUBLE, "Intensity of no signal, in the units of the file; null where an older version wrote the volume.", True),
        Column("brain_median", DOUBLE, "Median of the brain's intensities after bias correction, in the units of the file; null in older rows.", True),
        Column("brain_spread", DOUBLE, "Distance from the 10th to the 90th percentile of the same intensities.", True, "brain_spread > 0"),
        Column("is_stripped", BOOLEAN, "True where the scan was stripped before it came: everything outside the brain is zero; null in older rows.", True),
        Column("source_sha256", TEXT, "Hash of the source file.", False, "length(source_sha256) = 64"),
        Column("steps_hash", TEXT, "Hash of the source code of all steps; null where an older version wrote the volume.", True),
        Column("voxels_sha256", TEXT, "Hash of the voxels in the store.", False, "length(voxels_sha256) = 64"),
        Column("size_bytes", BIGINT, "Size of the store in bytes.", False, "size_bytes > 0"),
        Column("seconds", DOUBLE, "CPU time for this scan, seconds; the same for both forms.", False, "seconds >= 0"),
        Column("verdict", TEXT, "pass, or flag where something is suspicious.", False, "verdict IN ('pass', 'flag')"),
        Column("verdict_reason", TEXT, "What is suspicious; null for pass.", True),
    ),
    ("image_id", "recipe_id", "form"),
    stage="harmonize",
)

TRANSFORM = Table(
    "core.transform",
    "One row per transform of an image: world (x, y, z) RAS+ mm to world RAS+ mm.",
    (
        IMAGE_ID,
        RECIPE_ID,
        Column("kind", TEXT, "to_reference, reference_to_mni_rigid, reference_to_mni_affine or native_to_session (all of them composed).", False, f"kind IN {TRANSFORMS}"),
        CENTER,
        Column("matrix", DOUBLES, "Maps a point of the scan's world to the target's; 4 × 4, row by row, RAS+, mm.", False, "len(matrix) = 16"),
        Column("rotation_deg", DOUBLE, "Angle of the rotation, degrees.", False, "rotation_deg >= 0"),
        Column("translation_mm", DOUBLE, "Displacement of the brain's centre, mm.", False, "translation_mm >= 0"),
        Column("measure", TEXT, "Similarity measure, e.g. mattes_mutual_information; null without a registration.", True),
        Column("similarity_before", DOUBLE, "Similarity before registration; higher is better.", True),
        Column("similarity_after", DOUBLE, "Similarity after registration, on the same voxels.", True),
        Column("is_flagged", BOOLEAN, "True where the result is suspicious."),
    ),
    ("image_id", "recipe_id", "kind"),
    stage="harmonize",
    rules={"no registration is worse than none": "similarity_after >= similarity_before - 1e-9"},
)

QUALITY = Table(
    "core.quality",
    "One row per image, recipe and measure of quality.",
    (
        IMAGE_ID,
        RECIPE_ID,
        Column("measure", TEXT, "Name, from MRIQC where it has one, e.g. cjv, cnr, efc, fber, snr_wm; resolution_lr_mm, resolution_pa_mm and resolution_is_mm are the effective resolution along right, anterior and superior, mm (warehouse/quality/resolution.py)."),
        CENTER,
        Column("value", DOUBLE, "Value; null where it is meaningless for the image.", True),
        Column("reason", TEXT, "Why the value is missing; null where it is not.", True),
    ),
    ("image_id", "recipe_id", "measure"),
    stage="harmonize",
    rules={"a missing value has a reason": "(value IS NULL) = (reason IS NOT NULL)"},
)

VOLUME_REJECTION = Table(
    "core.volume_rejection",
    "One row per eligible image that a recipe could not harmonise.",
    (
        IMAGE_ID,
        RECIPE_ID,
        CENTER,
        Column("stage", TEXT, "Stage that failed: load, mask, bias, register, resample, write or worker (its process died)."),
        Column("reason", TEXT, "Why, as a short code."),
        Column("detail", TEXT, "What was found, with the value."),
        Column("remedy", TEXT, "What to do."),
    ),
    ("image_id", "recipe_id"),
    stage="harmonize",
)

VOLUMES = (VOLUME, TRANSFORM, QUALITY, VOLUME_REJECTION)
