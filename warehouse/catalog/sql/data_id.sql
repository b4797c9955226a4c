-- Grain: one row, one text of 16 hexadecimal digits.
-- Why:   identifies the data that a training depends on: every eligible image with its metadata, its split, and the
--        sources of its volumes (file, recipe and code). Voxels do not enter, because the last bits of a registration
--        depend on the number of threads; each store is verified by its own hash. Modification times, the location of a
--        dataset, rejections and ineligible images do not enter either.
WITH made AS (
    SELECT
        image_id,
        list(
            concat_ws(':', recipe_id, form, source_sha256, coalesce(steps_hash, voxels_sha256), verdict)
            ORDER BY recipe_id, form
        ) AS volumes
    FROM core.volume
    GROUP BY image_id
),

described AS (
    SELECT
        catalogue.image_id,
        md5(
            to_json({
                'image': catalogue.image_id,
                'visit': catalogue.session_id,
                'person': catalogue.person_id,
                'split': catalogue.split,
                'is_simulated': catalogue.is_simulated,
                'prompt': prompt.prompt,
                'record': prompt.record,
                'age_low_years': catalogue.age_low_years,
                'age_high_years': catalogue.age_high_years,
                'shape': image.shape,
                'affine': image.affine,
                'dtype': image.dtype,
                'content': image.content,
                'size_bytes': image.size_bytes,
                'content_hash': image.content_hash,
                'volumes': made.volumes
            })::VARCHAR
        ) AS digest
    FROM out.image_catalog AS catalogue
    INNER JOIN out.prompt AS prompt ON catalogue.image_id = prompt.image_id
    INNER JOIN core.image AS image ON catalogue.image_id = image.image_id
    LEFT JOIN made ON catalogue.image_id = made.image_id
)

SELECT left(sha256(coalesce(string_agg(digest, ',' ORDER BY image_id), '')), 16) AS data_id
FROM described
