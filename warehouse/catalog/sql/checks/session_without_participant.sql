-- Grain: one row per visit whose participant is not in core.participant.
-- Why:   sex, age and split come from the participant.
SELECT
    visit.session_id,
    visit.center_id,
    visit.participant_id
FROM core.session AS visit
ANTI JOIN core.participant AS participant
    ON visit.center_id = participant.center_id AND visit.participant_id = participant.participant_id
