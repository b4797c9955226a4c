-- Grain: one row per centre, contrast and field of the prompt.
-- Why:   missing values are not guessed; this table shows which to request from a centre, with one example image each.
--        A flip angle that is declared variable is not missing; an age of which only a range is known is, and so is the
--        voxel size of a scan that its publishers resampled.
WITH counted AS (
    SELECT
        center_id,
        contrast_label,
        count(*) AS n_images,
        count_if(age_years IS NULL) AS age,
        min(path) FILTER (WHERE age_years IS NULL) AS age_path,
        count_if(sex IS NULL) AS sex,
        min(path) FILTER (WHERE sex IS NULL) AS sex_path,
        count_if(manufacturer IS NULL) AS vendor,
        min(path) FILTER (WHERE manufacturer IS NULL) AS vendor_path,
        count_if(manufacturers_model_name IS NULL) AS model,
        min(path) FILTER (WHERE manufacturers_model_name IS NULL) AS model_path,
        count_if(magnetic_field_strength_t IS NULL) AS field_strength,
        min(path) FILTER (WHERE magnetic_field_strength_t IS NULL) AS field_strength_path,
        count_if(voxel_size_mm IS NULL OR is_resampled) AS voxel_size,
        min(path) FILTER (WHERE voxel_size_mm IS NULL OR is_resampled) AS voxel_size_path,
        count_if(repetition_time_s IS NULL) AS repetition_time,
        min(path) FILTER (WHERE repetition_time_s IS NULL) AS repetition_time_path,
        count_if(echo_time_s IS NULL) AS echo_time,
        min(path) FILTER (WHERE echo_time_s IS NULL) AS echo_time_path,
        count_if(inversion_time_s IS NULL) AS inversion_time,
        min(path) FILTER (WHERE inversion_time_s IS NULL) AS inversion_time_path,
        count_if(flip_angle_deg IS NULL AND is_flip_angle_variable IS NOT TRUE) AS flip_angle,
        min(path) FILTER (WHERE flip_angle_deg IS NULL AND is_flip_angle_variable IS NOT TRUE) AS flip_angle_path
    FROM out.image_catalog
    WHERE eligibility = 'eligible'
    GROUP BY center_id, contrast_label
),

listed AS (
    SELECT
        center_id,
        contrast_label,
        n_images,
        unnest([
            { 'field': 'age_years', 'n_missing': age, 'example_path': age_path },
            { 'field': 'sex', 'n_missing': sex, 'example_path': sex_path },
            { 'field': 'manufacturer', 'n_missing': vendor, 'example_path': vendor_path },
            { 'field': 'manufacturers_model_name', 'n_missing': model, 'example_path': model_path },
            { 'field': 'magnetic_field_strength_t', 'n_missing': field_strength, 'example_path': field_strength_path },
            { 'field': 'voxel_size_mm', 'n_missing': voxel_size, 'example_path': voxel_size_path },
            { 'field': 'repetition_time_s', 'n_missing': repetition_time, 'example_path': repetition_time_path },
            { 'field': 'echo_time_s', 'n_missing': echo_time, 'example_path': echo_time_path },
            { 'field': 'inversion_time_s', 'n_missing': inversion_time, 'example_path': inversion_time_path },
            { 'field': 'flip_angle_deg', 'n_missing': flip_angle, 'example_path': flip_angle_path }
        ]) AS missing
    FROM counted
)

SELECT
    listed.center_id,
    listed.contrast_label,
    missing.field,
    listed.n_images,
    missing.n_missing,
    missing.example_path
FROM listed
