-- Grain: one row per form, population, split, kind of the sources, kind and resolution of the target, and person.
-- Why:   a network that was trained on stripped or isotropic brains may fail on others, and a mean hides it. The
--        resolution is the coarsest of the effective ones that harmonisation measured, since a file of thick slices may
--        have been resampled; where none was measured, it is the voxel size. What is not on record is "unknown".
WITH volume AS (
    SELECT
        image_id,
        any_value(recipe_id) AS recipe_id,
        bool_or(is_stripped) AS is_stripped
    FROM core.volume
    WHERE $recipe IN (recipe, recipe_id)
    GROUP BY image_id
),

measured AS (
    SELECT
        quality.image_id,
        max(quality.value) AS coarsest_mm
    FROM core.quality AS quality
    INNER JOIN volume ON quality.image_id = volume.image_id AND quality.recipe_id = volume.recipe_id
    WHERE quality.measure IN ('resolution_lr_mm', 'resolution_pa_mm', 'resolution_is_mm')
    GROUP BY quality.image_id
),

image AS (
    SELECT
        listed.image_id,
        listed.person_id,
        listed.is_simulated,
        CASE volume.is_stripped WHEN TRUE THEN 'stripped' WHEN FALSE THEN 'whole head' ELSE 'unknown' END AS head,
        coalesce(measured.coarsest_mm, list_max(listed.voxel_size_mm)) AS coarsest_mm
    FROM out.image_catalog AS listed
    LEFT JOIN volume ON listed.image_id = volume.image_id
    LEFT JOIN measured ON listed.image_id = measured.image_id
),

sorted AS (
    SELECT
        *,
        CASE WHEN coarsest_mm >= $thick_mm THEN 'thick' WHEN coarsest_mm < $thick_mm THEN 'isotropic' ELSE 'unknown' END
            AS resolution
    FROM image
),

pair AS (
    SELECT
        coalesce(form, 'session') AS form,
        split,
        task,
        source_image_ids,
        target_image_id,
        hash(source_image_ids) AS sources,
        max(value) FILTER (WHERE NOT starts_with(model_id, 'baseline:')) AS model_db,
        max(value) FILTER (WHERE model_id = 'baseline:intensity_map_oracle') AS map_db
    FROM core.evaluation_score
    WHERE evaluation_id = $evaluation_id AND metric = 'psnr_db' AND mask = 'brain'
    GROUP BY ALL
),

listed_source AS (
    SELECT DISTINCT
        sources,
        unnest(source_image_ids) AS image_id
    FROM pair
),

source AS (
    SELECT
        each.sources,
        if(count(DISTINCT image.head) = 1, any_value(image.head), 'mixed') AS head
    FROM listed_source AS each
    INNER JOIN image ON each.image_id = image.image_id
    GROUP BY each.sources
)

SELECT
    pair.form,
    if(target.is_simulated, 'simulated', 'real') AS population,
    pair.split,
    coalesce(source.head, 'unknown') AS source_head,
    target.head AS target_head,
    target.resolution,
    target.person_id,
    count(*) AS n_pairs,
    avg(pair.model_db) AS model_db,
    avg(pair.map_db) AS map_db
FROM pair
INNER JOIN sorted AS target ON pair.target_image_id = target.image_id
LEFT JOIN source ON pair.sources = source.sources
WHERE pair.model_db IS NOT NULL AND pair.map_db IS NOT NULL
GROUP BY ALL
ORDER BY ALL
