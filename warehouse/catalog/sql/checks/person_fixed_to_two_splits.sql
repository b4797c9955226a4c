-- Grain: one row per person whose split is fixed differently by two definitions.
-- Why:   all images of a person belong to one split, so two definitions must not fix different ones.
SELECT
    person_id,
    list(DISTINCT fixed_split ORDER BY fixed_split) AS splits,
    list(DISTINCT center_id ORDER BY center_id) AS centers
FROM core.participant
WHERE fixed_split IS NOT NULL
GROUP BY person_id
HAVING count(DISTINCT fixed_split) > 1
