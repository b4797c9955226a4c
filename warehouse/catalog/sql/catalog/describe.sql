-- Grain: one row per column of the table named by $table.
-- Why:   returns names, types, units and descriptions, as the comments of the snapshot contain them.
SELECT
    column_name,
    data_type,
    is_nullable,
    comment AS description
FROM duckdb_columns()
WHERE NOT internal AND schema_name || '.' || table_name = $table
ORDER BY column_index
