-- Grain: one row per participant of a centre.
-- Why:   all images of a person belong to one split, over sessions and centres. The split is drawn by a hash of
--        person_id (MD5, so that it is the same in every version of the database): 80 % train, 10 % val, 10 %
--        test_internal. Nothing else enters, so that adding people moves nobody. A split that the definition of one of
--        the person's centres fixes takes precedence. All participants of external centres are test_external; people
--        who were also scanned in an external centre are excluded from all others, so that nobody in a zero-shot test
--        was trained on.
WITH people AS (
    SELECT
        participant.person_id,
        bool_or(center.role = 'external') AS is_seen_externally,
        min(participant.fixed_split) AS fixed_split  -- a check rejects two different ones
    FROM core.participant AS participant
    INNER JOIN core.center AS center ON participant.center_id = center.center_id
    GROUP BY participant.person_id
),

drawn AS (
    SELECT
        participant.center_id,
        participant.participant_id,
        participant.person_id,
        center.role,
        people.is_seen_externally,
        people.fixed_split,
        ('0x' || left(md5('split of ' || participant.person_id), 8))::UBIGINT % 100 AS percentile
    FROM core.participant AS participant
    INNER JOIN core.center AS center ON participant.center_id = center.center_id
    INNER JOIN people ON participant.person_id = people.person_id
)

SELECT
    center_id,
    participant_id,
    person_id,
    CASE
        WHEN role = 'external' THEN 'test_external'
        WHEN is_seen_externally THEN 'excluded'
        WHEN fixed_split IS NOT NULL THEN fixed_split
        WHEN percentile < 80 THEN 'train'
        WHEN percentile < 90 THEN 'val'
        ELSE 'test_internal'
    END AS split
FROM drawn
