-- Grain: one row per model or baseline, sweep, tissue and value of the swept field.
-- Why:   the curves of contrast against a field of the prompt: means over the digital people. Each has T1 and T2 of
--        their own, so that the truth is a mean as well.
WITH run AS (
    SELECT max_by(struct_pack(data_id := data_id, protocol_hash := protocol_hash), occurred_at) AS last
    FROM core.fidelity_score
    WHERE model_id = $model_id
),

said AS (
    SELECT score.*
    FROM core.fidelity_score AS score
    INNER JOIN run ON score.data_id = run.last.data_id AND score.protocol_hash = run.last.protocol_hash
)

SELECT
    model_id AS maker,
    sweep,
    field,
    tissue,
    field_value,
    count(DISTINCT person) AS n_people,
    avg(true_ratio) AS true_ratio,
    avg(made_ratio) AS made_ratio
FROM said
WHERE model_id = $model_id OR starts_with(model_id, 'baseline:')
GROUP BY ALL
ORDER BY ALL
