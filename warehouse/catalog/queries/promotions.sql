-- Question: which models were promoted, rejected or rolled back, by whom and why?
-- Grain: one row per decision, the newest first.
-- Why:   the whole history of champions; gain_db and its lower bound are those of the comparison with the champion
--        that was in force (of text encoders a share of images), null where there was none.
WITH compared AS (
    SELECT
        model_id,
        against_id,
        arg_max(mean, (occurred_at, event_id)) AS mean,
        arg_max(value, (occurred_at, event_id)) AS lower_bound,
        arg_max(n_people, (occurred_at, event_id)) AS n_people
    FROM core.gate_verdict
    WHERE against_id IS NOT NULL
    GROUP BY ALL
)

SELECT
    event.occurred_at,
    event.kind,
    event.grid_mm,
    event.recipe_id,
    event.model_id,
    CASE event.action
        WHEN 'assign' THEN 'promoted'
        WHEN 'remove' THEN 'rolled back'
        ELSE 'rejected'
    END AS decision,
    event.decided_by,
    event.against_id,
    compared.mean AS gain,
    compared.lower_bound AS gain_lower_bound,
    compared.n_people,
    event.evaluation_id,
    event.reason
FROM core.model_event AS event
LEFT JOIN compared ON event.model_id = compared.model_id AND event.against_id = compared.against_id
WHERE event.alias = 'champion' OR event.action = 'reject'
ORDER BY event.occurred_at DESC, event.event_id ASC
