-- Question: which centres have T1w and T2w of the same visit, and at which field strength?
-- Grain: one row per centre and nominal field strength of the T1w.
-- Why:   the most common training pair; n_available counts the pairs of which both files are present on this machine.
SELECT
    pair.center_id,
    image.nominal_field_strength_t,
    count(*) AS n_pairs,
    count(DISTINCT pair.person_id) AS n_persons,
    count(*) FILTER (WHERE pair.is_available) AS n_available
FROM out.training_pair AS pair
INNER JOIN out.image_catalog AS image ON pair.source_image_id = image.image_id
WHERE pair.source_contrast = 'T1w' AND pair.target_contrast = 'T2w'
GROUP BY pair.center_id, image.nominal_field_strength_t
ORDER BY n_pairs DESC, pair.center_id ASC, image.nominal_field_strength_t ASC
