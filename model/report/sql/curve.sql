-- Grain: one row per step, split and measure of a training run.
-- Why:   a loss that has not come to rest says that the figures are of an unfinished model.
SELECT
    step,
    split,
    metric,
    arg_max(value, occurred_at) AS value
FROM core.training_metric
WHERE run_id = $run_id
GROUP BY step, split, metric
ORDER BY metric, split, step
