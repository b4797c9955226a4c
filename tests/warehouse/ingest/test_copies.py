"""Copies that publishers made of raw scans: which are used, and what is known of how they were acquired."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.fixtures.datasets.build import build
from tests.warehouse.ingest.conftest import Dataset
from warehouse.catalog.publish import publish
from warehouse.centers.registry import Center, register, shipped
from warehouse.ingest import ingest_center
from warehouse.lake.home import Home

COPY = r"copies/(?P<id>\d+)(?:_(?P<visit>v\d))?_T1\.nii\.gz"
POST = r"copies/(?P<id>\d+)(?:_(?P<visit>v\d))?_T1post\.nii\.gz"
RAW = r"raw/(?P<id>\d+)(?:_(?P<visit>v\d))?_T1\.nii\.gz"
RAW_POST = r"raw/(?P<id>\d+)(?:_(?P<visit>v\d))?_T1post\.nii\.gz"
T1W = {"sub": "{id}", "ses": "{visit}", "suffix": "T1w"}
ANNEXED = ".git/annex/objects/1/2/SHA256E-s99--00ff.nii.gz/SHA256E-s99--00ff.nii.gz"


@pytest.fixture
def lab(tmp_path: Path) -> Dataset:
    """A centre that publishes raw scans, and stripped copies of them in another space."""
    of_raw = {"copy_of_raw": "stripped copy", "resampled": True}
    images = [
        {"pattern": RAW, "entities": T1W},
        {"pattern": RAW_POST, "entities": T1W | {"ce": "contrast"}},
        {"pattern": COPY, "entities": T1W | {"space": "MNI"}} | of_raw,
        {"pattern": POST, "entities": T1W | {"space": "MNI", "ce": "contrast"}} | of_raw,
    ]
    document = {"center_id": "lab", "title": "Lab", "layout": {"kind": "files", "images": images}}
    return Dataset(tmp_path / "root", Home(tmp_path / "home"), Center.model_validate(document))


def judged(lab: Dataset) -> dict[str, tuple[str, str]]:
    lab.ingest()
    return {row["path"]: (row["eligibility"], row["eligibility_reason"]) for row in lab.rows("core.image")}


def test_a_copy_beside_its_raw_scan_is_not_eligible_and_the_reason_names_the_scan(lab: Dataset) -> None:
    lab.image("raw/01_T1.nii.gz")
    lab.image("copies/01_T1.nii.gz")
    found = judged(lab)
    assert found["raw/01_T1.nii.gz"][0] == "eligible"
    reason = "stripped copy; the raw scan is there: raw/01_T1.nii.gz"
    assert found["copies/01_T1.nii.gz"] == ("ineligible", reason)


def test_a_copy_without_its_raw_scan_is_eligible(lab: Dataset) -> None:
    lab.image("copies/01_T1.nii.gz")
    eligibility, reason = judged(lab)["copies/01_T1.nii.gz"]
    assert eligibility == "eligible"
    assert "stripped copy, used because the raw scan is not there" in reason


def test_a_raw_scan_that_was_not_fetched_leaves_its_copy_in_use_until_it_is(lab: Dataset) -> None:
    lab.image("copies/01_T1.nii.gz")
    link = lab.root / "raw" / "01_T1.nii.gz"
    link.parent.mkdir()
    link.symlink_to(f"../{ANNEXED}")
    assert judged(lab)["copies/01_T1.nii.gz"][0] == "eligible"
    assert lab.row("core.image", path="raw/01_T1.nii.gz")["content"] == "absent"
    link.unlink()
    lab.image("raw/01_T1.nii.gz")
    assert judged(lab)["copies/01_T1.nii.gz"][0] == "ineligible"


def test_a_raw_scan_that_cannot_be_used_leaves_its_copy_in_use(lab: Dataset) -> None:
    lab.image("raw/01_T1.nii.gz", shape=(5, 6, 7, 3))  # no single volume: ineligible
    lab.image("copies/01_T1.nii.gz")
    lab.write("raw/02_T1.nii.gz", b"")  # empty: refused
    lab.image("copies/02_T1.nii.gz")
    found = judged(lab)
    assert {found[f"copies/{number}_T1.nii.gz"][0] for number in ("01", "02")} == {"eligible"}


def test_before_and_after_a_contrast_agent_are_two_scans(lab: Dataset) -> None:
    lab.image("raw/01_T1.nii.gz")
    lab.image("copies/01_T1post.nii.gz")
    lab.image("raw/02_T1post.nii.gz")
    lab.image("copies/02_T1.nii.gz")
    found = judged(lab)
    assert found["copies/01_T1post.nii.gz"][0] == found["copies/02_T1.nii.gz"][0] == "eligible"


def test_a_raw_scan_of_another_person_or_visit_says_nothing_of_a_copy(lab: Dataset) -> None:
    lab.image("raw/01_v1_T1.nii.gz")
    lab.image("copies/01_v2_T1.nii.gz")
    lab.image("copies/02_v1_T1.nii.gz")
    found = judged(lab)
    assert found["copies/01_v2_T1.nii.gz"][0] == found["copies/02_v1_T1.nii.gz"][0] == "eligible"


@pytest.mark.slow
def test_a_resampled_scan_keeps_the_size_of_its_grid_and_has_none_in_its_prompt(lab: Dataset) -> None:
    lab.image("raw/01_T1.nii.gz")
    lab.image("copies/02_T1.nii.gz")
    lab.ingest()
    publish(lab.home)
    with duckdb.connect(str(lab.home.pointer.resolve()), read_only=True) as connection:
        found = connection.execute(
            "SELECT participant_id, is_resampled, len(voxel_size_mm), record['voxel_size_mm'] IS NULL,"
            " contains(prompt, 'Voxel size: (None, None, None);')"
            " FROM out.image_catalog INNER JOIN out.prompt USING (image_id) ORDER BY participant_id"
        ).fetchall()
        missing = connection.execute(
            "SELECT n_images, n_missing, example_path FROM out.missing_metadata WHERE field = 'voxel_size_mm'"
        ).fetchall()
    assert found == [("01", False, 3, False, False), ("02", True, 3, True, True)]
    assert missing == [(2, 1, "copies/02_T1.nii.gz")]


@pytest.mark.slow
def test_who_has_only_an_mni_copy_in_open_ms_is_used_in_that_form(tmp_path: Path) -> None:
    home, root = Home(tmp_path / "home"), tmp_path / "root"
    build("open_ms", root)
    for name in ("T1W", "T2W"):
        (root / "cross_sectional" / "raw" / "patient01" / f"{name}.nii.gz").unlink()
    ingest_center(home, register(home, shipped()["open_ms"], root))
    publish(home)
    query = (
        "SELECT regexp_extract(path, 'patient../([A-Z0-9]+)_', 1), participant_id FROM out.image_catalog"
        " WHERE contains(path, '/MNI/') AND eligibility = 'eligible' ORDER BY 1"
    )
    with duckdb.connect(str(home.pointer.resolve()), read_only=True) as connection:
        assert connection.execute(query).fetchall() == [("T1", "cross01"), ("T2", "cross01")]


@pytest.mark.slow
def test_a_patient_of_brats_and_ucsf_is_one_person_whom_no_model_trains_on(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    for name in ("brats2021", "ucsf_pdgm"):
        build(name, tmp_path / name)
    table = tmp_path / "ucsf_pdgm" / "UCSF-PDGM-metadata_v5.csv"
    header, *rows = table.read_text(encoding="utf-8").splitlines()
    linked = [f"{row},BraTS2021_00006" if row.startswith("UCSF-PDGM-004,") else f"{row}," for row in rows]
    table.write_text("\n".join([f"{header},BraTS21 ID", *linked]) + "\n", encoding="utf-8")
    for name in ("ucsf_pdgm", "brats2021"):
        ingest_center(home, register(home, shipped()[name], tmp_path / name))
    publish(home)
    query = (
        "SELECT center_id, participant_id, split FROM out.split"
        " WHERE person_id = 'brats2021/00006' OR participant_id = '01481' ORDER BY ALL"
    )
    with duckdb.connect(str(home.pointer.resolve()), read_only=True) as connection:
        assert connection.execute(query).fetchall() == [
            ("brats2021", "00006", "excluded"),  # although its definition fixes the split train
            ("brats2021", "01481", "val"),
            ("ucsf_pdgm", "0004", "test_external"),
        ]
