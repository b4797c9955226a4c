-- Question: how do the splits compare in people, images, age and sex?
-- Grain: one row per split.
-- Why:   a test set with another distribution of age or sex tests another population.
SELECT
    split,
    count(DISTINCT person_id) AS n_persons,
    count(*) AS n_images,
    count(DISTINCT center_id) AS n_centers,
    round(avg(age_years), 1) AS mean_age_years,
    round(count(*) FILTER (WHERE sex = 'F') / nullif(count(sex), 0), 2) AS share_female
FROM out.image_catalog
WHERE eligibility = 'eligible'
GROUP BY split
ORDER BY list_position(['train', 'val', 'test_internal', 'test_external', 'acceptance', 'excluded'], split)
