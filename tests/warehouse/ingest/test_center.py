from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.warehouse.ingest.conftest import Dataset, gz, nifti_bytes
from warehouse.centers.registry import Center, RegisteredCenter
from warehouse.errors import CenterError, LayoutError
from warehouse.ingest import ingest_center, is_current
from warehouse.lake.home import Home

MPRAGE = {"RepetitionTime": 2.3, "EchoTime": 0.00298, "InversionTime": 0.9, "FlipAngle": 9, "Manufacturer": "SIEMENS"}
T1W = "sub-01/anat/sub-01_T1w.nii.gz"


def files_under(root: Path) -> set[str]:
    """Return every file below a root by an own walk, version control left out."""
    found = set()
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        found |= {os.path.relpath(os.path.join(folder, name), root) for name in names}
        found |= {
            os.path.relpath(os.path.join(folder, name), root)
            for name in folders
            if os.path.islink(os.path.join(folder, name))
        }
    return found


def messy(dataset: Dataset) -> Dataset:
    """A dataset with one of every trouble."""
    dataset.write(
        "participants.tsv", "\ufeffparticipant_id\tage\tsex\r\nsub-01\t31\tM\r\nsub-09\t40\tF\r\nsub-02\t30\t1\r\n"
    )
    dataset.write("T1w.json", {"FlipAngle": 9})
    dataset.image(T1W, MPRAGE)
    dataset.image("sub-01/anat/sub-01_run-1_T2w.nii.gz", {"EchoTime": 0.1, "RepetitionTime": 3.2})
    dataset.image("sub-01/anat/sub-01_run-2_T2w.nii.gz", {"EchoTime": 100, "RepetitionTime": 3200})
    dataset.image("sub-02/anat/sub-02_FLAIR.nii.gz")
    dataset.write("sub-02/anat/sub-02_FLAIR.json", '{"EchoTime": 0.1}}')
    dataset.image("sub-02/anat/sub-02_PDw.nii.gz", shape=(5, 6, 7, 3))
    dataset.image("sub-02/anat/sub-02_mask.nii.gz")
    dataset.write("sub-02/anat/sub-02_T1w.nii.gz", b"")
    dataset.write("sub-02/anat/sub-02_T2w.nii.gz", gz(nifti_bytes(shape=(20, 20, 20)))[:150])
    dataset.write("sub-02/dwi/sub-02_dwi.bval", "0 1000")
    dataset.write("sub-02/anat/IM0001", b"\0" * 128 + b"DICM" + b"\0" * 8)
    dataset.write("sub-02/anat/scan.dcm", b"x")
    dataset.write("sub-02/anat/brain.mgz", b"x")
    dataset.write("sub-02.zip", b"x")
    dataset.write("odd.xyz", b"x")
    dataset.write("anonymous.nii.gz", gz(nifti_bytes()))
    dataset.image("derivatives/prep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz")
    dataset.image("derivatives/template.nii.gz")
    (dataset.root / "sub-03" / "anat").mkdir(parents=True)
    key = "SHA256E-s99--00ff.nii.gz"
    (dataset.root / "sub-03/anat/sub-03_T1w.nii.gz").symlink_to(f"../../.git/annex/objects/1/2/{key}/{key}")
    (dataset.root / "sub-03/anat/sub-03_T2w.nii.gz").symlink_to("/etc/hostname")
    (dataset.root / "sub-03/loop").symlink_to("..", target_is_directory=True)
    return dataset


def test_every_file_ends_in_exactly_one_place(dataset: Dataset) -> None:
    messy(dataset).ingest()
    files = dataset.rows("raw.file")
    assert {row["path"] for row in files} == files_under(dataset.root)
    assert len(files) == len({row["path"] for row in files})
    images = {row["path"] for row in dataset.rows("core.image")}
    refused = {row["path"] for row in dataset.rows("core.rejection") if row["row"] is None}
    by_disposition = {
        kind: {row["path"] for row in files if row["disposition"] == kind}
        for kind in ("image", "companion", "rejection")
    }
    assert by_disposition["image"] == images
    assert by_disposition["rejection"] == refused
    assert len(files) == len(images) + len(refused) + len(by_disposition["companion"])


def test_every_refusal_says_where_why_and_what_to_do(dataset: Dataset) -> None:
    messy(dataset).ingest()
    refusals = dataset.rows("core.rejection")
    assert all(row["stage"] and row["reason"] and row["detail"] and row["remedy"] for row in refusals)
    assert Counter(str(row["reason"]) for row in refusals) == {
        "bad_sidecar": 1,
        "empty_file": 1,
        "truncated_gzip": 1,
        "dicom": 2,
        "unsupported_format": 1,
        "archive": 1,
        "unknown_file": 1,
        "unknown_name": 1,
        "leaves_root": 1,
        "symlink_loop": 1,
        "sex": 1,
    }


def test_dicom_is_refused_with_the_name_of_its_converter(dataset: Dataset) -> None:
    messy(dataset).ingest()
    assert "dcm2niix" in str(dataset.row("core.rejection", path="sub-02/anat/IM0001")["remedy"])


def test_an_echo_time_left_in_milliseconds_costs_the_value_and_not_the_image(dataset: Dataset) -> None:
    messy(dataset).ingest()
    path = "sub-01/anat/sub-01_run-2_T2w.nii.gz"
    image = dataset.row("core.image", path=path)
    assert dataset.row("core.acquisition", image_id=image["image_id"])["echo_time_s"] is None
    finding = dataset.row("core.finding", path=path.replace(".nii.gz", ".json"), field="EchoTime")
    assert (finding["kind"], finding["value"]) == ("value_not_read", "100")
    assert "100 ms would be 0.1 s" in str(finding["detail"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fields", "is_post_contrast", "eligibility"),
    [
        ("T1w", {"ContrastBolusAgent": "Gadovist 6 ml"}, True, "eligible"),
        ("T1w", {"ContrastBolusIngredient": "GADOLINIUM"}, True, "eligible"),
        ("T1w", {"ContrastBolusAgent": "NONE"}, False, "eligible"),
        ("T1w", {"ContrastBolusAgent": ""}, False, "eligible"),
        ("ce-none_T1w", {}, False, "eligible"),
        ("ce-gad_T1w", {}, True, "eligible"),
        ("FLAIR", {"ContrastBolusAgent": "Dotarem"}, True, "ineligible"),
        ("ce-none_FLAIR", {}, False, "eligible"),
        ("acq-postcontrast_T1w", {}, True, "eligible"),
        ("acq-MPRAGEpostGd_T1w", {}, True, "eligible"),
        ("acq-precontrast_T1w", {}, False, "eligible"),
        ("acq-withoutcontrast_T1w", {}, False, "eligible"),
        ("acq-highcontrast_T1w", {}, False, "eligible"),
    ],
)
def test_a_contrast_agent_is_read_from_the_name_or_the_sidecar(
    dataset: Dataset, name: str, fields: dict[str, object], is_post_contrast: bool, eligibility: str
) -> None:
    dataset.image(f"sub-01/anat/sub-01_{name}.nii.gz", MPRAGE | fields)
    dataset.ingest()
    image = dataset.rows("core.image")[0]
    assert (image["is_post_contrast"], image["eligibility"]) == (is_post_contrast, eligibility)
    assert {row["kind"] for row in dataset.rows("core.finding")} == {"images_without_row"}


def test_a_name_and_a_sidecar_that_contradict_each_other_on_the_agent_are_said(dataset: Dataset) -> None:
    dataset.image("sub-01/anat/sub-01_ce-gad_T1w.nii.gz", MPRAGE | {"ContrastBolusIngredient": "NONE"})
    dataset.ingest()
    assert dataset.row("core.finding", kind="sources_disagree")["field"] == "ContrastBolusIngredient"


def test_a_value_that_many_images_inherit_is_one_finding(dataset: Dataset) -> None:
    dataset.write("T1w.json", MPRAGE | {"FlipAngle": 0})
    for sub in ("01", "02", "03"):
        dataset.image(f"sub-{sub}/anat/sub-{sub}_T1w.nii.gz")
    dataset.ingest()
    assert dataset.row("core.finding", kind="value_unknown")["path"] == "T1w.json"


def test_a_sidecar_that_does_not_parse_leaves_its_image_with_nothing_guessed(dataset: Dataset) -> None:
    messy(dataset).ingest()
    image = dataset.row("core.image", path="sub-02/anat/sub-02_FLAIR.nii.gz")
    acquisition = dataset.row("core.acquisition", image_id=image["image_id"])
    assert (acquisition["echo_time_s"], acquisition["echo_time_s_provenance"]) == (None, None)


def test_a_value_and_its_provenance_reach_the_catalogue(dataset: Dataset) -> None:
    messy(dataset).ingest()
    image = dataset.row("core.image", path=T1W)
    acquisition = dataset.row("core.acquisition", image_id=image["image_id"])
    assert (acquisition["echo_time_s"], acquisition["echo_time_s_provenance"]) == (0.00298, "sidecar")
    assert acquisition["manufacturer"] == "Siemens"
    assert acquisition["flip_angle_deg"] == 9
    assert image["sidecar_paths"] == ["T1w.json", T1W.replace(".nii.gz", ".json")]
    assert (image["axcodes"], image["voxel_size_mm_provenance"]) == ("LAS", "header")


def test_runs_are_images_of_their_own(dataset: Dataset) -> None:
    for run in (1, 2, 3):
        dataset.image(f"sub-01/anat/sub-01_run-{run}_T1w.nii.gz", MPRAGE)
    dataset.ingest()
    assert [row["run"] for row in dataset.rows("core.image")] == ["1", "2", "3"]
    assert len({row["image_id"] for row in dataset.rows("core.image")}) == 3


def test_a_row_without_images_and_images_without_a_row_are_both_participants(dataset: Dataset) -> None:
    messy(dataset).ingest()
    facts = {row["participant_id"]: (row["is_listed"], row["has_images"]) for row in dataset.rows("core.participant")}
    assert facts == {"01": (True, True), "02": (True, True), "03": (False, True), "09": (True, False)}


def test_content_that_was_not_fetched_is_catalogued_with_size_and_hash(dataset: Dataset) -> None:
    messy(dataset).ingest()
    image = dataset.row("core.image", path="sub-03/anat/sub-03_T1w.nii.gz")
    assert (image["content"], image["size_bytes"], image["content_hash"]) == ("absent", 99, "SHA256:00ff")
    assert (image["shape"], image["eligibility"]) == (None, "eligible")


def test_a_pointer_left_by_git_annex_is_content_that_was_not_fetched(dataset: Dataset) -> None:
    dataset.write(T1W, "/annex/objects/MD5E-s77--00ff.nii.gz\n")
    dataset.ingest()
    image = dataset.row("core.image", path=T1W)
    assert (image["content"], image["size_bytes"], image["content_hash"]) == ("absent", 77, "MD5:00ff")


def test_four_dimensions_where_three_belong_are_catalogued_and_not_eligible(dataset: Dataset) -> None:
    messy(dataset).ingest()
    image = dataset.row("core.image", path="sub-02/anat/sub-02_PDw.nii.gz")
    assert (image["n_volumes"], image["eligibility"]) == (3, "ineligible")


def test_two_point_eight_nine_tesla_is_kept_as_published(dataset: Dataset) -> None:
    dataset.image(T1W, MPRAGE | {"MagneticFieldStrength": 2.89362})
    dataset.ingest()
    assert dataset.rows("core.acquisition")[0]["magnetic_field_strength_t"] == 2.89362


def test_sex_and_age_of_a_sidecar_serve_where_no_table_has_them(dataset: Dataset) -> None:
    dataset.image(T1W, MPRAGE | {"PatientSex": "F", "PatientAge": "034Y"})
    dataset.ingest()
    participant, session = dataset.rows("core.participant")[0], dataset.rows("core.session")[0]
    assert (participant["sex"], participant["sex_provenance"]) == ("F", "sidecar")
    assert (session["age_years"], session["age_provenance"]) == (34, "sidecar")


def test_what_identifies_is_nowhere_in_the_lake(dataset: Dataset) -> None:
    secret = {
        "PatientName": "Quixotic^Ada",
        "InstitutionName": "Quixotic Clinic",
        "DeviceSerialNumber": "90210777",
        "global": {"StationName": "Quixotic1"},
    }
    dataset.write("participants.tsv", "participant_id\tsurname\tage\nsub-01\tQuixotic\t31\n")
    dataset.image(T1W, MPRAGE | secret)
    dataset.ingest()
    import pyarrow.parquet as pq

    parts = list(dataset.home.lake.glob("*/*/center=*/*.parquet"))
    text = " ".join(str(pq.read_table(part).to_pylist()) for part in parts)
    assert "2.3" in text  # the text is really there to be searched
    assert "Quixotic" not in text
    assert "90210777" not in text


def test_a_device_is_the_same_within_a_home_and_another_in_the_next(dataset: Dataset, tmp_path: Path) -> None:
    for sub in ("01", "02"):
        dataset.image(f"sub-{sub}/anat/sub-{sub}_T1w.nii.gz", MPRAGE | {"DeviceSerialNumber": "35119"})
    dataset.ingest()
    here = {row["device_id"] for row in dataset.rows("core.acquisition")}
    dataset.home = Home(tmp_path / "elsewhere")
    dataset.ingest()
    there = {row["device_id"] for row in dataset.rows("core.acquisition")}
    assert len(here) == len(there) == 1
    assert here != there


def test_an_unchanged_tree_is_ingested_again_without_opening_a_file(
    dataset: Dataset, opened: Callable[[Path], list[str]]
) -> None:
    messy(dataset)
    first = dataset.ingest()
    assert opened(dataset.root)  # the hook sees what is opened
    again = dataset.ingest()
    assert opened(dataset.root) == []
    assert (first.changed, again.changed) == (True, False)
    assert again.manifest == first.manifest
    assert is_current(dataset.home, RegisteredCenter(dataset.center, dataset.root))


def test_only_what_changed_is_opened_and_only_its_rows_change(
    dataset: Dataset, opened: Callable[[Path], list[str]]
) -> None:
    messy(dataset).ingest()
    before = {row["path"]: row for row in dataset.rows("core.acquisition") for row in [row | {"path": row["image_id"]}]}
    sidecar = dataset.write(T1W.replace(".nii.gz", ".json"), MPRAGE | {"EchoTime": 0.0035})
    opened(dataset.root)
    assert dataset.ingest().changed
    tables = {str(dataset.root / "participants.tsv")}
    looked_at = {str(dataset.root / "sub-02/anat/IM0001"), str(dataset.root / "odd.xyz")}
    assert set(opened(dataset.root)) - tables - looked_at == {str(sidecar)}
    after = {row["image_id"]: row for row in dataset.rows("core.acquisition")}
    changed = [key for key in after if after[key] != {k: v for k, v in before[key].items() if k != "path"}]
    assert changed == [dataset.row("core.image", path=T1W)["image_id"]]


def test_an_added_file_adds_rows_and_a_deleted_one_takes_its_own_away(dataset: Dataset) -> None:
    dataset.image(T1W, MPRAGE)
    dataset.ingest()
    identity = dataset.row("core.image", path=T1W)["image_id"]
    added = dataset.image("sub-02/anat/sub-02_T1w.nii.gz", MPRAGE)
    dataset.ingest()
    assert {row["participant_id"] for row in dataset.rows("core.image")} == {"01", "02"}
    added.unlink()
    dataset.ingest()
    assert [row["image_id"] for row in dataset.rows("core.image")] == [identity]


def test_incremental_and_fresh_ingest_agree(dataset: Dataset, tmp_path: Path) -> None:
    messy(dataset).ingest()
    dataset.image("sub-04/anat/sub-04_T1w.nii.gz", MPRAGE)
    (dataset.root / "odd.xyz").unlink()
    step_by_step = dataset.ingest()
    dataset.home = Home(tmp_path / "fresh")
    at_once = dataset.ingest()
    assert step_by_step.n_rows == at_once.n_rows
    rows = {part.table: part.sha256 for part in step_by_step.manifest.parts}
    assert rows == {part.table: part.sha256 for part in at_once.manifest.parts}


def test_an_empty_or_foreign_folder_is_an_error_and_the_last_state_stands(dataset: Dataset) -> None:
    image = dataset.image(T1W, MPRAGE)
    dataset.ingest()
    image.unlink()
    with pytest.raises(LayoutError, match="no image") as caught:
        dataset.ingest()
    assert "tumsyn centers check lab" in caught.value.remedy
    assert len(dataset.rows("core.image")) == 1


def test_a_root_that_went_away_is_an_error(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(CenterError, match="not a folder"):
        ingest_center(dataset.home, RegisteredCenter(dataset.center, tmp_path / "gone"))


def test_people_of_several_centres_are_joined_by_the_homes_table(dataset: Dataset) -> None:
    dataset.image(T1W, MPRAGE)
    dataset.home.root.mkdir()
    dataset.home.persons.write_text("center_id,participant_id,person_id\nlab,01,traveller\n")
    dataset.ingest()
    assert dataset.rows("core.participant")[0]["person_id"] == "traveller"


def test_a_flat_folder_of_bids_names_is_read(dataset: Dataset) -> None:
    dataset.image("sub-skyra_T1w.nii.gz", MPRAGE)
    dataset.ingest()
    assert dataset.row("core.image", path="sub-skyra_T1w.nii.gz")["participant_id"] == "skyra"


def test_progress_is_told_up_to_the_end(dataset: Dataset) -> None:
    dataset.image(T1W, MPRAGE)
    told: list[tuple[int, int, str]] = []
    dataset.ingest(progress=lambda *step: told.append(step))
    assert (1, 1, "headers") in told
    assert (2, 2, "sidecars") in told


FILES_LAYOUT = {
    "kind": "files",
    "images": [
        {
            "pattern": r"(?P<sub>IXI\d{3})-(?P<site>Guys|HH)-\d{4}-(?P<kind>T1|T2)\.nii\.gz",
            "entities": {"sub": "{sub}", "suffix": "{kind}w", "datatype": "anat"},
        },
        {
            "pattern": r"copies/(?P<sub>\w+)_T1\.nii\.gz",
            "entities": {"sub": "{sub}", "suffix": "T1w"},
            "ineligible": "a coregistered copy",
        },
    ],
    "companions": [{"pattern": r".*\.bvecs", "kind": "gradient"}],
    "protocols": [
        {"contrast": "T1w", "when": {"site": "HH"}, "values": {"magnetic_field_strength_t": 3.0}, "source": "a page"}
    ],
}


def test_a_native_layout_is_read_by_its_patterns_alone(dataset: Dataset) -> None:
    dataset.center = Center.model_validate({"center_id": "ixi", "title": "IXI", "layout": FILES_LAYOUT})
    dataset.image("IXI002-Guys-0828-T1.nii.gz")
    dataset.image("IXI002-Guys-0828-T2.nii.gz")
    dataset.image("IXI012-HH-1211-T1.nii.gz")
    dataset.image("copies/IXI012_T1.nii.gz")
    dataset.image("stray.nii.gz")
    dataset.write("x.bvecs", "1")
    dataset.ingest()
    images = {str(row["path"]): row for row in dataset.rows("core.image")}
    assert {path: row["contrast"] for path, row in images.items()} == {
        "IXI002-Guys-0828-T1.nii.gz": "T1w",
        "IXI002-Guys-0828-T2.nii.gz": "T2w",
        "IXI012-HH-1211-T1.nii.gz": "T1w",
        "copies/IXI012_T1.nii.gz": "T1w",
    }
    assert images["copies/IXI012_T1.nii.gz"]["eligibility_reason"] == "a coregistered copy"
    fields = {row["image_id"]: row["magnetic_field_strength_t"] for row in dataset.rows("core.acquisition")}
    assert fields[images["IXI012-HH-1211-T1.nii.gz"]["image_id"]] == 3.0
    assert fields[images["IXI002-Guys-0828-T1.nii.gz"]["image_id"]] is None
    assert dataset.row("core.rejection", path="stray.nii.gz")["reason"] == "unknown_name"


def test_left_and_right_are_as_the_header_says(dataset: Dataset) -> None:
    for name, flip in (("ras", 1.0), ("las", -1.0)):
        dataset.image(f"sub-{name}/anat/sub-{name}_T1w.nii.gz", MPRAGE, affine=np.diag([flip, 1, 1, 1]))
    dataset.ingest()
    assert {row["participant_id"]: row["axcodes"] for row in dataset.rows("core.image")} == {"ras": "RAS", "las": "LAS"}
