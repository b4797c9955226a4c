-- Grain: one row per image of the wanted splits that a recipe harmonised to its session's grid.
-- Why:   the data that a model is trained and tested on: volume, prompt record and person. Volumes that harmonisation
--        flagged are marked, so that the caller can exclude and count them.
WITH made AS (
    SELECT
        image_id,
        recipe_id,
        shape,
        intensity_low,
        intensity_high,
        signal_zero,
        brain_median,
        brain_spread,
        is_stripped,
        source_sha256,
        voxel_size_mm,
        verdict = 'flag' AS is_flagged,
        path
    FROM core.volume
    WHERE form = 'session' AND recipe_id = $identity
),

wanted AS (
    SELECT unnest($splits::VARCHAR[]) AS split
)

SELECT
    image.image_id,
    image.center_id,
    image.session_id,
    image.person_id,
    image.split,
    image.contrast_label,
    image.is_simulated,
    image.path AS file,
    prompt.record,
    volume.recipe_id,
    volume.shape,
    volume.intensity_low,
    volume.intensity_high,
    volume.signal_zero,
    volume.brain_median,
    volume.brain_spread,
    volume.is_stripped,
    volume.source_sha256,
    volume.voxel_size_mm,
    volume.is_flagged,
    volume.path
FROM out.image_catalog AS image
INNER JOIN out.prompt AS prompt ON image.image_id = prompt.image_id
INNER JOIN made AS volume ON image.image_id = volume.image_id
WHERE image.split IN (SELECT wanted.split FROM wanted)
ORDER BY image.image_id
