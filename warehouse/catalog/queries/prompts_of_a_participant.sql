-- Question: how do the prompts of one participant read, image by image?
-- Grain: one row per eligible image of the participant with the most contrasts (the first of them by name).
-- Why:   the quickest look at what a model is told; replace the inner query by a participant of yours.
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
