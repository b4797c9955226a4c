-- Grain: one row: the evaluation, the model that it measured, and how that was trained.
-- Why:   a figure without its model, data, protocol and code cannot be checked. Where the model is not on record, what
--        would be known of it is null. Without baselines it is none: a champion beside which a candidate was measured
--        has figures of some pairs alone.
WITH scored AS (
    SELECT
        any_value(model_id) FILTER (WHERE NOT starts_with(model_id, 'baseline:')) AS model_id,
        any_value(data_id) AS data_id,
        any_value(protocol_hash) AS protocol_hash,
        min(occurred_at) AS evaluated_at,
        count(DISTINCT target_image_id) AS n_targets
    FROM core.evaluation_score
    WHERE evaluation_id = $evaluation_id
    HAVING count_if(starts_with(model_id, 'baseline:')) > 0
),

shown AS (
    SELECT target_image_id AS image_id
    FROM core.evaluation_score
    WHERE evaluation_id = $evaluation_id
    UNION
    SELECT unnest(source_image_ids) AS image_id
    FROM core.evaluation_score
    WHERE evaluation_id = $evaluation_id
),

seen AS (
    SELECT
        count(*) AS n_images,
        count_if(image.is_simulated) AS n_simulated,
        count(DISTINCT image.person_id) AS n_people,
        list_sort(list(DISTINCT image.center_id)) AS centers
    FROM out.image_catalog AS image
    INNER JOIN shown ON image.image_id = shown.image_id
),

version AS (
    SELECT
        model_id,
        any_value(kind) AS kind,
        arg_max(run_id, occurred_at) AS run_id,
        arg_max(data_id, occurred_at) AS training_data_id,
        arg_max(text_encoder_id, occurred_at) AS text_encoder_id,
        arg_max(n_parameters, occurred_at) AS n_parameters,
        arg_max(size_bytes, occurred_at) AS size_bytes
    FROM core.model_version
    GROUP BY model_id
),

run AS (
    SELECT
        run_id,
        arg_max(config, occurred_at) AS config,
        arg_max(training_code, occurred_at) AS training_code,
        arg_max(seed, occurred_at) AS seed,
        arg_max(device, occurred_at) AS device,
        max(n_steps) AS n_steps,
        sum(seconds) AS seconds
    FROM core.training_run
    GROUP BY run_id
),

published AS (
    SELECT
        snapshot_id,
        created_at,
        release AS catalogue_release
    FROM meta.snapshot
)

SELECT
    scored.model_id,
    scored.data_id,
    scored.protocol_hash,
    scored.evaluated_at,
    scored.n_targets,
    seen.n_images,
    seen.n_simulated,
    seen.n_people,
    seen.centers,
    version.run_id,
    version.training_data_id,
    version.text_encoder_id,
    version.n_parameters,
    version.size_bytes,
    run.config,
    run.training_code,
    run.seed,
    run.device,
    run.n_steps,
    run.seconds,
    published.snapshot_id,
    published.created_at,
    published.catalogue_release
FROM scored
CROSS JOIN seen
CROSS JOIN published
LEFT JOIN version ON scored.model_id = version.model_id
LEFT JOIN run ON version.run_id = run.run_id
