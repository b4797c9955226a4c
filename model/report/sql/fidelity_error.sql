-- Grain: one row per model or baseline, sweep, swept field and tissue.
-- Why:   ratios are in units of the white-matter signal, and so is their error: a relative error explodes where a ratio
--        is near zero. People are the units. Rank correlation is Spearman's within a person, ties at their mean rank;
--        it is null where what was made does not change at all.
WITH run AS (
    SELECT max_by(struct_pack(data_id := data_id, protocol_hash := protocol_hash), occurred_at) AS last
    FROM core.fidelity_score
    WHERE model_id = $model_id
),

said AS (
    SELECT score.*
    FROM core.fidelity_score AS score
    INNER JOIN run ON score.data_id = run.last.data_id AND score.protocol_hash = run.last.protocol_hash
),

point AS (
    SELECT
        model_id AS maker,
        sweep,
        field,
        tissue,
        person,
        field_value,
        any_value(true_ratio) AS true_ratio,
        any_value(made_ratio) AS made_ratio
    FROM said
    WHERE model_id = $model_id OR starts_with(model_id, 'baseline:')
    GROUP BY ALL
),

placed AS (
    SELECT
        *,
        rank() OVER (PARTITION BY maker, sweep, field, tissue, person ORDER BY true_ratio)
        + (count(*) OVER (PARTITION BY maker, sweep, field, tissue, person, true_ratio) - 1) / 2 AS true_rank,
        rank() OVER (PARTITION BY maker, sweep, field, tissue, person ORDER BY made_ratio)
        + (count(*) OVER (PARTITION BY maker, sweep, field, tissue, person, made_ratio) - 1) / 2 AS made_rank
    FROM point
),

person AS (
    SELECT
        maker,
        sweep,
        field,
        tissue,
        person,
        avg(abs(made_ratio - true_ratio)) AS error,
        if(
            count(DISTINCT made_rank) > 1 AND count(DISTINCT true_rank) > 1, corr(true_rank, made_rank), NULL
        ) AS rank_correlation
    FROM placed
    GROUP BY maker, sweep, field, tissue, person
)

SELECT
    maker,
    sweep,
    field,
    tissue,
    count(*) AS n_people,
    avg(error) AS error,
    max(error) AS worst_error,
    avg(rank_correlation) AS rank_correlation
FROM person
GROUP BY maker, sweep, field, tissue
ORDER BY sweep, field, tissue, maker
