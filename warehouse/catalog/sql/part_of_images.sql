-- Grain: one row per row of the parts named by $files whose image is in the catalogue.
-- Why:   when a file is removed from its centre, its volumes remain until the centre is harmonised again; the catalogue
--        leaves them out.
SELECT * -- noqa: AM04
FROM read_parquet($files, hive_partitioning = FALSE)
WHERE image_id IN (SELECT image.image_id FROM core.image AS image)
