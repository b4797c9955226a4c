-- Grain: one row per recipe that has made volumes on session grids.
-- Why:   one name refers to several recipes if its parameters have changed; the error message lists them.
SELECT
    recipe_id,
    recipe,
    count(*) AS n_volumes
FROM core.volume
WHERE form = 'session'
GROUP BY recipe_id, recipe
ORDER BY recipe, recipe_id
