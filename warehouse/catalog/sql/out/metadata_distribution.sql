-- Grain: one row per facet and value.
-- Why:   the data of Figure 1a of the paper. Where only a range of ages is published, its midpoint decides the decade
--        if the range is no wider than ten years; otherwise the age is unknown.
WITH eligible AS (
    SELECT
        image.person_id,
        image.center_id,
        image.contrast_label,
        coalesce(image.sex, 'unknown') AS sex,
        coalesce(center.country, 'unknown') AS country,
        coalesce(image.manufacturer, 'unknown') AS vendor,
        coalesce(image.nominal_field_strength_t::VARCHAR, 'unknown') AS field_strength,
        image.split,
        10 * floor(
            CASE
                WHEN image.age_years IS NOT NULL THEN image.age_years
                WHEN image.age_high_years - image.age_low_years <= 10
                    THEN (image.age_low_years + image.age_high_years) / 2
            END / 10
        )::INTEGER AS decade
    FROM out.image_catalog AS image
    INNER JOIN core.center AS center ON image.center_id = center.center_id
    WHERE image.eligibility = 'eligible'
),

labelled AS (
    SELECT
        * EXCLUDE (decade),
        coalesce('[' || decade || ', ' || (decade + 10) || ')', 'unknown') AS age
    FROM eligible
),

counted AS (
    SELECT
        CASE
            WHEN grouping(center_id) = 0 THEN 'center'
            WHEN grouping(contrast_label) = 0 THEN 'contrast'
            WHEN grouping(age) = 0 THEN 'age'
            WHEN grouping(sex) = 0 THEN 'sex'
            WHEN grouping(country) = 0 THEN 'country'
            WHEN grouping(vendor) = 0 THEN 'vendor'
            WHEN grouping(field_strength) = 0 THEN 'field_strength'
            ELSE 'split'
        END AS facet,
        coalesce(center_id, contrast_label, age, sex, country, vendor, field_strength, split) AS value,
        count(*) AS n_images,
        count(DISTINCT person_id) AS n_persons
    FROM labelled
    GROUP BY GROUPING SETS (
        (center_id), (contrast_label), (age), (sex), (country), (vendor), (field_strength), (split)
    )
)

SELECT
    facet,
    value,
    n_images,
    n_persons
FROM counted
