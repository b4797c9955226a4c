-- Grain: one row per fold of a cross-validation whose model was trained and evaluated by a protocol.
-- Why:   a mean over people is of one recipe: models of other folds belong to a given one if their configuration, data,
--        code and text encoder are the same. A training whose model was kept is finished, also where its last event
--        is absent; verdicts are written last, and mark a complete evaluation.
WITH run AS (
    SELECT
        run_id,
        any_value(data_id) AS data_id,
        any_value(training_code) AS training_code,
        any_value((config ->> 'held_out_fold')::INTEGER) AS fold,
        any_value(
            json_merge_patch(
                config, '{"held_out_fold": null, "name": null, "n_workers": null, "examples_every": null}'
            )::VARCHAR
        ) AS recipe
    FROM core.training_run
    WHERE kind = 'synthesis'
    GROUP BY run_id
),

trained AS (
    SELECT
        version.model_id,
        version.text_encoder_id,
        version.occurred_at,
        run.data_id,
        run.training_code,
        run.fold,
        run.recipe
    FROM core.model_version AS version
    INNER JOIN run ON version.run_id = run.run_id
    WHERE run.fold IS NOT NULL
),

given AS (
    SELECT DISTINCT
        text_encoder_id,
        data_id,
        training_code,
        recipe
    FROM trained
    WHERE model_id = $model_id
),

evaluated AS (
    SELECT DISTINCT
        model_id,
        data_id
    FROM core.gate_verdict
    WHERE protocol_hash = $protocol_hash
)

SELECT
    trained.fold,
    arg_max(trained.model_id, trained.occurred_at) AS model_id,
    any_value(trained.data_id) AS data_id
FROM trained
INNER JOIN given
    ON
        trained.text_encoder_id = given.text_encoder_id
        AND trained.data_id = given.data_id
        AND trained.training_code = given.training_code
        AND trained.recipe = given.recipe
INNER JOIN evaluated ON trained.model_id = evaluated.model_id AND trained.data_id = evaluated.data_id
GROUP BY trained.fold
ORDER BY trained.fold
