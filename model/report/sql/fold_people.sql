-- Grain: one row per evaluation of a fold, form, task and person; "all tasks" is a task as well.
-- Why:   people are the units: a person's pairs are averaged first. The baselines, and what the model gains on the
--        fitted map, are of the pairs that the model has, so that all figures of a row are of the same pairs.
WITH evaluation AS (
    SELECT unnest($evaluation_ids::VARCHAR[]) AS evaluation_id
),

score AS (
    SELECT
        evaluation_id,
        coalesce(form, 'session') AS form,
        task,
        source_image_ids,
        target_image_id,
        metric,
        value,
        if(starts_with(model_id, 'baseline:'), model_id, 'model') AS maker
    FROM core.evaluation_score
    WHERE
        evaluation_id IN (SELECT evaluation.evaluation_id FROM evaluation)
        AND split = 'cross_validation'
        AND mask = 'brain'
        AND metric IN ('psnr_db', 'ssim')
),

pair AS (
    SELECT
        evaluation_id,
        form,
        task,
        source_image_ids,
        target_image_id,
        max(value) FILTER (WHERE metric = 'psnr_db' AND maker = 'model') AS psnr_db,
        max(value) FILTER (WHERE metric = 'psnr_db' AND maker = 'baseline:intensity_map_oracle') AS fitted_map_db,
        max(value) FILTER (WHERE metric = 'psnr_db' AND maker = 'baseline:intensity_map_train') AS pooled_map_db,
        max(value) FILTER (WHERE metric = 'psnr_db' AND maker = 'baseline:identity') AS source_db,
        max(value) FILTER (WHERE metric = 'ssim' AND maker = 'model') AS ssim,
        max(value) FILTER (WHERE metric = 'ssim' AND maker = 'baseline:intensity_map_oracle') AS fitted_map_ssim,
        max(value) FILTER (WHERE metric = 'ssim' AND maker = 'baseline:intensity_map_train') AS pooled_map_ssim,
        max(value) FILTER (WHERE metric = 'ssim' AND maker = 'baseline:identity') AS source_ssim
    FROM score
    GROUP BY ALL
),

own AS (
    SELECT
        pair.*,
        image.person_id,
        image.is_simulated
    FROM pair
    INNER JOIN out.image_catalog AS image ON pair.target_image_id = image.image_id
    WHERE pair.psnr_db IS NOT NULL
)

SELECT
    evaluation_id,
    form,
    coalesce(task, 'all tasks') AS task,
    person_id,
    any_value(is_simulated) AS is_simulated,
    count(*) AS n_pairs,
    avg(psnr_db) AS psnr_db,
    avg(fitted_map_db) AS fitted_map_db,
    avg(pooled_map_db) AS pooled_map_db,
    avg(source_db) AS source_db,
    avg(psnr_db - fitted_map_db) AS gain_db,
    avg(ssim) AS ssim,
    avg(fitted_map_ssim) AS fitted_map_ssim,
    avg(pooled_map_ssim) AS pooled_map_ssim,
    avg(source_ssim) AS source_ssim,
    avg(ssim - fitted_map_ssim) AS gain_ssim
FROM own
GROUP BY
    GROUPING SETS (
        (evaluation_id, form, task, person_id),
        (evaluation_id, form, person_id)
    )
ORDER BY form, person_id
