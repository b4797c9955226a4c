-- Grain: one row per store that a snapshot names.
-- Why:   a store goes only when no snapshot that is kept and no centre names it any more.
SELECT path
FROM core.volume
