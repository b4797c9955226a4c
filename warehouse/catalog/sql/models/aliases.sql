-- Grain: one row per model and alias that it has.
-- Why:   statements are only ever appended, so of each model and alias the last one counts. Of several champions for
--        one grid and recipe the one assigned last is in force; where it is removed, the one before is again.
WITH last_said AS (
    SELECT
        model_id,
        kind,
        alias,
        arg_max(action, (occurred_at, event_id)) AS action,
        arg_max(reason, (occurred_at, event_id)) AS reason,
        max(occurred_at) AS since
    FROM core.model_event
    GROUP BY ALL
)

SELECT
    model_id,
    kind,
    alias,
    since,
    reason
FROM last_said
WHERE action = 'assign'
