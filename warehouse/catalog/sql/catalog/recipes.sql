-- Grain: one row per recipe that has made volumes on session grids.
-- Why:   a name may stand for several recipes, when its parameters were changed; whoever asks is told which there are.
SELECT
    recipe_id,
    recipe,
    count(*) AS n_volumes
FROM core.volume
WHERE form = 'session'
GROUP BY recipe_id, recipe
ORDER BY recipe, recipe_id
