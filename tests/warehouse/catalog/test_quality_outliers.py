"""Outliers of quality, on rows written by hand."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest

from warehouse.lake import parts
from warehouse.tables import HARMONIZED

RECIPE, OTHER_RECIPE = "a" * 16, "b" * 16
CJV = [0.40, 0.42, 0.41, 0.43, 0.39, 0.42, 0.95]


def measured(center_id: str, image_id: str, value: float | None, **more: object) -> dict[str, object]:
    row: dict[str, object] = {
        "image_id": image_id,
        "recipe_id": RECIPE,
        "measure": "cjv",
        "center_id": center_id,
        "value": value,
        "reason": None if value is not None else "the scan was stripped",
    }
    return row | more


def harmonized(lab: Any, center_id: str, **rows: list[dict[str, object]]) -> None:
    tables = {table.name: table.rows(rows.get(table.short, [])) for table in HARMONIZED}
    parts.commit_center(lab.home, center_id, tables, {"made": "by hand"}, stage="harmonize")


def outliers(lab: Any, columns: str = "image_id, measure") -> list[tuple[Any, ...]]:
    with duckdb.connect(str(lab.publish().path), read_only=True) as connection:
        return connection.execute(f"SELECT {columns} FROM out.quality_outliers ORDER BY ALL").fetchall()


@pytest.fixture
def heads(lab: Any) -> list[str]:
    """Seven T1w images of one centre."""
    lab.center("alpha")
    identities = []
    for number in range(len(CJV)):
        lab.participant("alpha", f"{number:02}")
        identities.append(lab.image("alpha", f"{number:02}", "T1w"))
    return identities


@pytest.mark.slow
def test_a_scan_far_from_its_like_is_an_outlier_with_its_robust_z(lab: Any, heads: list[str]) -> None:
    harmonized(lab, "alpha", quality=[measured("alpha", i, v) for i, v in zip(heads, CJV, strict=True)])
    [(image_id, contrast, median, spread, z, n_images)] = outliers(
        lab, "image_id, contrast_label, median_value, spread, robust_z, n_images"
    )
    spread_by_hand = 1.4826 * np.median(np.abs(np.array(CJV) - np.median(CJV)))
    assert (image_id, contrast, n_images) == (heads[6], "T1w", 7)
    assert median == pytest.approx(0.42)
    assert spread == pytest.approx(spread_by_hand)
    assert z == pytest.approx((0.95 - 0.42) / spread_by_hand)


@pytest.mark.slow
def test_too_low_a_value_is_an_outlier_as_well(lab: Any, heads: list[str]) -> None:
    values = [*CJV[:6], 0.05]
    harmonized(lab, "alpha", quality=[measured("alpha", i, v) for i, v in zip(heads, values, strict=True)])
    assert outliers(lab) == [(heads[6], "cjv")]


@pytest.mark.slow
def test_fewer_than_five_values_tell_nothing(lab: Any, heads: list[str]) -> None:
    values = [0.40, 0.42, 0.41, None, None, None, 0.95]
    harmonized(lab, "alpha", quality=[measured("alpha", i, v) for i, v in zip(heads, values, strict=True)])
    assert outliers(lab) == []


@pytest.mark.slow
def test_values_that_are_mostly_alike_tell_nothing(lab: Any, heads: list[str]) -> None:
    values = [0.4, 0.4, 0.4, 0.4, 0.4, 0.42, 0.95]
    harmonized(lab, "alpha", quality=[measured("alpha", i, v) for i, v in zip(heads, values, strict=True)])
    assert outliers(lab) == []


@pytest.mark.slow
def test_contrasts_and_recipes_are_never_compared_with_each_other(lab: Any, heads: list[str]) -> None:
    flair = lab.image("alpha", "00", "FLAIR")
    rows = [measured("alpha", image_id, value) for image_id, value in zip(heads[:6], CJV[:6], strict=True)]
    rows += [measured("alpha", flair, 0.95), measured("alpha", heads[0], 0.95, recipe_id=OTHER_RECIPE)]
    harmonized(lab, "alpha", quality=rows)
    assert outliers(lab) == []


@pytest.mark.slow
def test_centres_are_never_compared_with_each_other(lab: Any, heads: list[str]) -> None:
    lab.center("beta")
    lab.participant("beta", "01")
    elsewhere = lab.image("beta", "01", "T1w")
    harmonized(lab, "alpha", quality=[measured("alpha", i, v) for i, v in zip(heads[:6], CJV[:6], strict=True)])
    harmonized(lab, "beta", quality=[measured("beta", elsewhere, 0.95)])
    assert outliers(lab) == []


@pytest.mark.slow
def test_a_lost_registration_is_an_outlier(lab: Any, heads: list[str]) -> None:
    similarity = [0.61, 0.60, 0.62, 0.63, 0.59, 0.61, 0.20]
    rows: list[dict[str, object]] = [
        {
            "image_id": image_id,
            "recipe_id": RECIPE,
            "kind": "to_reference",
            "center_id": "alpha",
            "matrix": [float(value) for value in np.eye(4).ravel()],
            "rotation_deg": 0.0,
            "translation_mm": 0.0,
            "measure": "mattes_mutual_information",
            "similarity_before": 0.1,
            "similarity_after": value,
            "is_flagged": False,
        }
        for image_id, value in zip(heads, similarity, strict=True)
    ]
    harmonized(lab, "alpha", transform=rows)
    assert outliers(lab) == [(heads[6], "similarity_to_reference")]


@pytest.mark.slow
def test_a_brain_of_another_size_is_an_outlier(lab: Any, heads: list[str]) -> None:
    volumes = [1400.0, 1350.0, 1450.0, 1380.0, 1420.0, 1390.0, 300.0]
    rows = [
        volume(image_id, form, value)
        for image_id, value in zip(heads, volumes, strict=True)
        for form in ("native", "session")
    ]
    harmonized(lab, "alpha", volume=rows)
    assert outliers(lab, "image_id, measure, n_images") == [(heads[6], "mask_volume_ml", 7)]


def volume(image_id: str, form: str, mask_volume_ml: float) -> dict[str, object]:
    return {
        "image_id": image_id,
        "recipe_id": RECIPE,
        "form": form,
        "center_id": "alpha",
        "session_id": "alpha/sub-00",
        "recipe": "standard",
        "is_draft": False,
        "path": f"volumes/{image_id}/{form}.zarr",
        "shape": [10, 10, 10],
        "voxel_size_mm": [1.0, 1.0, 1.0],
        "affine": [float(value) for value in np.eye(4).ravel()],
        "is_reference": True,
        "mask_source": "own",
        "mask_volume_ml": mask_volume_ml,
        "intensity_low": 0.0,
        "intensity_high": 1.0,
        "source_sha256": "0" * 64,
        "voxels_sha256": "0" * 64,
        "size_bytes": 1,
        "seconds": 1.0,
        "verdict": "pass",
        "verdict_reason": None,
    }
