-- Grain: one row per model, data, protocol, gate, opponent and threshold: the last verdict.
-- Why:   verdicts are only appended, and what was said last counts. Opponents and thresholds stay apart, since a
--        comparison with the same champion by the same margin is not repeated. Rows of older versions have `passed` but
--        no verdict.
SELECT * REPLACE (coalesce(verdict, if(passed, 'passed', 'failed')) AS verdict) -- noqa: AM04
FROM core.gate_verdict
WHERE $model_id::VARCHAR IS NULL OR model_id = $model_id::VARCHAR
QUALIFY
    row_number() OVER (
        PARTITION BY model_id, data_id, protocol_hash, gate, against_id, threshold
        ORDER BY occurred_at DESC, event_id DESC
    ) = 1
ORDER BY occurred_at ASC, event_id ASC
