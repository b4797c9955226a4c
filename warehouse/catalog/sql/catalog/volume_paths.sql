-- Grain: one row per store that a snapshot names.
-- Why:   a store is deleted only when neither a kept snapshot nor a centre names it.
SELECT path
FROM core.volume
