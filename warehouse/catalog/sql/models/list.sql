-- Grain: one row per model, the newest first.
-- Why:   shows what is needed to decide on a promotion: what the model is, its training data, and its gates. $champions
--        are the models in force. Rows of older versions have `passed` but no verdict.
WITH in_force AS (
    SELECT unnest($champions::VARCHAR[]) AS model_id
),

verdict AS (
    SELECT
        model_id,
        gate,
        arg_max(
            coalesce(verdict, if(passed, 'passed', 'failed')), (occurred_at, event_id)
        ) AS verdict
    FROM core.gate_verdict
    GROUP BY ALL
),

judged AS (
    SELECT
        model_id,
        count(*) FILTER (WHERE verdict = 'passed') AS n_gates_passed,
        list(gate ORDER BY gate) FILTER (WHERE verdict = 'failed') AS gates_failed,
        list(gate ORDER BY gate) FILTER (WHERE verdict = 'not_enough_data') AS gates_without_data
    FROM verdict
    GROUP BY model_id
),

said AS (
    SELECT
        model_id,
        arg_max(action, (occurred_at, event_id)) FILTER (WHERE alias = 'champion') AS as_champion,
        arg_max(action, (occurred_at, event_id)) FILTER (WHERE alias = 'candidate') AS as_candidate
    FROM core.model_event
    GROUP BY model_id
)

SELECT
    version.model_id,
    version.kind,
    version.model_id IN (SELECT in_force.model_id FROM in_force) AS is_champion,
    CASE
        WHEN version.model_id IN (SELECT in_force.model_id FROM in_force) THEN 'champion'
        WHEN said.as_champion = 'assign' THEN 'former champion'
        WHEN said.as_champion = 'remove' THEN 'rolled back'
        WHEN said.as_candidate = 'reject' THEN 'rejected'
        WHEN said.as_candidate = 'assign' THEN 'candidate'
        ELSE 'not evaluated'
    END AS status,
    judged.n_gates_passed,
    judged.gates_failed,
    judged.gates_without_data,
    version.occurred_at AS recorded_at,
    version.data_id,
    version.text_encoder_id,
    version.n_parameters,
    version.size_bytes,
    version.is_simulated,
    version.path
FROM core.model_version AS version
LEFT JOIN judged ON version.model_id = judged.model_id
LEFT JOIN said ON version.model_id = said.model_id
ORDER BY version.occurred_at DESC, version.model_id ASC
