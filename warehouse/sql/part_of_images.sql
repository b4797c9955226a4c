-- Grain: one row per row of the parts named by $files whose image is in the catalogue.
-- Why:   volumes outlive a file that was taken out of its centre until the centre is harmonised again; the catalogue
--        does not show them.
SELECT part.* -- noqa: AM04
FROM read_parquet($files, hive_partitioning = FALSE) AS part
SEMI JOIN core.image AS image ON part.image_id = image.image_id
