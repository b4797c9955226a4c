-- Question: which scans have slices at least twice as thick as their pixels are wide?
-- Grain: one row per centre, contrast and voxel size.
-- Why:   these are typical clinical scans; they must be interpolated to an isotropic grid, on which metrics overrate
--        them.
SELECT
    center_id,
    contrast_label,
    list_transform(voxel_size_mm, LAMBDA size: round(size, 2)) AS size_mm,
    count(*) AS n_images,
    min(path) AS example_path
FROM out.image_catalog
WHERE eligibility = 'eligible' AND list_max(voxel_size_mm) >= 2 * list_min(voxel_size_mm)
GROUP BY center_id, contrast_label, size_mm
ORDER BY n_images DESC, center_id ASC, contrast_label ASC, size_mm ASC
