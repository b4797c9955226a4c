-- Grain: one row per person whose images lie in two of train, val, test_internal and test_external.
-- Why:   a model that is tested on a brain it was trained on is not tested.
SELECT
    person_id,
    list(DISTINCT split ORDER BY split) AS splits
FROM out.split
WHERE split <> 'excluded'
GROUP BY person_id
HAVING count(DISTINCT split) > 1
