-- Question: what was refused, why, and what is the remedy?
-- Grain: one row per centre, stage and reason.
-- Why:   nothing is lost in silence: every refused file or row can be read here, the commonest reasons first.
SELECT
    center_id,
    stage,
    reason,
    count(*) AS n_rejections,
    any_value(remedy ORDER BY path) AS remedy,
    min(path) AS example_path
FROM core.rejection
GROUP BY center_id, stage, reason
ORDER BY n_rejections DESC, center_id ASC, stage ASC, reason ASC
