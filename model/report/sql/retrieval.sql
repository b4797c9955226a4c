-- Grain: one row per task, split, number of candidates and measure, of one text encoder: the last that was recorded.
-- Why:   whether images and prompts meet in one space; chance stands beside every figure.
SELECT
    task,
    split,
    n_candidates,
    metric,
    arg_max(n_queries, occurred_at) AS n_queries,
    arg_max(value, occurred_at) AS value,
    arg_max(low, occurred_at) AS low,
    arg_max(high, occurred_at) AS high,
    arg_max(chance, occurred_at) AS chance
FROM core.retrieval_score
WHERE model_id = $text_encoder_id
GROUP BY task, split, n_candidates, metric
ORDER BY task ASC, n_candidates ASC, metric ASC, split DESC
