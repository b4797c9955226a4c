-- Grain: one row: this snapshot.
-- Why:   the list of snapshots consists of this row of each.
SELECT
    snapshot_id,
    parent_id,
    data_id,
    created_at,
    release,
    run_id
FROM meta.snapshot
