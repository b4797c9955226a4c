-- Grain: one row per column of the table named by $table.
-- Why:   names, types, units and meaning, in the snapshot's own words.
SELECT
    column_name,
    data_type,
    is_nullable,
    comment AS description
FROM duckdb_columns()
WHERE NOT internal AND schema_name || '.' || table_name = $table
ORDER BY column_index
