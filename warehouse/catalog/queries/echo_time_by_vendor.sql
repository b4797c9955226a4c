-- Question: how is the echo time distributed for each contrast and vendor?
-- Grain: one row per contrast and vendor.
-- Why:   shows the range of echo times that a model is trained on, and outliers.
SELECT
    contrast_label,
    manufacturer,
    count(*) AS n_images,
    round(1000 * min(echo_time_s), 2) AS shortest_ms,
    round(1000 * median(echo_time_s), 2) AS median_ms,
    round(1000 * max(echo_time_s), 2) AS longest_ms
FROM out.image_catalog
WHERE eligibility = 'eligible' AND echo_time_s IS NOT NULL
GROUP BY contrast_label, manufacturer
ORDER BY contrast_label ASC, n_images DESC, manufacturer ASC
