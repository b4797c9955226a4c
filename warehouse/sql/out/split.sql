-- Grain: one row per participant of a centre.
-- Why:   all images of a human being fall into one split, over sessions and centres. The draw is a hash of person_id
--        (MD5, so that it is the same in every version of the database): 80 % train, 10 % val, 10 % test_internal.
--        External centres are wholly test_external; whoever is seen in one is excluded everywhere else, so that
--        zero-shot testing meets no brain that training has seen.
WITH seen_externally AS (
    SELECT DISTINCT participant.person_id
    FROM core.participant AS participant
    INNER JOIN core.center AS center ON participant.center_id = center.center_id
    WHERE center.role = 'external'
),

drawn AS (
    SELECT
        participant.center_id,
        participant.participant_id,
        participant.person_id,
        center.role,
        participant.person_id IN (SELECT seen_externally.person_id FROM seen_externally) AS is_seen_externally,
        ('0x' || left(md5('split of ' || participant.person_id), 8))::UBIGINT % 100 AS percentile
    FROM core.participant AS participant
    INNER JOIN core.center AS center ON participant.center_id = center.center_id
)

SELECT
    center_id,
    participant_id,
    person_id,
    CASE
        WHEN role = 'external' THEN 'test_external'
        WHEN is_seen_externally THEN 'excluded'
        WHEN percentile < 80 THEN 'train'
        WHEN percentile < 90 THEN 'val'
        ELSE 'test_internal'
    END AS split
FROM drawn
