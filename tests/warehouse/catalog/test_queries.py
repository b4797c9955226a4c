"""The useful queries: each answers its question on the small catalogue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import pytest

from tests.warehouse.catalog.test_quality_outliers import harmonized, measured, volume
from warehouse.catalog.sqlfiles import QUERIES, SQL, useful_queries

GE = "Imaging parameter TR(ms), TE(ms), TI(ms), and FA(degree):  (None, 100.0, None, None)"
ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "age_by_sex_by_center": [
        ("alpha", "F", 1, 16.0, 16.0, 16.0, 0, 0),
        ("alpha", "M", 1, 12.0, 12.0, 12.0, 0, 0),
        ("alpha", None, 1, None, None, None, 0, 1),
        ("beta", "F", 1, 27.5, 27.5, 27.5, 0, 0),
        ("beta", "M", 1, 40.0, 40.0, 40.0, 0, 0),
        ("gamma", "M", 1, 41.0, 41.0, 41.0, 0, 0),
    ],
    "candidates_beside_champions": [],  # the small catalogue has no models; see test_promotion
    "champions": [],
    "contrasts_per_visit": [
        (["FLAIR", "T1w", "T2w"], True, 1, 1),
        (["T1w", "T2w"], False, 1, 1),
        (["T1w", "ceT1w"], False, 1, 1),
        (["T1w"], False, 2, 1),
        (["FLAIR"], False, 1, 1),
        (["T2w"], False, 1, 1),
    ],
    "echo_time_by_vendor": [
        ("FLAIR", "GE", 1, 100.0, 100.0, 100.0),
        ("T1w", "Siemens", 5, 2.2, 2.2, 2.25),
        ("T1w", "GE", 1, 100.0, 100.0, 100.0),
        ("T2w", "GE", 1, 100.0, 100.0, 100.0),
        ("T2w", "Siemens", 1, 563.0, 563.0, 563.0),
        ("ceT1w", "Siemens", 1, 2.2, 2.2, 2.2),
    ],
    "promotions": [],
    "prompts_of_a_participant": [
        (
            "gamma",
            "W",
            "sub-W/anat/sub-W_FLAIR.nii.gz",
            "Age: 41; Gender: M; Scanner: 1.5 GE; Modality: FLAIR; Voxel size: (0.5, 0.5, 5.0); " + GE,
        ),
        (
            "gamma",
            "W",
            "sub-W/anat/sub-W_T1w.nii.gz",
            "Age: 41; Gender: M; Scanner: 1.5 GE; Modality: T1w; Voxel size: (0.5, 0.5, 5.0); " + GE,
        ),
        (
            "gamma",
            "W",
            "sub-W/anat/sub-W_T2w.nii.gz",
            "Age: 41; Gender: M; Scanner: 1.5 GE; Modality: T2w; Voxel size: (0.5, 0.5, 5.0); " + GE,
        ),
    ],
    "protocol_variants": [
        ("alpha", "FLAIR", 1, 9000.0, None, None, None, 1, "sub-03/anat/sub-03_FLAIR.nii.gz"),
        ("alpha", "T1w", 1, 2500.0, 2.2, 1000.0, 8.0, 2, "sub-01/anat/sub-01_T1w.nii.gz"),
        ("alpha", "T1w", 2, 2500.0, 2.25, 1000.0, 8.0, 1, "sub-02/anat/sub-02_run-2_T1w.nii.gz"),
        ("alpha", "T2w", 1, 3200.0, 563.0, None, 120.0, 1, "sub-01/anat/sub-01_T2w.nii.gz"),
        ("alpha", "ceT1w", 1, 2500.0, 2.2, 1000.0, 8.0, 1, "sub-02/anat/sub-02_ce-gd_T1w.nii.gz"),
        ("beta", "T1w", 1, 2500.0, 2.2, 1000.0, 8.0, 2, "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz"),
        ("beta", "T2w", 1, 3200.0, None, None, 120.0, 1, "sub-01/ses-2/anat/sub-01_ses-2_T2w.nii.gz"),
        ("gamma", "FLAIR", 1, None, 100.0, None, None, 1, "sub-W/anat/sub-W_FLAIR.nii.gz"),
        ("gamma", "T1w", 1, None, 100.0, None, None, 1, "sub-W/anat/sub-W_T1w.nii.gz"),
        ("gamma", "T2w", 1, None, 100.0, None, None, 1, "sub-W/anat/sub-W_T2w.nii.gz"),
    ],
    "rejections_by_reason": [
        ("gamma", "read", "truncated_gzip", 1, "copy the file again", "sub-X/anat/sub-X_T1w.nii.gz"),
    ],
    "split_balance": [
        ("train", 4, 8, 2, 16.6, 0.71),
        ("test_external", 1, 3, 1, 41.0, 0.0),
        ("excluded", 1, 1, 1, 40.0, 0.0),
    ],
    "t1w_t2w_pairs_by_field_strength": [
        ("alpha", 3.0, 1, 1, 1),
        ("gamma", 1.5, 1, 1, 1),
    ],
    "thick_slices": [
        ("alpha", "FLAIR", [0.94, 0.94, 3.0], None, 1, "sub-03/anat/sub-03_FLAIR.nii.gz"),
        ("gamma", "FLAIR", [0.5, 0.5, 5.0], None, 1, "sub-W/anat/sub-W_FLAIR.nii.gz"),
        ("gamma", "T1w", [0.5, 0.5, 5.0], None, 1, "sub-W/anat/sub-W_T1w.nii.gz"),
        ("gamma", "T2w", [0.5, 0.5, 5.0], None, 1, "sub-W/anat/sub-W_T2w.nii.gz"),
    ],
    "travelling_subjects": [
        ("walker", 2, ["beta", "gamma"], ["GE 1.5", "Siemens Prisma 3.0"], ["excluded", "test_external"], 4),
    ],
}


def test_there_are_thirteen_queries_and_an_answer_to_each() -> None:
    assert set(useful_queries()) == set(ANSWERS)
    assert len(ANSWERS) == 13


@pytest.mark.parametrize("name", ANSWERS)
def test_a_useful_query_answers_its_question(rows: Callable[[str], list[tuple[Any, ...]]], name: str) -> None:
    assert rows(useful_queries()[name]) == ANSWERS[name]


@pytest.mark.slow
def test_a_scan_of_thick_slices_that_was_interpolated_is_found_by_its_detail(lab: Any) -> None:
    lab.center("alpha")
    lab.participant("alpha", "01")
    thick, thin, draft_only = (lab.image("alpha", "01", contrast) for contrast in ("T2w", "T1w", "FLAIR"))
    found = [(thick, "a" * 16, False, 5.0), (thick, "b" * 16, True, 0.8)]  # the draft is not asked
    found += [(thin, "a" * 16, False, 1.2), (draft_only, "b" * 16, True, 3.9)]
    tables: dict[str, list[dict[str, object]]] = {"volume": [], "quality": []}
    for image_id, recipe_id, is_draft, along_slices in found:
        row = volume(image_id, "native", 1400.0)
        tables["volume"].append(row | {"recipe_id": recipe_id, "is_draft": is_draft})
        for axis, value in (("lr", 0.8), ("pa", 0.8), ("is", along_slices)):
            rows = measured("alpha", image_id, value, recipe_id=recipe_id, measure=f"resolution_{axis}_mm")
            tables["quality"].append(rows)
    harmonized(lab, "alpha", **tables)
    with duckdb.connect(str(lab.publish().path), read_only=True) as connection:
        answer = connection.execute(useful_queries()["thick_slices"]).fetchall()
    assert [row[1:5] for row in answer] == [
        ("FLAIR", [0.8, 0.8, 0.8], [1.0, 1.0, 4.0], 1),
        ("T2w", [0.8, 0.8, 0.8], [1.0, 1.0, 5.0], 1),
    ]


@pytest.mark.parametrize("path", sorted(QUERIES.glob("*.sql")), ids=lambda path: path.stem)
def test_a_useful_query_opens_with_its_question(path: Any) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("-- Question: ")
    assert first.endswith("?")


@pytest.mark.parametrize(
    "path", sorted([*SQL.rglob("*.sql"), *QUERIES.glob("*.sql")]), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_every_sql_file_states_its_grain_and_why(path: Any) -> None:
    text = path.read_text(encoding="utf-8")
    assert "-- Grain: " in text
    assert "-- Why:   " in text
