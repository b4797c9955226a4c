-- Grain: one row per model and gate: the last verdict on the evaluated model by its protocol and data,
--        and on its text encoder.
-- Why:   whether a model may be used, and by how much. Rows of older versions have no verdict beside `passed`.
SELECT
    model_id,
    gate,
    coalesce(verdict, if(passed, 'passed', 'failed')) AS verdict,
    value,
    threshold,
    detail
FROM core.gate_verdict
WHERE
    (model_id = $model_id AND protocol_hash = $protocol_hash AND data_id = $data_id)
    OR model_id = $text_encoder_id
QUALIFY row_number() OVER (PARTITION BY model_id, gate ORDER BY occurred_at DESC, event_id ASC) = 1
ORDER BY model_id = $model_id DESC, gate ASC
