-- Grain: one row per participant whose centre is not in core.center.
-- Why:   the centre's role decides the split.
SELECT
    participant.center_id,
    participant.participant_id
FROM core.participant AS participant
ANTI JOIN core.center AS center ON participant.center_id = center.center_id
