-- Grain: one row per model and gate: the last verdict on the evaluated model by its protocol and data,
--        and on its text encoder.
-- Why:   whether a model may be used, and by how much.
WITH last_verdict AS (
    SELECT
        model_id,
        protocol_hash,
        gate,
        arg_max(coalesce(verdict, if(passed, 'passed', 'failed')), occurred_at) AS verdict,
        arg_max(value, occurred_at) AS value,
        arg_max(threshold, occurred_at) AS threshold,
        arg_max(detail, occurred_at) AS detail
    FROM core.gate_verdict
    WHERE
        (model_id = $model_id AND protocol_hash = $protocol_hash AND data_id = $data_id)
        OR model_id = $text_encoder_id
    GROUP BY model_id, protocol_hash, gate
)

SELECT
    model_id,
    gate,
    verdict,
    value,
    threshold,
    detail
FROM last_verdict
ORDER BY model_id = $model_id DESC, gate
