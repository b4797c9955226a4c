-- Grain: at most one row, the training run of a kind that finished last.
-- Why:   a schedule asks whether the data differ from what was trained on.
SELECT
    run_id,
    data_id,
    occurred_at
FROM core.training_run
WHERE kind = $kind AND status = 'finished'
ORDER BY occurred_at DESC, event_id DESC
LIMIT 1
