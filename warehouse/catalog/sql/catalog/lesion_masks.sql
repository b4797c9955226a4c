-- Grain: one row per mask or segmentation of a visit whose content is there and whose name says what it marks.
-- Why:   training keeps lesions out of the anatomy that it takes from patients; the label that means lesions is in the
--        definition of the centre.
SELECT
    center_id,
    session_id,
    path AS file,
    entities ->> 'label' AS label,
    entities ->> 'space' AS space,
    content_hash
FROM core.image
WHERE suffix IN ('dseg', 'mask', 'roi') AND content = 'present' AND entities ->> 'label' IS NOT NULL
ORDER BY path
