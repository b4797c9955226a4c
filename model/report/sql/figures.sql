-- Grain: one row per form, population, split, model or baseline, task, measure and mask; "all tasks" is a task as well.
-- Why:   the figures of a report, made here alone, for a written page to be held against: a mean over people of each
--        person's mean over pairs, and the same of what the model gains on a baseline, pair by pair.
--        Rescans stand beside the pairs of other tasks, and are not counted again here.
WITH said AS (
    SELECT
        coalesce(form, 'session') AS form,
        split,
        model_id AS maker,
        task,
        metric,
        mask,
        target_image_id,
        value,
        max(value) FILTER (WHERE NOT starts_with(model_id, 'baseline:')) OVER pair AS model_value
    FROM core.evaluation_score
    WHERE evaluation_id = $evaluation_id AND model_id != 'baseline:rescan'
    WINDOW
        pair AS (
            PARTITION BY coalesce(form, 'session'), split, task, metric, mask, source_image_ids, target_image_id
        )
),

person AS (
    SELECT
        said.form,
        if(image.is_simulated, 'simulated', 'real') AS population,
        said.split,
        said.maker,
        coalesce(said.task, 'all tasks') AS task,
        said.metric,
        said.mask,
        image.person_id,
        count(*) AS n_pairs,
        avg(said.value) AS value,
        avg(said.model_value - said.value) AS gain
    FROM said
    INNER JOIN out.image_catalog AS image ON said.target_image_id = image.image_id
    GROUP BY GROUPING SETS (
        (said.form, image.is_simulated, said.split, said.maker, said.task, said.metric, said.mask, image.person_id),
        (said.form, image.is_simulated, said.split, said.maker, said.metric, said.mask, image.person_id)
    )
)

SELECT
    form,
    population,
    split,
    maker,
    task,
    metric,
    mask,
    count(*) AS n_people,
    sum(n_pairs)::BIGINT AS n_pairs,
    avg(value) AS mean,
    avg(gain) AS gain
FROM person
GROUP BY ALL
ORDER BY ALL
