-- Question: which model is in force for each kind, grid and recipe, since when and why?
-- Grain: one row per kind, grid and recipe with a champion.
-- Why:   of the models that were made champion and not rolled back, the one assigned last is in force; the one before
--        it is what `tumsyn models rollback` puts back.
WITH last_said AS (
    SELECT
        model_id,
        kind,
        arg_max(action, (occurred_at, event_id)) AS action,
        arg_max(reason, (occurred_at, event_id)) AS reason,
        arg_max(coalesce(decided_by, 'unknown'), (occurred_at, event_id)) AS decided_by,
        max(grid_mm) AS grid_mm,
        max(recipe_id) AS recipe_id,
        max(occurred_at) AS since
    FROM core.model_event
    WHERE alias = 'champion'
    GROUP BY ALL
),

version AS (
    SELECT
        model_id,
        max(grid_mm) AS grid_mm,
        max(recipe_id) AS recipe_id,
        max(data_id) AS data_id
    FROM core.model_version
    GROUP BY model_id
),

standing AS (
    SELECT
        last_said.model_id,
        last_said.kind,
        last_said.since,
        last_said.decided_by,
        last_said.reason,
        version.data_id,
        coalesce(last_said.grid_mm, version.grid_mm) AS grid_mm,  -- older records lack it
        coalesce(last_said.recipe_id, version.recipe_id) AS recipe_id
    FROM last_said
    LEFT JOIN version ON last_said.model_id = version.model_id
    WHERE last_said.action = 'assign'
)

SELECT
    kind,
    grid_mm,
    recipe_id,
    model_id,
    since,
    decided_by,
    reason,
    data_id,
    lead(model_id) OVER in_order AS predecessor_id
FROM standing
WINDOW in_order AS (PARTITION BY kind, grid_mm, recipe_id ORDER BY since DESC, model_id DESC)
QUALIFY row_number() OVER in_order = 1
ORDER BY kind ASC, grid_mm ASC, recipe_id ASC
