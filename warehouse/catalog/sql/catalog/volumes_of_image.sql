-- Grain: one row per harmonised volume of one image.
-- Why:   opening a volume needs its path; where none or several fit, all of them are named to the user.
SELECT
    recipe,
    recipe_id,
    form,
    path
FROM core.volume
WHERE image_id = $image_id
ORDER BY recipe, recipe_id, form
