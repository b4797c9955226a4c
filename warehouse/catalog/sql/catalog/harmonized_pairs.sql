-- Grain: one row per ordered pair of images of one visit, of the wanted splits, both harmonised by a recipe.
-- Why:   a network needs both volumes of a pair, on one grid. A scan that harmonisation flagged, e.g. as badly aligned,
--        is in no pair, for training or testing. Two scans with identical voxels but different names and headers are
--        not paired.
WITH made AS (
    SELECT DISTINCT
        image_id,
        voxels_sha256
    FROM core.volume
    WHERE form = 'session' AND recipe_id = $identity AND verdict <> 'flag'
),

wanted AS (
    SELECT unnest($splits::VARCHAR[]) AS split
)

SELECT
    pair.source_image_id,
    pair.target_image_id
FROM out.training_pair AS pair
INNER JOIN made AS source_volume ON pair.source_image_id = source_volume.image_id
INNER JOIN made AS target_volume
    ON pair.target_image_id = target_volume.image_id AND source_volume.voxels_sha256 <> target_volume.voxels_sha256
WHERE pair.split IN (SELECT wanted.split FROM wanted)
ORDER BY pair.source_image_id, pair.target_image_id
