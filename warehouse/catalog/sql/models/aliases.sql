-- Grain: one row per model and alias that it has.
-- Why:   events are only appended, so the last one of each model and alias counts. Of several champions for one grid
--        and recipe, the one assigned last is in force; if it is removed, the previous one is in force again.
WITH last_said AS (
    SELECT
        model_id,
        kind,
        alias,
        arg_max(action, (occurred_at, event_id)) AS action,
        arg_max(reason, (occurred_at, event_id)) AS reason,
        arg_max(coalesce(decided_by, ''), (occurred_at, event_id)) AS decided_by,
        arg_max(event_id, (occurred_at, event_id)) AS event_id,
        max(occurred_at) AS since
    FROM core.model_event
    GROUP BY ALL
)

SELECT
    model_id,
    kind,
    alias,
    since,
    reason,
    event_id,
    nullif(decided_by, '') AS decided_by  -- arg_max passes over nulls, which older rows have
FROM last_said
WHERE action = 'assign'
