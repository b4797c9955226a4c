-- Grain: one row per image, recipe and measure that is an outlier among images of its centre and contrast.
-- Why:   scans are compared within a centre and contrast, because measures differ between scanners and between T1w and
--        FLAIR. Median and MAD × 1.4826 are used instead of mean and standard deviation, which outliers would distort;
--        the threshold |z| > 3.5 is from Iglewicz and Hoaglin. Groups of fewer than five images, or with a MAD of 0,
--        are left out.
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
