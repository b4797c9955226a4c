-- Question: which scans have slices at least twice as thick as their pixels are wide, by voxels or by detail?
-- Grain: one row per centre, contrast, voxel size and effective resolution.
-- Why:   these are typical clinical scans; they must be interpolated to an isotropic grid, on which metrics overrate
--        them. Publishers often interpolated them already, so that the voxels do not show it: the effective resolution
--        (along right, anterior and superior, mm) does, where a recipe measured it; null where none did.
WITH measured AS (
    SELECT
        image_id,
        recipe_id,
        max(value) FILTER (WHERE measure = 'resolution_lr_mm') AS left_right_mm,
        max(value) FILTER (WHERE measure = 'resolution_pa_mm') AS posterior_anterior_mm,
        max(value) FILTER (WHERE measure = 'resolution_is_mm') AS inferior_superior_mm
    FROM core.quality
    WHERE measure LIKE 'resolution_%' AND value IS NOT NULL
    GROUP BY image_id, recipe_id
),

-- A draft, whose masks are coarse, is used where no other recipe measured the scan.
resolution AS (
    SELECT
        measured.image_id,
        first(
            [measured.left_right_mm, measured.posterior_anterior_mm, measured.inferior_superior_mm]
            ORDER BY volume.is_draft, measured.recipe_id
        ) AS size_mm
    FROM measured
    INNER JOIN core.volume AS volume
        ON measured.image_id = volume.image_id AND measured.recipe_id = volume.recipe_id AND volume.form = 'native'
    GROUP BY measured.image_id
),

thick AS (
    SELECT
        image.center_id,
        image.contrast_label,
        image.path,
        image.voxel_size_mm,
        resolution.size_mm AS measured_mm
    FROM out.image_catalog AS image
    LEFT JOIN resolution ON image.image_id = resolution.image_id
    WHERE
        image.eligibility = 'eligible'
        AND (
            list_max(image.voxel_size_mm) >= 2 * list_min(image.voxel_size_mm)
            OR list_max(resolution.size_mm) >= 2 * list_min(resolution.size_mm)
        )
)

SELECT
    center_id,
    contrast_label,
    list_transform(voxel_size_mm, LAMBDA size: round(size, 2)) AS size_mm,
    list_transform(measured_mm, LAMBDA size: round(size, 0)) AS resolution_mm,
    count(*) AS n_images,
    min(path) AS example_path
FROM thick
GROUP BY center_id, contrast_label, size_mm, resolution_mm
ORDER BY n_images DESC, center_id ASC, contrast_label ASC, size_mm ASC, resolution_mm ASC
