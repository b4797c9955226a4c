-- Grain: one row per image that core.acquisition does not describe.
-- Why:   an image that nothing describes would silently be missing from out.image_catalog.
SELECT
    image.image_id,
    image.center_id,
    image.path
FROM core.image AS image
ANTI JOIN core.acquisition AS acquisition ON image.image_id = acquisition.image_id
