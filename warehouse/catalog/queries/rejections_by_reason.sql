-- Question: what was rejected, why, and what is the remedy?
-- Grain: one row per centre, stage and reason.
-- Why:   lists all rejected files and rows, the most common reasons first.
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
