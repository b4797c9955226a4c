-- Grain: one row per task: its median pair by brain PSNR, of the first split that has the task: internal test people,
--        the acceptance set, external centres, validation people.
-- Why:   a gallery of the best would flatter, one of the worst would alarm: half of all pairs are better than what is
--        shown, half are worse.
WITH pair AS (
    SELECT
        task,
        split,
        source_image_ids[1] AS source_image_id,
        target_image_id,
        max(value) FILTER (WHERE metric = 'psnr_db') AS psnr_db,
        max(value) FILTER (WHERE metric = 'ssim') AS ssim
    FROM core.evaluation_score
    WHERE evaluation_id = $evaluation_id AND model_id = $model_id AND mask = 'brain' AND metric IN ('psnr_db', 'ssim')
    GROUP BY task, split, source_image_ids, target_image_id
),

placed AS (
    SELECT
        *,
        list_position(['test_internal', 'acceptance', 'test_external', 'val'], split) AS split_rank
    FROM pair
),

preferred AS (
    SELECT *
    FROM placed
    QUALIFY split_rank = min(split_rank) OVER (PARTITION BY task)
),

ranked AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY task ORDER BY psnr_db, source_image_id, target_image_id) AS place,
        count(*) OVER (PARTITION BY task) AS n_pairs
    FROM preferred
)

SELECT
    ranked.task,
    ranked.split,
    ranked.source_image_id,
    ranked.target_image_id,
    ranked.psnr_db,
    ranked.ssim,
    ranked.n_pairs,
    image.center_id,
    image.center_title,
    image.is_simulated,
    prompt.prompt
FROM ranked
INNER JOIN out.image_catalog AS image ON ranked.target_image_id = image.image_id
INNER JOIN out.prompt AS prompt ON ranked.target_image_id = prompt.image_id
WHERE ranked.place = (ranked.n_pairs + 1) // 2
ORDER BY ranked.task
