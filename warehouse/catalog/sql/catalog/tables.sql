-- Grain: one row per table of the catalogue.
-- Why:   lists the tables, with their comments from the snapshot.
SELECT
    schema_name || '.' || table_name AS table_name,
    estimated_size::BIGINT AS n_rows,
    column_count::INTEGER AS n_columns,
    comment AS grain
FROM duckdb_tables()
WHERE NOT internal AND NOT temporary
ORDER BY list_position(['out', 'core', 'raw', 'meta'], schema_name), table_name
