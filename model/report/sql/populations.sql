-- Grain: one row per population, real or simulated: people, target images and centres that were tested.
-- Why:   figures of simulated people say nothing about patients, so that a page must say first who was tested.
WITH tested AS (
    SELECT DISTINCT target_image_id AS image_id
    FROM core.evaluation_score
    WHERE evaluation_id = $evaluation_id
)

SELECT
    if(image.is_simulated, 'simulated', 'real') AS population,
    count(DISTINCT image.person_id) AS n_people,
    count(*) AS n_targets,
    list_sort(list(DISTINCT image.center_title)) AS centers
FROM out.image_catalog AS image
INNER JOIN tested ON image.image_id = tested.image_id
GROUP BY ALL
ORDER BY population
