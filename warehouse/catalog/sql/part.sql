-- Grain: one row per row of the parts named by $files.
-- Why:   parts carry every column themselves; the folder center=… is for people and is not read as a column.
SELECT * -- noqa: AM04
FROM read_parquet($files, hive_partitioning = FALSE)
