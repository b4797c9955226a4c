-- Grain: one row per image of a training person that a recipe harmonised and did not flag.
-- Why:   what may drift between the people of a training and later ones: acquisition, age, sex and intensity.
--        Ages that are published as a range count by their middle.
WITH made AS (
    SELECT
        image_id,
        brain_median AS brain_intensity,
        brain_spread / brain_median AS brain_relative_spread
    FROM core.volume
    WHERE form = 'session' AND verdict = 'pass' AND recipe_id = $recipe_id
)

SELECT
    image.person_id,
    image.center_id,
    image.contrast_label AS contrast,
    image.sex,
    image.manufacturer,
    image.nominal_field_strength_t::VARCHAR AS nominal_field_strength_t,
    coalesce(image.age_years, (image.age_low_years + image.age_high_years) / 2) AS age_years,
    image.repetition_time_s,
    image.echo_time_s,
    image.inversion_time_s,
    image.flip_angle_deg,
    list_max(image.voxel_size_mm) AS largest_voxel_side_mm,
    volume.brain_intensity,
    volume.brain_relative_spread
FROM out.image_catalog AS image
INNER JOIN made AS volume ON image.image_id = volume.image_id
WHERE image.split = 'train' AND image.eligibility = 'eligible'
ORDER BY image.image_id
