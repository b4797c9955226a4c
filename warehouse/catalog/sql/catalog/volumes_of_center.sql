-- Grain: one row per harmonised volume of a centre in one form.
-- Why:   an export covers a whole centre.
SELECT
    image_id,
    recipe,
    recipe_id,
    path
FROM core.volume
WHERE center_id = $center_id AND form = $form
ORDER BY recipe, recipe_id, session_id, image_id
