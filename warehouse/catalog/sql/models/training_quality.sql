-- Grain: one row per image of a training person that a recipe harmonised and did not flag, and measure of quality.
-- Why:   quality may drift while the parameters of the acquisition stay.
WITH made AS (
    SELECT image_id
    FROM core.volume
    WHERE form = 'session' AND verdict = 'pass' AND recipe_id = $recipe_id
),

measured AS (
    SELECT
        image_id,
        measure,
        value
    FROM core.quality
    WHERE recipe_id = $recipe_id
)

SELECT
    image.person_id,
    image.center_id,
    image.contrast_label AS contrast,
    measured.measure AS field,
    measured.value
FROM out.image_catalog AS image
INNER JOIN made AS volume ON image.image_id = volume.image_id
INNER JOIN measured ON image.image_id = measured.image_id
WHERE image.split = 'train' AND image.eligibility = 'eligible'
ORDER BY image.image_id, measured.measure
