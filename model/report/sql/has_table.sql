-- Grain: one row where the catalogue has a table, none where it has not.
-- Why:   a catalogue that an older release published lacks tables that came later.
SELECT table_name
FROM information_schema.tables
WHERE concat_ws('.', table_schema, table_name) = $name
