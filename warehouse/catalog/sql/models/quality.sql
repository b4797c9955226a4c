-- Grain: one row per protocol, split, form, task, and model or baseline of the same evaluation.
-- Why:   whoever gets weights reads beside them how good they are, and what the same pairs give without them.
--        Pairs are averaged in each person first, since people are the units.
WITH evaluation AS (
    SELECT DISTINCT evaluation_id
    FROM core.evaluation_score
    WHERE model_id = $model_id
),

pair AS (
    SELECT DISTINCT
        score.protocol_hash,
        score.split,
        score.form,
        score.task,
        score.model_id,
        score.metric,
        score.source_image_ids,
        score.target_image_id,
        score.value,
        participant.person_id
    FROM core.evaluation_score AS score
    INNER JOIN core.image AS image ON score.target_image_id = image.image_id
    INNER JOIN core.participant AS participant
        ON
            image.center_id = participant.center_id
            AND image.participant_id = participant.participant_id
    INNER JOIN evaluation ON score.evaluation_id = evaluation.evaluation_id
    WHERE score.mask = 'brain' AND score.metric IN ('psnr_db', 'ssim')
),

person AS (
    SELECT
        protocol_hash,
        split,
        form,
        task,
        model_id,
        metric,
        person_id,
        avg(value) AS value
    FROM pair
    GROUP BY ALL
)

SELECT
    protocol_hash,
    split,
    form,
    task,
    model_id,
    count(DISTINCT person_id) AS n_people,
    avg(value) FILTER (WHERE metric = 'psnr_db') AS psnr_db,
    avg(value) FILTER (WHERE metric = 'ssim') AS ssim
FROM person
WHERE model_id = $model_id OR model_id LIKE 'baseline:%'
GROUP BY ALL
ORDER BY protocol_hash, split, form, task, model_id
