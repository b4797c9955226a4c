-- Question: who was scanned on more than one scanner, and where?
-- Grain: one row per person.
-- Why:   scans of one brain on several scanners show the effect of the scanner. The same people could leak from
--        training into a test set.
SELECT
    person_id,
    count(DISTINCT center_id) AS n_centers,
    list_sort(list(DISTINCT center_id)) AS centers,
    list_sort(list(DISTINCT concat_ws(' ', manufacturer, manufacturers_model_name, nominal_field_strength_t)))
        AS scanners,
    list_sort(list(DISTINCT split)) AS splits,
    count(*) AS n_images
FROM out.image_catalog
WHERE eligibility = 'eligible'
GROUP BY person_id
HAVING count(DISTINCT center_id) > 1 OR len(scanners) > 1
ORDER BY n_centers DESC, n_images DESC, person_id ASC
