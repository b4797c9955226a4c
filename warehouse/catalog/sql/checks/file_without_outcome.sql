-- Grain: one row per file listed as an image or a rejection that is missing from core.image or core.rejection.
-- Why:   every file must end as an image, a companion or a rejection.
SELECT
    file.center_id,
    file.path,
    file.disposition
FROM raw.file AS file
ANTI JOIN core.image AS image
    ON file.disposition = 'image' AND file.center_id = image.center_id AND file.path = image.path
ANTI JOIN core.rejection AS rejection
    ON file.disposition = 'rejection' AND file.center_id = rejection.center_id AND file.path = rejection.path
WHERE file.disposition <> 'companion'
