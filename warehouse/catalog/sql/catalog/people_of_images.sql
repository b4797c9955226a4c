-- Grain: one row per image.
-- Why:   figures are means over people, real and simulated ones apart.
SELECT
    image_id,
    person_id,
    is_simulated
FROM out.image_catalog
