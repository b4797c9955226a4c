-- Grain: one row per task and population: its median pair by brain PSNR on the harmonised grid, of the first split that
--        has the task: people of a fold, internal test people, external centres, the acceptance set, validation people,
--        training people.
-- Why:   a gallery of the best would flatter, one of the worst would alarm: half of all pairs are better than what is
--        shown, half are worse. Real and simulated people are never ranked together.
WITH score AS (
    SELECT *
    FROM core.evaluation_score
    WHERE
        evaluation_id = $evaluation_id
        AND model_id = $model_id
        AND coalesce(form, 'session') = 'session'
        AND mask = 'brain'
        AND metric IN ('psnr_db', 'ssim')
),

pair AS (
    SELECT
        score.task,
        score.split,
        score.source_image_ids,
        score.target_image_id,
        image.is_simulated,
        image.center_id,
        image.center_title,
        max(score.value) FILTER (WHERE score.metric = 'psnr_db') AS psnr_db,
        max(score.value) FILTER (WHERE score.metric = 'ssim') AS ssim
    FROM score
    INNER JOIN out.image_catalog AS image ON score.target_image_id = image.image_id
    GROUP BY ALL
),

placed AS (
    SELECT
        *,
        list_position(
            ['cross_validation', 'test_internal', 'test_external', 'acceptance', 'val', 'train'], split
        ) AS split_rank
    FROM pair
),

preferred AS (
    SELECT *
    FROM placed
    QUALIFY split_rank = min(split_rank) OVER (PARTITION BY task, is_simulated)
),

ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY task, is_simulated
            ORDER BY psnr_db, source_image_ids, target_image_id
        ) AS place,
        count(*) OVER (PARTITION BY task, is_simulated) AS n_pairs
    FROM preferred
)

SELECT
    ranked.task,
    ranked.split,
    ranked.source_image_ids,
    ranked.target_image_id,
    ranked.psnr_db,
    ranked.ssim,
    ranked.n_pairs,
    ranked.center_id,
    ranked.center_title,
    ranked.is_simulated,
    if(ranked.is_simulated, 'simulated', 'real') AS population,
    prompt.prompt
FROM ranked
INNER JOIN out.prompt AS prompt ON ranked.target_image_id = prompt.image_id
WHERE ranked.place = (ranked.n_pairs + 1) // 2
ORDER BY ranked.is_simulated ASC, ranked.task ASC
