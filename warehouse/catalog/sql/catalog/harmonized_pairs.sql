-- Grain: one row per ordered pair of images of one visit, of the wanted splits, both harmonised by a recipe.
-- Why:   a network can be shown a pair only where both volumes exist, on one grid. A scan that harmonisation flagged,
--        e.g. as hardly aligned, is in no pair: neither trained on nor tested. Nor is a scan paired with one of the
--        same voxels under another name and header.
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
