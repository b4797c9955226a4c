"""The ready-to-use tables, on a handful of rows written by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import pytest

Rows = Callable[[str], list[tuple[Any, ...]]]


@pytest.mark.slow
def test_every_image_is_in_the_catalogue_with_its_centre_person_and_parameters(rows: Rows) -> None:
    query = """
        SELECT center_title, role, person_id, contrast_label, nominal_field_strength_t, echo_time_s, voxel_size_mm
        FROM out.image_catalog WHERE center_id = 'alpha' AND participant_id = '01' ORDER BY contrast
    """
    assert rows(query) == [
        ("Alpha", "internal", "alpha/01", "T1w", 3.0, 0.0022, [0.8, 0.8, 0.8]),
        ("Alpha", "internal", "alpha/01", "T2w", 3.0, 0.563, [0.8, 0.8, 0.8]),
    ]
    assert rows("SELECT count(*), count_if(eligibility = 'eligible') FROM out.image_catalog") == [(13, 12)]


@pytest.mark.slow
def test_an_age_is_of_its_visit_or_null(rows: Rows) -> None:
    query = """
        SELECT session_id, age_years, age_low_years, age_high_years
        FROM out.image_catalog WHERE center_id = 'beta' AND participant_id = '01' ORDER BY session_id
    """
    assert rows(query) == [
        ("beta/sub-01/ses-1", None, 20.0, 25.0),
        ("beta/sub-01/ses-2", 27.5, None, None),
    ]


def test_a_range_of_ages_is_never_turned_into_an_age_in_a_prompt(rows: Rows) -> None:
    query = (
        "SELECT prompt FROM out.prompt JOIN out.image_catalog USING (image_id) WHERE session_id = 'beta/sub-01/ses-1'"
    )
    assert rows(query)[0][0].startswith("Age: None; Gender: F;")


def test_post_contrast_images_have_a_label_of_their_own(rows: Rows) -> None:
    assert rows("SELECT contrast, contrast_label FROM out.image_catalog WHERE is_post_contrast") == [("T1w", "ceT1w")]


def test_prompts_exist_for_eligible_images_alone_and_carry_the_same_record(rows: Rows) -> None:
    assert rows("SELECT count(*) FROM out.prompt") == [(12,)]
    query = """
        SELECT record FROM out.prompt JOIN out.image_catalog USING (image_id)
        WHERE out.image_catalog.center_id = 'alpha' AND participant_id = '03'
    """
    [(record,)] = rows(query)
    assert record["contrast"] == "FLAIR"
    assert record["repetition_time_s"] == 9.0
    assert record["flip_angle_variable"] is False
    assert list(record["voxel_size_mm"]) == pytest.approx([0.9375, 0.9375, 3.0])
    assert all(record[name] is None for name in ("vendor", "age_years", "sex", "echo_time_s", "field_strength_t"))


def test_pairs_are_ordered_within_one_visit_and_among_eligible_images(rows: Rows) -> None:
    query = """
        SELECT session_id, source_contrast, target_contrast, count(*) FROM out.training_pair
        WHERE center_id <> 'gamma' GROUP BY ALL ORDER BY ALL
    """
    assert rows(query) == [
        ("alpha/sub-01", "T1w", "T2w", 1),
        ("alpha/sub-01", "T2w", "T1w", 1),
        ("alpha/sub-02", "T1w", "T1w", 2),
        ("alpha/sub-02", "T1w", "ceT1w", 2),
        ("alpha/sub-02", "ceT1w", "T1w", 2),
    ]
    assert rows("SELECT split, count(*) FROM out.training_pair WHERE center_id = 'gamma' GROUP BY split") == [
        ("test_external", 6)
    ]


@pytest.mark.slow
def test_a_pair_is_available_where_both_contents_are(small: Any) -> None:
    small.image("alpha", "01", "FLAIR", content="absent")
    with duckdb.connect(str(small.publish().path), read_only=True) as connection:
        query = """
            SELECT source_contrast, target_contrast, is_available FROM out.training_pair
            WHERE session_id = 'alpha/sub-01' ORDER BY ALL
        """
        assert connection.execute(query).fetchall() == [
            ("FLAIR", "T1w", False),
            ("FLAIR", "T2w", False),
            ("T1w", "FLAIR", False),
            ("T1w", "T2w", True),
            ("T2w", "FLAIR", False),
            ("T2w", "T1w", True),
        ]


def test_the_sources_of_a_target_are_the_other_eligible_images_of_its_visit(rows: Rows) -> None:
    query = """
        SELECT session_id, target_contrast, source_contrasts FROM out.source_set
        WHERE center_id <> 'beta' ORDER BY ALL
    """
    assert rows(query) == [
        ("alpha/sub-01", "T1w", ["T2w"]),
        ("alpha/sub-01", "T2w", ["T1w"]),
        ("alpha/sub-02", "T1w", ["T1w", "ceT1w"]),
        ("alpha/sub-02", "T1w", ["T1w", "ceT1w"]),
        ("alpha/sub-02", "ceT1w", ["T1w", "T1w"]),
        ("gamma/sub-W", "FLAIR", ["T1w", "T2w"]),
        ("gamma/sub-W", "T1w", ["FLAIR", "T2w"]),
        ("gamma/sub-W", "T2w", ["FLAIR", "T1w"]),
    ]
    assert rows("SELECT count(*) FROM out.source_set WHERE list_contains(source_image_ids, target_image_id)") == [(0,)]


def test_source_sets_of_one_image_are_the_training_pairs(rows: Rows) -> None:
    singles = "SELECT unnest(source_image_ids) AS source_image_id, target_image_id FROM out.source_set ORDER BY ALL"
    pairs = "SELECT source_image_id, target_image_id FROM out.training_pair WHERE is_available ORDER BY ALL"
    assert rows(singles) == rows(pairs) != []


def test_candidates_are_named_in_the_order_of_their_contrasts(rows: Rows) -> None:
    query = """
        SELECT count(*) FROM (
            SELECT unnest(source_image_ids) AS image_id, unnest(source_contrasts) AS label FROM out.source_set
        ) JOIN out.image_catalog AS image USING (image_id) WHERE image.contrast_label <> label
    """
    assert rows(query) == [(0,)]


@pytest.mark.slow
def test_an_image_without_its_file_is_no_candidate_and_no_target(small: Any) -> None:
    small.image("alpha", "01", "FLAIR", content="absent")
    with duckdb.connect(str(small.publish().path), read_only=True) as connection:
        query = """
            SELECT target_contrast, source_contrasts FROM out.source_set WHERE session_id = 'alpha/sub-01' ORDER BY ALL
        """
        assert connection.execute(query).fetchall() == [("T1w", ["T2w"]), ("T2w", ["T1w"])]


@pytest.mark.parametrize(
    ("facet", "expected"),
    [
        ("center", {"alpha": (6, 3), "beta": (3, 2), "gamma": (3, 1)}),
        ("contrast", {"T1w": (6, 4), "T2w": (3, 3), "FLAIR": (2, 2), "ceT1w": (1, 1)}),
        ("age", {"[10, 20)": (5, 2), "[20, 30)": (2, 1), "[40, 50)": (4, 1), "unknown": (1, 1)}),
        ("sex", {"F": (5, 2), "M": (6, 2), "unknown": (1, 1)}),
        ("country", {"SI": (6, 3), "DE": (3, 2), "unknown": (3, 1)}),
        ("vendor", {"Siemens": (8, 4), "GE": (3, 1), "unknown": (1, 1)}),
        ("field_strength", {"3.0": (8, 4), "1.5": (3, 1), "unknown": (1, 1)}),
    ],
)
def test_the_distribution_counts_eligible_images_and_people(
    rows: Rows, facet: str, expected: dict[str, tuple[int, int]]
) -> None:
    found = rows(f"SELECT value, n_images, n_persons FROM out.metadata_distribution WHERE facet = '{facet}'")
    assert {value: (n_images, n_persons) for value, n_images, n_persons in found} == expected


def test_each_facet_of_the_distribution_counts_every_eligible_image_once(rows: Rows) -> None:
    sums = rows("SELECT facet, sum(n_images) FROM out.metadata_distribution GROUP BY facet")
    assert len(sums) == 8
    assert {n_images for _, n_images in sums} == {12}


@pytest.mark.slow
def test_a_vendor_that_calls_itself_unknown_is_counted_with_the_missing_ones(small: Any) -> None:
    small.rows["alpha"]["core.acquisition"][0]["manufacturer"] = "unknown"
    with duckdb.connect(str(small.publish().path), read_only=True) as connection:
        query = "SELECT n_images FROM out.metadata_distribution WHERE facet = 'vendor' AND value = 'unknown'"
        assert connection.execute(query).fetchall() == [(2,)]


def test_missing_fields_are_counted_with_an_example(rows: Rows) -> None:
    query = """
        SELECT center_id, contrast_label, field, n_images, n_missing, example_path FROM out.missing_metadata
        WHERE n_missing > 0 AND center_id <> 'gamma' ORDER BY ALL
    """
    flair = "sub-03/anat/sub-03_FLAIR.nii.gz"
    lacks = ["age_years", "echo_time_s", "flip_angle_deg", "inversion_time_s", "magnetic_field_strength_t"]
    lacks += ["manufacturer", "manufacturers_model_name", "sex"]
    t1w, t2w = "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz", "sub-01/ses-2/anat/sub-01_ses-2_T2w.nii.gz"
    assert rows(query) == [
        *(("alpha", "FLAIR", field, 1, 1, flair) for field in lacks),
        ("alpha", "T2w", "inversion_time_s", 1, 1, "sub-01/anat/sub-01_T2w.nii.gz"),
        ("beta", "T1w", "age_years", 2, 1, t1w),
        ("beta", "T2w", "echo_time_s", 1, 1, t2w),
        ("beta", "T2w", "inversion_time_s", 1, 1, t2w),
    ]


def test_every_field_of_the_prompt_is_listed_even_where_nothing_is_missing(rows: Rows) -> None:
    query = """
        SELECT count(*), count(DISTINCT field), count_if(n_missing = 0 AND example_path IS NOT NULL)
        FROM out.missing_metadata
    """
    assert rows(query) == [(9 * 10, 10, 0)]
