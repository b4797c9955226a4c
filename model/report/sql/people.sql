-- Grain: one row per form, population, split, model or baseline, task, measure, mask and person.
-- Why:   people are the units of every mean and interval: two visits of one person are not two people. What the model
--        gains on a baseline, and how far model and rescan lie above the fitted map, is taken pair by pair, so that
--        both are always of the same pairs. A rescan is the ceiling of every task that ends in its contrast: it stands
--        beside all pairs of that person.
WITH score AS (
    SELECT
        coalesce(form, 'session') AS form,
        split,
        model_id AS maker,
        task,
        metric,
        mask,
        source_image_ids,
        target_image_id,
        value
    FROM core.evaluation_score
    WHERE evaluation_id = $evaluation_id
),

scored AS (
    SELECT
        score.*,
        if(image.is_simulated, 'simulated', 'real') AS population,
        image.person_id,
        image.contrast_label
    FROM score
    INNER JOIN out.image_catalog AS image ON score.target_image_id = image.image_id
),

pair AS (
    SELECT
        form,
        population,
        split,
        task,
        metric,
        mask,
        person_id,
        contrast_label,
        source_image_ids,
        target_image_id,
        max(value) FILTER (WHERE NOT starts_with(maker, 'baseline:')) AS model_value,
        max(value) FILTER (WHERE maker = 'baseline:intensity_map_oracle') AS map_value
    FROM scored
    WHERE maker != 'baseline:rescan'
    GROUP BY ALL
),

rescan AS (
    SELECT
        form,
        metric,
        mask,
        person_id,
        contrast_label,
        avg(value) AS value
    FROM scored
    WHERE maker = 'baseline:rescan'
    GROUP BY ALL
),

beside AS (
    SELECT
        pair.*,
        scored.maker,
        scored.value
    FROM pair
    INNER JOIN scored
        ON
            pair.form = scored.form
            AND pair.split = scored.split
            AND pair.task = scored.task
            AND pair.metric = scored.metric
            AND pair.mask = scored.mask
            AND pair.source_image_ids = scored.source_image_ids
            AND pair.target_image_id = scored.target_image_id
    WHERE scored.maker != 'baseline:rescan'
    UNION ALL
    SELECT
        pair.*,
        'baseline:rescan' AS maker,
        rescan.value
    FROM pair
    INNER JOIN rescan
        ON
            pair.form = rescan.form
            AND pair.metric = rescan.metric
            AND pair.mask = rescan.mask
            AND pair.person_id = rescan.person_id
            AND pair.contrast_label = rescan.contrast_label
)

SELECT
    form,
    population,
    split,
    maker,
    task,
    metric,
    mask,
    person_id,
    count(*) AS n_pairs,
    avg(value) AS value,
    avg(model_value - value) AS gain,
    avg(value - map_value) FILTER (WHERE model_value IS NOT NULL) AS above_map,
    avg(model_value - map_value) AS model_above_map
FROM beside
GROUP BY ALL
ORDER BY ALL
