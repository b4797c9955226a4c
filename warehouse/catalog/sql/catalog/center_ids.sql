-- Grain: one row per centre of the catalogue.
-- Why:   a training on the people of some centres refuses one that is misspelt.
SELECT center_id
FROM core.center
ORDER BY center_id
