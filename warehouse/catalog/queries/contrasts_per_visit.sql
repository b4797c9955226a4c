-- Question: which combinations of contrasts do visits have, and how many visits have three or more?
-- Grain: one row per combination of contrasts.
-- Why:   a visit with three contrasts allows synthesis of the third from the other two.
WITH visit AS (
    SELECT
        session_id,
        center_id,
        list_sort(list(DISTINCT contrast_label)) AS contrasts
    FROM out.image_catalog
    WHERE eligibility = 'eligible'
    GROUP BY session_id, center_id
)

SELECT
    contrasts,
    len(contrasts) >= 3 AS has_three_or_more,
    count(*) AS n_visits,
    count(DISTINCT center_id) AS n_centers
FROM visit
GROUP BY contrasts
ORDER BY len(contrasts) DESC, n_visits DESC, contrasts ASC
