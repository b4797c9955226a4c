-- Grain: one row per person whose split is fixed differently by two definitions.
-- Why:   one person has one split; two definitions that fix different ones contradict each other.
SELECT
    person_id,
    list(DISTINCT fixed_split ORDER BY fixed_split) AS splits,
    list(DISTINCT center_id ORDER BY center_id) AS centers
FROM core.participant
WHERE fixed_split IS NOT NULL
GROUP BY person_id
HAVING count(DISTINCT fixed_split) > 1
