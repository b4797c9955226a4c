-- Question: what are the prompts of one participant, image by image?
-- Grain: one row per eligible image of the participant with the most contrasts (the first of them by name).
-- Why:   shows what the prompts of a model contain; replace the inner query to choose another participant.
WITH chosen AS (
    SELECT
        center_id,
        participant_id
    FROM out.image_catalog
    WHERE eligibility = 'eligible'
    GROUP BY center_id, participant_id
    ORDER BY count(DISTINCT contrast_label) DESC, center_id, participant_id ASC
    LIMIT 1
)

SELECT
    image.center_id,
    image.participant_id,
    image.path,
    prompt.prompt
FROM chosen
INNER JOIN
    out.image_catalog AS image
    ON chosen.center_id = image.center_id AND chosen.participant_id = image.participant_id
INNER JOIN out.prompt AS prompt ON image.image_id = prompt.image_id
ORDER BY image.path
