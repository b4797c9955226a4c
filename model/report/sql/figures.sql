-- Grain: one row per model or baseline, split, task, measure and mask; "all tasks" is a task as well.
-- Why:   the figures of a report, made here alone, for a written page to be held against: a mean over people of each
--        person's mean over pairs.
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
),

person AS (
    SELECT
        score.model_id,
        score.split,
        coalesce(score.task, 'all tasks') AS task,
        score.metric,
        score.mask,
        image.person_id,
        count(*) AS n_pairs,
        avg(score.value) AS value
    FROM score
    INNER JOIN out.image_catalog AS image ON score.target_image_id = image.image_id
    GROUP BY GROUPING SETS (
        (score.model_id, score.split, score.task, score.metric, score.mask, image.person_id),
        (score.model_id, score.split, score.metric, score.mask, image.person_id)
    )
)

SELECT
    model_id,
    split,
    task,
    metric,
    mask,
    count(*) AS n_people,
    sum(n_pairs)::BIGINT AS n_pairs,
    avg(value) AS mean
FROM person
GROUP BY model_id, split, task, metric, mask
ORDER BY model_id, split, task, metric, mask
