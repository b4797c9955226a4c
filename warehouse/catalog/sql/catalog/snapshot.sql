-- Grain: one row: this snapshot.
-- Why:   the list of snapshots is made of what each says of itself.
SELECT
    snapshot_id,
    parent_id,
    data_id,
    created_at,
    release,
    run_id
FROM meta.snapshot
