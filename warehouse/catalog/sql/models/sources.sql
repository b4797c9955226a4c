-- Grain: one row per centre of which people were learned from.
-- Why:   whoever passes weights on says whose data they are made of, as licences ask for. $people are hashes, as
--        checkpoints keep them.
WITH learned AS (
    SELECT unnest($people::VARCHAR[]) AS person_sha256
)

SELECT
    center.center_id,
    center.title,
    center.license,
    center.citation,
    center.is_simulated,
    count(DISTINCT participant.person_id) AS n_people
FROM core.participant AS participant
INNER JOIN learned ON sha256(participant.person_id) = learned.person_sha256
INNER JOIN core.center AS center ON participant.center_id = center.center_id
GROUP BY ALL
ORDER BY center.is_simulated, center.center_id
