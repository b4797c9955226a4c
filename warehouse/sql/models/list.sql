-- Grain: one row per model, the newest first.
-- Why:   what a person asks before promoting one: what it is, what it was trained on, and what it failed at.
--        `has_alias` is aliases.sql.
WITH verdict AS (
    SELECT
        model_id,
        gate,
        arg_max(passed, (occurred_at, event_id)) AS passed
    FROM core.gate_verdict
    GROUP BY ALL
),

judged AS (
    SELECT
        model_id,
        count(*) FILTER (WHERE passed) AS n_gates_passed,
        list(gate ORDER BY gate) FILTER (WHERE NOT passed) AS gates_failed
    FROM verdict
    GROUP BY model_id
)

SELECT
    version.model_id,
    version.kind,
    coalesce(champion.is_in_force, FALSE) AS is_champion,
    judged.n_gates_passed,
    judged.gates_failed,
    version.occurred_at AS recorded_at,
    version.data_id,
    version.text_encoder_id,
    version.n_parameters,
    version.size_bytes,
    version.is_simulated,
    version.path
FROM core.model_version AS version
LEFT JOIN judged ON version.model_id = judged.model_id
LEFT JOIN has_alias AS champion ON version.model_id = champion.model_id AND champion.alias = 'champion'
ORDER BY version.occurred_at DESC, version.model_id ASC
