-- Grain: one row per image whose visit is not in core.session, or belongs to another participant.
-- Why:   pairs are made within visits.
SELECT
    image.image_id,
    image.center_id,
    image.path,
    image.session_id
FROM core.image AS image
ANTI JOIN core.session AS visit
    ON
        image.session_id = visit.session_id
        AND image.center_id = visit.center_id
        AND image.participant_id = visit.participant_id
