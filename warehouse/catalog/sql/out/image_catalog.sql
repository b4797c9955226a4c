-- Grain: one row per image.
-- Why:   joins all metadata of an image. The age is that of the visit or null: a later visit never gets the age of the
--        first. A range of ages is never converted to one age.
SELECT
    image.image_id,
    image.center_id,
    center.title AS center_title,
    center.role,
    center.is_simulated,
    image.participant_id,
    participant.person_id,
    image.session_id,
    image.path,
    image.contrast,
    image.is_post_contrast,
    out.contrast_label(image.contrast, image.is_post_contrast) AS contrast_label,
    image.suffix,
    image.eligibility,
    image.eligibility_reason,
    split.split,
    participant.sex,
    visit.age_years,
    visit.age_low_years,
    visit.age_high_years,
    visit.age_provenance,
    acquisition.manufacturer,
    acquisition.manufacturers_model_name,
    acquisition.magnetic_field_strength_t,
    out.nominal_field_strength(acquisition.magnetic_field_strength_t) AS nominal_field_strength_t,
    acquisition.repetition_time_s,
    acquisition.echo_time_s,
    acquisition.inversion_time_s,
    acquisition.flip_angle_deg,
    acquisition.is_flip_angle_variable,
    image.shape,
    image.voxel_size_mm,
    coalesce(image.is_resampled, FALSE) AS is_resampled,
    image.axcodes,
    image.content,
    image.size_bytes
FROM core.image AS image
INNER JOIN core.center AS center ON image.center_id = center.center_id
INNER JOIN core.acquisition AS acquisition ON image.image_id = acquisition.image_id
INNER JOIN core.session AS visit ON image.session_id = visit.session_id
INNER JOIN core.participant AS participant
    ON image.center_id = participant.center_id AND image.participant_id = participant.participant_id
INNER JOIN out.split AS split
    ON image.center_id = split.center_id AND image.participant_id = split.participant_id
