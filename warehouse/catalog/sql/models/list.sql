-- Grain: one row per model, the newest first.
-- Why:   shows what is needed to decide on a promotion: what the model is, and its training data; its gates are added
--        by the caller. $champions are the models in force. A model of a fold of cross-validation is no candidate.
WITH in_force AS (
    SELECT unnest($champions::VARCHAR[]) AS model_id
),

fold AS (
    SELECT DISTINCT run_id
    FROM core.training_run
    WHERE (config ->> 'held_out_fold') IS NOT NULL
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
        WHEN version.run_id IN (SELECT fold.run_id FROM fold) THEN 'cross-validation'
        WHEN said.as_candidate = 'reject' THEN 'rejected'
        WHEN said.as_candidate = 'assign' THEN 'candidate'
        ELSE 'not evaluated'
    END AS status,
    version.occurred_at AS recorded_at,
    version.data_id,
    version.text_encoder_id,
    version.n_parameters,
    version.size_bytes,
    version.is_simulated,
    version.path
FROM core.model_version AS version
LEFT JOIN said ON version.model_id = said.model_id
ORDER BY version.occurred_at DESC, version.model_id ASC
