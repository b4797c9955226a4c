-- Grain: one row per eligible image with at least one possible source: another eligible image of its visit. Both files
--        are present.
-- Why:   a model may get several scans of a visit. Their sets are not listed, because a visit of n images has
--        n · (2^(n − 1) − 1) of them: a row lists the candidates, and a training draws from it. Rule of the draw, for a
--        model of at most N sources: first the target, so that contrasts are balanced; then the number of sources,
--        uniformly from 1 to min(N, candidates); then which ones, uniformly and without replacement. The target is no
--        candidate of its own. Copies of the target under another name are found by their harmonised voxels only:
--        `catalog/harmonized_pairs.sql` leaves them out. With N = 1, this draws rows of out.training_pair.
SELECT
    target_image_id,
    center_id,
    session_id,
    person_id,
    split,
    target_contrast,
    list(source_image_id ORDER BY source_contrast, source_image_id) AS source_image_ids,
    list(source_contrast ORDER BY source_contrast, source_image_id) AS source_contrasts
FROM out.training_pair
WHERE is_available
GROUP BY ALL
