-- Grain: one row per person with images in two of train, val, test_internal and test_external.
-- Why:   a model must not be tested on a person whom it was trained on.
SELECT
    person_id,
    list(DISTINCT split ORDER BY split) AS splits
FROM out.split
WHERE split <> 'excluded'
GROUP BY person_id
HAVING count(DISTINCT split) > 1
