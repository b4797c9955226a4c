"""The catalogue of a cohort says exactly what the simulator knows, and finds every defect and nothing else."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from model.simulation import center
from model.simulation.cohort import register_cohort, write_cohort
from model.simulation.files import SIDECAR_KEYS
from tests.model.simulation.fake_head import fake_head
from warehouse.catalog.publish import publish
from warehouse.centers.registry import registered
from warehouse.ingest import ingest_center
from warehouse.lake.home import Home

Row = dict[str, str]
QUICK = ("open_ms", "oasis3", "nki_rockland", "camcan")
NUMBERS = (
    "magnetic_field_strength_t",
    "repetition_time_s",
    "echo_time_s",
    "inversion_time_s",
    "flip_angle_deg",
    "slice_thickness_mm",
)
WORDS = ("manufacturer", "manufacturers_model_name", "mr_acquisition_type")


class Catalogued:
    """A cohort and the catalogue that an ingest makes of it."""

    def __init__(self, folder: Path, n_subjects: int, centers: tuple[str, ...] | None) -> None:
        out = folder / "out"
        write_cohort(out, subjects_per_center=n_subjects, seed=3, resolution_mm=6.0, centers=centers, workers=1)
        self.home = Home(folder / "home")
        register_cohort(self.home, out)
        for entry in registered(self.home).values():
            ingest_center(self.home, entry)
        publish(self.home)
        self.truth = _rows(out / "phantom_truth.csv")
        self.defects = _rows(out / "phantom_defects.csv")
        assert self.kept

    def query(self, sql: str) -> list[dict[str, object]]:
        with duckdb.connect(str(self.home.pointer.resolve()), read_only=True) as connection:
            return connection.sql(sql).to_arrow_table().to_pylist()

    @property
    def kept(self) -> list[Row]:
        """Scans that an ingest must accept."""
        refused = {(row["center_id"], row["path"]) for row in self.defects if row["disposition"] == "rejection"}
        return [row for row in self.truth if (row["center_id"], row["path"]) not in refused]


def _rows(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((1, QUICK), id="four centres"),
        pytest.param((3, None), id="thirteen centres", marks=pytest.mark.slow),
    ],
)
def catalogued(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogued]:
    n_subjects, centers = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(center, "make_head", fake_head)
        yield Catalogued(tmp_path_factory.mktemp("cohort"), n_subjects, centers)


@pytest.fixture(scope="module")
def images(catalogued: Catalogued) -> dict[tuple[str, str], dict[str, object]]:
    rows = catalogued.query(
        "SELECT catalog.*, acquisition.slice_thickness_mm, acquisition.mr_acquisition_type, visit.session_label "
        "FROM out.image_catalog AS catalog INNER JOIN core.acquisition AS acquisition USING (image_id) "
        "INNER JOIN core.session AS visit ON catalog.session_id = visit.session_id"
    )
    return {(str(row["center_id"]), str(row["path"])): row for row in rows}


def number(text: str) -> float | None:
    return float(text) if text else None


@pytest.mark.slow
def test_exactly_the_scans_that_can_be_used_are_in_the_catalogue(catalogued: Catalogued, images: dict) -> None:
    assert images.keys() == {(row["center_id"], row["path"]) for row in catalogued.kept}


@pytest.mark.slow
def test_every_defect_is_found_for_its_reason_and_nothing_else_is_refused(catalogued: Catalogued) -> None:
    found = catalogued.query("SELECT center_id, path, stage, reason FROM core.rejection")
    refused = {(row["center_id"], row["path"]): (row["stage"], row["reason"]) for row in found}
    expected = {
        (row["center_id"], row["refused_path"]): (row["stage"], row["reason"])
        for row in catalogued.defects
        if row["reason"]
    }
    assert refused == expected
    assert refused


@pytest.mark.slow
def test_whose_scan_it_is(catalogued: Catalogued, images: dict) -> None:
    for row in catalogued.kept:
        image = images[row["center_id"], row["path"]]
        assert image["participant_id"] == row["participant_id"]
        assert (image["session_label"] or "") == row["session_label"]
        assert image["person_id"] == row["person_id"]
        assert image["role"] == row["role"]
        assert image["is_simulated"]
        assert "(simulated)" in str(image["center_title"])


def test_every_age_and_sex(catalogued: Catalogued, images: dict) -> None:
    for row in catalogued.kept:
        image = images[row["center_id"], row["path"]]
        assert (image["sex"] or "") == row["told_sex"], row["path"]
        assert row["told_sex"] in ("", row["sex"])
        for name in ("age_years", "age_low_years", "age_high_years"):
            assert image[name] == pytest.approx(number(row[f"told_{name}"]), abs=1e-3), (row["path"], name)
        if image["age_years"] is not None and row["told_age_years"]:
            assert abs(float(str(image["age_years"])) - float(row["age_years"])) < 2.6  # the age at entry may be told


def test_every_contrast_voxel_size_and_orientation(catalogued: Catalogued, images: dict) -> None:
    for row in catalogued.kept:
        image = images[row["center_id"], row["path"]]
        assert image["contrast"] == row["contrast"]
        assert str(image["is_post_contrast"]) == row["is_post_contrast"]
        sizes = [float(row[f"voxel_size_{axis}_mm"]) for axis in "ijk"]
        if row["defect"] == "no_orientation":
            assert image["eligibility"] == "ineligible"
            continue
        assert image["eligibility"] == "eligible"
        assert image["voxel_size_mm"] == pytest.approx(sizes, abs=1e-4)
        assert image["axcodes"] == row["axcodes"]


def test_every_parameter_that_a_sidecar_tells_and_no_other(catalogued: Catalogued, images: dict) -> None:
    for row in catalogued.kept:
        image, told = images[row["center_id"], row["path"]], row["told_fields"].split()
        for name in NUMBERS:
            expected = number(row[name]) if SIDECAR_KEYS[name] in told else None
            assert image[name] == pytest.approx(expected), (row["path"], name)
        for name in WORDS:
            assert image[name] == (row[name] if SIDECAR_KEYS[name] in told else None), (row["path"], name)


def test_the_travelling_subject_is_in_one_split(catalogued: Catalogued) -> None:
    rows = catalogued.query("SELECT center_id, split FROM out.split WHERE person_id = 'phantom_traveller'")
    assert len(rows) >= 2
    assert len({row["split"] for row in rows}) == 1
    assert "excluded" not in {row["split"] for row in rows}
