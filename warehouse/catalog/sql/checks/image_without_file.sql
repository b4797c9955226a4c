-- Grain: one row per image that raw.file does not list as an image.
-- Why:   every image must be a file that was found in the centre's folder.
WITH listed AS (
    SELECT
        file.center_id,
        file.path
    FROM raw.file AS file
    WHERE file.disposition = 'image'
)

SELECT
    image.image_id,
    image.center_id,
    image.path
FROM core.image AS image
ANTI JOIN listed
    ON image.center_id = listed.center_id AND image.path = listed.path
