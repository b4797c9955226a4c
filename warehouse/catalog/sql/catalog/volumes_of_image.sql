-- Grain: one row per harmonised volume of one image.
-- Why:   opening a volume needs its path; if none or several match, the error message lists them all.
SELECT
    recipe,
    recipe_id,
    form,
    path
FROM core.volume
WHERE image_id = $image_id
ORDER BY recipe, recipe_id, form
