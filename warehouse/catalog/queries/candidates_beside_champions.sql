-- Question: how does each candidate compare with the champion of its time on the same pairs?
-- Grain: one row per comparison, split, population and task.
-- Why:   the figures behind not_worse_than_champion, from file to file in the brain: both models have rows of the same
--        protocol and data in core.evaluation_score, each under its own name. Pairs are averaged in each person first.
WITH comparison AS (
    SELECT DISTINCT
        model_id,
        against_id,
        data_id,
        protocol_hash,
        gate
    FROM core.gate_verdict
    WHERE against_id IS NOT NULL
),

score AS (
    SELECT DISTINCT ON (evaluation_id, model_id, task, source_image_ids, target_image_id)
        model_id,
        data_id,
        protocol_hash,
        split,
        task,
        source_image_ids,
        target_image_id,
        value
    FROM core.evaluation_score
    WHERE form = 'native' AND mask = 'brain' AND metric = 'psnr_db' AND model_id NOT LIKE 'baseline:%'
),

person AS (
    SELECT
        comparison.model_id,
        comparison.against_id,
        comparison.gate,
        comparison.protocol_hash,
        own.split,
        center.is_simulated,
        own.task,
        participant.person_id,
        count(*) AS n_pairs,
        avg(own.value) AS own_db,
        avg(other.value) AS other_db
    FROM comparison
    INNER JOIN score AS own
        ON
            comparison.model_id = own.model_id
            AND comparison.data_id = own.data_id
            AND comparison.protocol_hash = own.protocol_hash
    INNER JOIN score AS other
        ON
            comparison.against_id = other.model_id
            AND own.data_id = other.data_id
            AND own.protocol_hash = other.protocol_hash
            AND own.task = other.task
            AND own.source_image_ids = other.source_image_ids
            AND own.target_image_id = other.target_image_id
    INNER JOIN core.image AS image ON own.target_image_id = image.image_id
    INNER JOIN core.participant AS participant
        ON
            image.center_id = participant.center_id
            AND image.participant_id = participant.participant_id
    INNER JOIN core.center AS center ON image.center_id = center.center_id
    GROUP BY ALL
)

SELECT
    model_id,
    against_id,
    gate,
    protocol_hash,
    split,
    is_simulated,
    task,
    count(*) AS n_people,
    sum(n_pairs)::BIGINT AS n_pairs,
    avg(own_db) AS psnr_db,
    avg(other_db) AS against_psnr_db,
    avg(own_db - other_db) AS gain_db
FROM person
GROUP BY ALL
ORDER BY ALL
