-- Question: which models were promoted, rejected or rolled back, by whom and why, and which was champion before?
-- Grain: one row per decision, the newest first.
-- Why:   the whole history of champions. The champion before and after a decision is of the same kind, grid and recipe:
--        of the models that were assigned and not rolled back by then, the one assigned last. gain and its lower bound
--        are those of the last comparison with the champion before, dB (of text encoders a share of images); null where
--        there was none.
WITH version AS (
    SELECT
        model_id,
        max(grid_mm) AS grid_mm,
        max(recipe_id) AS recipe_id
    FROM core.model_version
    GROUP BY model_id
),

decision AS (
    SELECT
        event.event_id,
        event.occurred_at,
        event.kind,
        coalesce(event.grid_mm, version.grid_mm) AS grid_mm,  -- older records lack it
        coalesce(event.recipe_id, version.recipe_id) AS recipe_id,
        event.model_id,
        event.alias,
        event.action,
        event.decided_by,
        event.evaluation_id,
        event.reason,
        concat_ws(
            '/', event.kind, coalesce(event.grid_mm, version.grid_mm), coalesce(event.recipe_id, version.recipe_id)
        ) AS served
    FROM core.model_event AS event
    LEFT JOIN version ON event.model_id = version.model_id
    WHERE event.alias = 'champion' OR event.action = 'reject'
),

change AS (
    SELECT
        served,
        occurred_at,
        model_id,
        action
    FROM decision
    WHERE alias = 'champion'
),

led AS (
    SELECT DISTINCT
        served,
        model_id
    FROM change
),

moment AS (
    SELECT
        change.served,
        change.occurred_at,
        led.model_id
    FROM change
    INNER JOIN led ON change.served = led.served
),

-- What was said last of each model that ever led, at each change.
said AS (
    SELECT
        moment.served,
        moment.occurred_at,
        moment.model_id,
        last_change.action,
        last_change.occurred_at AS since
    FROM moment
    ASOF INNER JOIN change AS last_change
        ON
            moment.served = last_change.served
            AND moment.model_id = last_change.model_id
            AND moment.occurred_at >= last_change.occurred_at
),

in_force AS (
    SELECT
        served,
        occurred_at,
        arg_max(model_id, (since, model_id)) FILTER (WHERE action = 'assign') AS model_id
    FROM said
    GROUP BY served, occurred_at
),

placed AS (
    SELECT
        decision.*,
        before.model_id AS champion_before,
        after.model_id AS champion_after
    FROM decision
    ASOF LEFT JOIN in_force AS before
        ON decision.served = before.served AND decision.occurred_at > before.occurred_at
    ASOF LEFT JOIN in_force AS after
        ON decision.served = after.served AND decision.occurred_at >= after.occurred_at
),

compared AS (
    SELECT
        model_id,
        against_id,
        occurred_at,
        mean,
        value,
        n_people
    FROM core.gate_verdict
    WHERE against_id IS NOT NULL
)

SELECT
    placed.occurred_at,
    placed.kind,
    placed.grid_mm,
    placed.recipe_id,
    placed.model_id,
    CASE placed.action
        WHEN 'assign' THEN 'promoted'
        WHEN 'remove' THEN 'rolled back'
        ELSE 'rejected'
    END AS decision,
    placed.decided_by,
    placed.champion_before,
    placed.champion_after,
    compared.mean AS gain,
    compared.value AS gain_lower_bound,
    compared.n_people,
    placed.evaluation_id,
    placed.reason
FROM placed
ASOF LEFT JOIN compared
    ON
        placed.model_id = compared.model_id
        AND placed.champion_before = compared.against_id
        AND placed.occurred_at >= compared.occurred_at
ORDER BY placed.occurred_at DESC, placed.event_id ASC
