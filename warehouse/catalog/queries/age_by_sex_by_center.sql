-- Question: how old are the people of each centre, by sex?
-- Grain: one row per centre and sex.
-- Why:   age and sex differ between centres, so a model tested at another centre is tested on another population. The
--        age of a person is the lowest one known; people of whom only a range is published are counted separately.
WITH person AS (
    SELECT
        center_id,
        person_id,
        any_value(sex) AS sex,
        min(age_years) AS age_years,
        bool_or(age_low_years IS NOT NULL) AS has_range
    FROM out.image_catalog
    WHERE eligibility = 'eligible'
    GROUP BY center_id, person_id
)

SELECT
    center_id,
    sex,
    count(*) AS n_persons,
    round(min(age_years), 1) AS youngest_years,
    round(median(age_years), 1) AS median_years,
    round(max(age_years), 1) AS oldest_years,
    count(*) FILTER (WHERE age_years IS NULL AND has_range) AS n_range_only,
    count(*) FILTER (WHERE age_years IS NULL AND NOT has_range) AS n_unknown
FROM person
GROUP BY center_id, sex
ORDER BY center_id, sex
