-- Grain: macros, stored in every snapshot, so that readers can use them too.
-- Why:   these macros are the only SQL that writes prompts. `warehouse.prompts.record.render` does the same in Python;
--        a test compares the two. Numbers are rounded as by C's printf and Python's format: to the nearest decimal of
--        the exact binary value, ties to even (2.25 becomes 2.2; 2.35, stored as 2.35000000000000008…, becomes 2.4).
--        A missing value is written None.

-- Nominal field strength of a scanner: the nearest common value within 5 %, else the published value, rounded to one
-- decimal from 1 T upwards. Input and output in tesla.
CREATE OR REPLACE MACRO out.nominal_field_strength(tesla) AS
CASE
    WHEN tesla IS NULL THEN NULL
    ELSE coalesce(
        list_min(
            list_filter(
                [0.064, 0.2, 0.3, 0.35, 0.5, 0.55, 1.0, 1.2, 1.5, 3.0, 4.0, 4.7, 7.0, 9.4, 10.5, 11.7, 14.1]::double[],
                LAMBDA nominal: abs(tesla - nominal) <= 0.05 * nominal
            )
        ),
        CASE WHEN tesla >= 1 THEN round(tesla, 1) ELSE tesla END
    )
END;

-- Exactly one decimal: 2500.0, 8.0.
CREATE OR REPLACE MACRO out.one_decimal(number) AS
coalesce(printf('%.1f', number), 'None');

-- At most one decimal: 12, 34.1.
CREATE OR REPLACE MACRO out.age_text(years) AS
coalesce(regexp_replace(printf('%.1f', years), '\.0$', ''), 'None');

-- One or two decimals, as Python prints floats: 1.0, 0.8, 0.94.
CREATE OR REPLACE MACRO out.float_text(number) AS
coalesce(regexp_replace(printf('%.2f', number), '0$', ''), 'None');

-- Contrast with the prefix ce after a contrast agent.
CREATE OR REPLACE MACRO out.contrast_label(contrast, is_post_contrast) AS
CASE WHEN is_post_contrast THEN 'ce' || contrast ELSE contrast END;

-- The paper's sentence for a record (warehouse.prompts.record.PromptRecord); two spaces precede the last parenthesis.
CREATE OR REPLACE MACRO out.render_prompt(record) AS
concat(
    'Age: ', out.age_text(record['age_years']),
    '; Gender: ', coalesce(record['sex'], 'None'),
    '; Scanner: ', out.float_text(record['field_strength_t']),
    ' ', coalesce(record['vendor'], 'None'),
    '; Modality: ', coalesce(out.contrast_label(record['contrast'], record['post_contrast']), 'None'),
    '; Voxel size: (', out.float_text(record['voxel_size_mm'][1]),
    ', ', out.float_text(record['voxel_size_mm'][2]),
    ', ', out.float_text(record['voxel_size_mm'][3]),
    '); Imaging parameter TR(ms), TE(ms), TI(ms), and FA(degree):  (',
    out.one_decimal(1000 * record['repetition_time_s']),
    ', ', out.one_decimal(1000 * record['echo_time_s']),
    ', ', out.one_decimal(1000 * record['inversion_time_s']),
    ', ', CASE WHEN record['flip_angle_variable'] THEN 'T2var' ELSE out.one_decimal(record['flip_angle_deg']) END,
    ')'
);
