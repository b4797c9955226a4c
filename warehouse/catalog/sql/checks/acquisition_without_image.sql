-- Grain: one row per acquisition whose image is not in core.image.
-- Why:   an acquisition describes an image.
SELECT
    acquisition.image_id,
    acquisition.center_id
FROM core.acquisition AS acquisition
ANTI JOIN core.image AS image ON acquisition.image_id = image.image_id AND acquisition.center_id = image.center_id
