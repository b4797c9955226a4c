-- Grain: one row per image that core.acquisition does not describe.
-- Why:   an image without an acquisition would be missing from out.image_catalog without any error.
SELECT
    image.image_id,
    image.center_id,
    image.path
FROM core.image AS image
ANTI JOIN core.acquisition AS acquisition ON image.image_id = acquisition.image_id
