-- Grain: one row per eligible image.
-- Why:   the model reads the record, the reference model reads the sentence; both have the same content. A scan that
--        its publishers resampled has no voxel size: that of the grid does not tell how the scan was acquired.
WITH described AS (
    SELECT
        image_id,
        center_id,
        {
            'contrast': contrast,
            'post_contrast': is_post_contrast,
            'vendor': manufacturer,
            'model': manufacturers_model_name,
            'field_strength_t': nominal_field_strength_t,
            'age_years': age_years,
            'sex': sex,
            'voxel_size_mm': CASE WHEN NOT is_resampled THEN voxel_size_mm::DOUBLE[3] END,
            'repetition_time_s': repetition_time_s,
            'echo_time_s': echo_time_s,
            'inversion_time_s': inversion_time_s,
            'flip_angle_deg': flip_angle_deg,
            'flip_angle_variable': coalesce(is_flip_angle_variable, FALSE)
        } AS record
    FROM out.image_catalog
    WHERE eligibility = 'eligible'
)

SELECT
    image_id,
    center_id,
    out.render_prompt(record) AS prompt,
    record
FROM described
