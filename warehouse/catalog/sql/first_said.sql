-- Grain: one row per event.
-- Why:   events are only ever appended, so a repeated event_id (a retried writer) adds nothing: what was said first
--        stands. Files of earlier versions may lack later columns.
SELECT * -- noqa: AM04
FROM read_parquet($files, union_by_name = TRUE, hive_partitioning = FALSE)
QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY occurred_at) = 1
