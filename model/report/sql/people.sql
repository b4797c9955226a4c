-- Grain: one row per model or baseline, split, task, measure, mask and person.
-- Why:   people are the units of every mean and interval: two visits of one person are not two people.
WITH score AS (
    SELECT
        model_id,
        split,
        task,
        metric,
        mask,
        target_image_id,
        value
    FROM core.evaluation_score
    WHERE evaluation_id = $evaluation_id
)

SELECT
    score.model_id,
    score.split,
    score.task,
    score.metric,
    score.mask,
    image.person_id,
    count(*) AS n_pairs,
    avg(score.value) AS value
FROM score
INNER JOIN out.image_catalog AS image ON score.target_image_id = image.image_id
GROUP BY score.model_id, score.split, score.task, score.metric, score.mask, image.person_id
ORDER BY score.model_id, score.split, score.task, score.metric, score.mask, image.person_id
