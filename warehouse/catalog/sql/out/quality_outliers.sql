-- Grain: one row per image, recipe and measure that lies far from its like.
-- Why:   a scan is judged among scans of its own centre and contrast: scanners differ, and so do the measures of T1w
--        and FLAIR. Median and MAD × 1.4826 stand for mean and deviation, so that the outliers do not hide themselves;
--        |z| > 3.5 is Iglewicz and Hoaglin's. Fewer than five images, or values that are mostly alike, tell nothing.
WITH measured AS (
    SELECT
        image_id,
        recipe_id,
        measure,
        value
    FROM core.quality
    WHERE value IS NOT NULL
    UNION ALL
    SELECT
        image_id,
        recipe_id,
        'mask_volume_ml' AS measure,
        mask_volume_ml AS value
    FROM core.volume
    WHERE form = 'native'
    UNION ALL
    SELECT
        image_id,
        recipe_id,
        'similarity_' || kind AS measure,
        similarity_after AS value
    FROM core.transform
    WHERE similarity_after IS NOT NULL
),

compared AS (
    SELECT
        measured.image_id,
        measured.recipe_id,
        catalog_image.center_id,
        catalog_image.contrast_label,
        measured.measure,
        measured.value,
        count(*) OVER alike AS n_images,
        median(measured.value) OVER alike AS median_value,
        1.4826 * mad(measured.value) OVER alike AS spread
    FROM measured
    INNER JOIN out.image_catalog AS catalog_image ON measured.image_id = catalog_image.image_id
    WHERE catalog_image.contrast_label IS NOT NULL
    WINDOW alike AS (
        PARTITION BY catalog_image.center_id, catalog_image.contrast_label, measured.recipe_id, measured.measure
    )
)

SELECT
    image_id,
    recipe_id,
    center_id,
    contrast_label,
    measure,
    value,
    median_value,
    spread,
    (value - median_value) / spread AS robust_z,
    n_images
FROM compared
WHERE n_images >= 5 AND spread > 0 AND abs(value - median_value) > 3.5 * spread
