-- Grain: at most one row, what was said last of a training run.
-- Why:   a run that was killed said that it started, and nothing after.
SELECT
    status,
    detail
FROM core.training_run
WHERE run_id = $run_id
ORDER BY occurred_at DESC, event_id DESC
LIMIT 1
