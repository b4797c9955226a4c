-- Question: how many protocols does each centre have per contrast, and which images deviate from the usual one?
-- Grain: one row per centre, contrast and set of parameters; variant 1 is the most common.
-- Why:   groups scans by their acquisition parameters and not by their names, as CuBIDS does (Covitz et al. 2022).
--        Times are rounded to a hundredth of a millisecond before they are compared.
WITH protocol AS (
    SELECT
        center_id,
        contrast_label,
        round(1000 * repetition_time_s, 2) AS repetition_time_ms,
        round(1000 * echo_time_s, 2) AS echo_time_ms,
        round(1000 * inversion_time_s, 2) AS inversion_time_ms,
        flip_angle_deg,
        count(*) AS n_images,
        min(path) AS example_path
    FROM out.image_catalog
    WHERE eligibility = 'eligible'
    GROUP BY ALL
)

SELECT
    center_id,
    contrast_label,
    row_number() OVER (PARTITION BY center_id, contrast_label ORDER BY n_images DESC, example_path ASC) AS variant,
    repetition_time_ms,
    echo_time_ms,
    inversion_time_ms,
    flip_angle_deg,
    n_images,
    example_path
FROM protocol
ORDER BY center_id, contrast_label, variant
