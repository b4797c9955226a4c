-- Grain: one row per ordered pair (source image, target image) of eligible images of one visit.
-- Why:   a model learns to synthesise one image from another of the same visit. Pairs of one contrast (two runs, two
--        echo times) are included: to compare contrasts, filter on source_contrast and target_contrast.
WITH usable AS (
    SELECT
        image_id,
        center_id,
        session_id,
        person_id,
        split,
        contrast_label,
        content
    FROM out.image_catalog
    WHERE eligibility = 'eligible'
)

SELECT
    source_image.image_id AS source_image_id,
    target_image.image_id AS target_image_id,
    source_image.center_id,
    source_image.session_id,
    source_image.person_id,
    source_image.split,
    source_image.contrast_label AS source_contrast,
    target_image.contrast_label AS target_contrast,
    source_image.content = 'present' AND target_image.content = 'present' AS is_available
FROM usable AS source_image
INNER JOIN usable AS target_image
    ON source_image.session_id = target_image.session_id AND source_image.image_id <> target_image.image_id
