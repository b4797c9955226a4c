"""The type of a prompt's record in a table: `warehouse.prompts.record.PromptRecord`, field by field."""

import pyarrow as pa

from warehouse.catalog.tables.spec import Kind

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
