-- Grain: one row per snapshot and referrer that needs it.
-- Why:   pinned snapshots are kept; the last record of each referrer counts.
SELECT
    snapshot_id,
    referrer
FROM read_parquet($files, union_by_name = TRUE, hive_partitioning = FALSE)
GROUP BY snapshot_id, referrer
HAVING arg_max(action, occurred_at) = 'pin'
ORDER BY snapshot_id, referrer
