-- Grain: one row per centre and recipe.
-- Why:   shows how many images were harmonised, flagged and rejected, and their size on disk.
WITH made AS (
    SELECT
        center_id,
        recipe_id,
        any_value(recipe) AS recipe,
        count(DISTINCT image_id) AS n_images,
        count(DISTINCT image_id) FILTER (WHERE verdict = 'flag') AS n_flagged,
        sum(size_bytes)::BIGINT AS size_bytes
    FROM core.volume
    GROUP BY center_id, recipe_id
),

refused AS (
    SELECT
        center_id,
        recipe_id,
        count(*) AS n_rejected
    FROM core.volume_rejection
    GROUP BY center_id, recipe_id
)

SELECT
    coalesce(made.center_id, refused.center_id) AS center_id,
    made.recipe,
    coalesce(made.recipe_id, refused.recipe_id) AS recipe_id,
    coalesce(made.n_images, 0) AS n_images,
    coalesce(made.n_flagged, 0) AS n_flagged,
    coalesce(refused.n_rejected, 0) AS n_rejected,
    coalesce(made.size_bytes, 0) AS size_bytes
FROM made
FULL JOIN refused ON made.center_id = refused.center_id AND made.recipe_id = refused.recipe_id
ORDER BY coalesce(made.center_id, refused.center_id), made.recipe, coalesce(made.recipe_id, refused.recipe_id)
