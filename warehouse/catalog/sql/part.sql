-- Grain: one row per row of the parts named by $files.
-- Why:   parts contain all columns themselves, so the name of the folder, center=…, is not read as a column.
SELECT * -- noqa: AM04
FROM read_parquet($files, hive_partitioning = FALSE)
