-- Grain: one row per event.
-- Why:   events are only appended; of records with the same event_id (from a writer that retried) the first counts.
--        Files of earlier versions may lack later columns.
SELECT * -- noqa: AM04
FROM read_parquet($files, union_by_name = TRUE, hive_partitioning = FALSE)
QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY occurred_at) = 1
