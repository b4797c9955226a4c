-- Grain: one row per row of the parts named by $files whose image is in the catalogue.
-- Why:   volumes outlive a file that was taken out of its centre until the centre is harmonised again; the catalogue
--        does not show them.
SELECT * -- noqa: AM04
FROM read_parquet($files, hive_partitioning = FALSE)
WHERE image_id IN (SELECT image.image_id FROM core.image AS image)
