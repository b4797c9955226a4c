"""Whose an image is: folder and file name together, and what lies outside a dataset's own places."""

from __future__ import annotations

import os
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.warehouse.ingest.conftest import Dataset
from warehouse.errors import LayoutError
from warehouse.ingest.bids import MatchedLabels, match_labels
from warehouse.ingest.discover import discover
from warehouse.ingest.tree import Entry, walk


def eligibility(dataset: Dataset) -> dict[str, str]:
    return {row["path"]: f"{row['eligibility']}: {row['eligibility_reason']}" for row in dataset.rows("core.image")}


def reasons(dataset: Dataset) -> dict[str, str]:
    return {row["path"]: row["reason"] for row in dataset.rows("core.rejection")}


def test_a_session_in_the_folder_alone_is_a_visit_of_its_own(dataset: Dataset) -> None:
    for visit in ("1", "2"):
        dataset.image(f"sub-01/ses-{visit}/anat/sub-01_T1w.nii.gz", shape=(5, 6, 7 + int(visit)))
    dataset.ingest()
    assert {row["session_label"] for row in dataset.rows("core.session")} == {"1", "2"}


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("sub-02/anat/sub-01_T1w.nii.gz", id="another participant"),
        pytest.param("sub-02/anat/sub-2_T1w.nii.gz", id="another number of zeros"),
        pytest.param("sub-02/ses-1/anat/sub-02_ses-2_T1w.nii.gz", id="another session"),
        pytest.param("sub-02/sub-03/anat/sub-03_T1w.nii.gz", id="a participant within a participant"),
    ],
)
def test_folder_and_name_that_contradict_each_other_are_refused_with_both(dataset: Dataset, path: str) -> None:
    dataset.image("sub-01/anat/sub-01_T1w.nii.gz")
    dataset.image(path)
    dataset.ingest()
    refused = dataset.row("core.rejection", path=path)
    assert refused["reason"] == "contradicting_identity"
    assert str(refused["detail"]).count("sub-") + str(refused["detail"]).count("ses-") == 2
    assert [row["participant_id"] for row in dataset.rows("core.participant")] == ["01"]


def test_two_datasets_under_one_root_are_refused_with_how_to_register_them(dataset: Dataset) -> None:
    for study in ("studyA", "studyB"):
        dataset.image(f"{study}/sub-01/anat/sub-01_T1w.nii.gz")
    with pytest.raises(LayoutError, match="several datasets") as refusal:
        dataset.ingest()
    assert "centre of its own" in refusal.value.remedy


def test_a_dataset_within_the_dataset_is_refused_and_the_outer_one_is_read(dataset: Dataset) -> None:
    dataset.image("sub-01/anat/sub-01_T1w.nii.gz")
    dataset.write("other/dataset_description.json", {"Name": "another", "BIDSVersion": "1.9.0"})
    dataset.image("other/sub-01/anat/sub-01_T1w.nii.gz", shape=(6, 6, 6))
    dataset.ingest()
    assert reasons(dataset) == {"other/sub-01/anat/sub-01_T1w.nii.gz": "nested_dataset"}
    assert len(dataset.rows("core.image")) == 1


def test_a_dataset_below_the_root_is_found_and_said(dataset: Dataset) -> None:
    (dataset.root / "dataset_description.json").unlink()
    dataset.image("rawdata/sub-01/anat/sub-01_T1w.nii.gz")
    dataset.write("rawdata/participants.tsv", "participant_id\tage\tsex\nsub-01\t18\tF\n")
    dataset.write("rawdata/participants.json", {"age": {"Units": "months"}})
    dataset.ingest()
    person = dataset.row("core.participant")
    assert (person["age_years"], person["sex"]) == (1.5, "F")
    assert set(eligibility(dataset).values()) == {"eligible: a whole image of one contrast"}
    [finding] = [row for row in dataset.rows("core.finding") if row["kind"] == "place"]
    assert finding["path"] == "rawdata/"


@pytest.mark.parametrize("folder", ["old", "tmp_dcm2bids", "excluded", "backup/2021"])
def test_images_outside_the_folders_of_participants_are_catalogued_and_not_eligible(
    dataset: Dataset, folder: str
) -> None:
    dataset.image("sub-01/anat/sub-01_T1w.nii.gz")
    path = f"{folder}/sub-01/anat/sub-01_T1w.nii.gz"
    dataset.image(path, shape=(6, 6, 6))
    dataset.ingest()
    assert eligibility(dataset)[path].startswith(f"ineligible: it lies in {folder}/")


@pytest.mark.parametrize("folder", ["derivatives/freesurfer", "Derivatives", "sourcedata", "code", "stimuli"])
def test_whatever_lies_where_bids_leaves_the_content_free_is_a_companion(dataset: Dataset, folder: str) -> None:
    dataset.image("sub-01/anat/sub-01_T1w.nii.gz")
    for name in ("lh.thickness.odd", "aseg.xyz", "no_ending", "weird.tsv#"):
        dataset.write(f"{folder}/sub-01/{name}", "anything")
    dataset.image(f"{folder}/sub-01/anat/sub-01_T1w.nii.gz", shape=(6, 6, 6))
    dataset.ingest()
    assert reasons(dataset) == {}
    assert eligibility(dataset)[f"{folder}/sub-01/anat/sub-01_T1w.nii.gz"] == "ineligible: a derivative"


def test_what_bidsignore_names_is_a_companion_unless_it_is_an_image_of_a_participant(dataset: Dataset) -> None:
    dataset.write(".bidsignore", "*.xyz\nextra/\n*_acq-bad_T1w.nii.gz\n")
    dataset.image("sub-01/anat/sub-01_T1w.nii.gz")
    dataset.image("sub-01/anat/sub-01_acq-bad_T1w.nii.gz", shape=(6, 6, 6))
    dataset.write("sub-01/anat/notes.xyz", "x")
    dataset.write("extra/a.unknown", "x")
    dataset.write("other/b.unknown", "x")
    dataset.ingest()
    assert reasons(dataset) == {"other/b.unknown": "unknown_file"}
    assert len(dataset.rows("core.image")) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        "sub-01/anat/._sub-01_T1w.nii.gz",
        "__MACOSX/sub-01/anat/sub-01_T2w.nii.gz",
        "sub-01/anat/Thumbs.db",
        "sub-01/Icon\r",
        "sub-01/anat/.~lock.x.tsv#",
        "sub-01/anat/~$notes.docx",
        "sub-01/.ipynb_checkpoints/a.unknown",
        "sub-01/anat/notes.txt~",
    ],
)
def test_what_systems_and_programs_leave_behind_is_housekeeping(dataset: Dataset, path: str) -> None:
    dataset.image("sub-01/anat/sub-01_T1w.nii.gz")
    dataset.write(path, "x")
    dataset.ingest()
    assert dataset.row("raw.file", path=path)["kind"] == "housekeeping"
    assert len(dataset.rows("core.image")) == 1


@pytest.mark.parametrize(
    ("image_type", "reason"),
    [
        (["ORIGINAL", "PRIMARY", "P", "ND"], "the phase part"),
        (["DERIVED", "SECONDARY", "MPR", "MNIP"], "reformatted or projected"),
        (["ORIGINAL", "PRIMARY", "M", "ND"], "a whole image"),
        (["DERIVED", "PRIMARY", "M", "NORM"], "a whole image"),
        ("ORIGINAL\\PRIMARY\\PHASE MAP", "the phase part"),
    ],
)
def test_the_type_of_image_in_a_sidecar_rules_out_phase_and_projections(
    dataset: Dataset, image_type: object, reason: str
) -> None:
    dataset.image("sub-01/swi/sub-01_swi.nii.gz", {"ImageType": image_type})
    dataset.ingest()
    assert reason in eligibility(dataset)["sub-01/swi/sub-01_swi.nii.gz"]


def test_a_copy_under_another_name_is_not_eligible_and_named(dataset: Dataset) -> None:
    one = dataset.image("sub-01/anat/sub-01_T1w.nii.gz")
    (dataset.root / "sub-02/anat").mkdir(parents=True)
    shutil.copy(one, dataset.root / "sub-01/anat/sub-01_run-2_T1w.nii.gz")
    os.link(one, dataset.root / "sub-01/anat/sub-01_T2w.nii.gz")
    shutil.copy(one, dataset.root / "sub-02/anat/sub-02_T1w.nii.gz")
    dataset.ingest()
    eligible = [path for path, said in eligibility(dataset).items() if said.startswith("eligible")]
    assert len(eligible) == 1
    assert "another participant" in eligibility(dataset)["sub-02/anat/sub-02_T1w.nii.gz"]
    kinds = Counter(row["kind"] for row in dataset.rows("core.finding"))
    assert kinds == {"duplicate": 3, "images_without_row": 1}


def test_labels_that_become_one_without_forbidden_characters_are_refused(dataset: Dataset) -> None:
    dataset.image("sub-01/anat/sub-01_T1w.nii.gz")
    dataset.image("sub-a-b/anat/sub-a-b_T1w.nii.gz")
    dataset.image("sub-ab/anat/sub-ab_T1w.nii.gz")
    dataset.ingest()
    assert set(reasons(dataset).values()) == {"ambiguous_label"}
    assert [row["participant_id"] for row in dataset.rows("core.participant")] == ["01"]


def test_a_name_that_is_not_utf8_costs_that_file_alone(dataset: Dataset) -> None:
    dataset.image("sub-01/anat/sub-01_T1w.nii.gz")
    odd = os.fsencode(dataset.root / "sub-01/anat") + b"/sub-01_acq-\xe9_T2w.nii.gz"
    shutil.copy(dataset.root / "sub-01/anat/sub-01_T1w.nii.gz", odd)
    os.mkdir(os.fsencode(dataset.root) + b"/sub-\xff")
    dataset.ingest()
    assert set(reasons(dataset).values()) == {"name_not_utf8"}
    assert any("\\xe9" in path for path in reasons(dataset))
    assert len(dataset.rows("core.image")) == 1


def test_links_to_folders_above_end_at_once(dataset: Dataset) -> None:
    for label in ("01", "02"):
        dataset.image(f"sub-{label}/anat/sub-{label}_T1w.nii.gz", shape=(5, 6, 7 + int(label)))
        (dataset.root / f"sub-{label}/up").symlink_to("..")
    dataset.ingest()
    assert reasons(dataset) == {"sub-01/up": "symlink_loop", "sub-02/up": "symlink_loop"}


LABELS = st.sampled_from(["01", "1", "001", "a", "A", "a-b", "ab", "0_1"])
FOLDER = st.one_of(
    st.sampled_from(["", "rawdata/", "old/", "derivatives/x/", "studyA/", "studyB/", "sourcedata/"]),
)
PATHS = st.builds(
    lambda above, sub, ses, name, named_ses, suffix: (
        f"{above}sub-{sub}/" + (f"ses-{ses}/" if ses else "") + "anat/"
        f"sub-{name}" + (f"_ses-{named_ses}" if named_ses else "") + f"_{suffix}.nii.gz"
    ),
    FOLDER,
    LABELS,
    st.sampled_from(["", "1", "2"]),
    LABELS,
    st.sampled_from(["", "1"]),
    st.sampled_from(["T1w", "T2w"]),
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths=st.sets(PATHS, min_size=1, max_size=8))
def test_images_of_different_folders_of_participants_never_share_a_participant(
    dataset: Dataset, paths: set[str]
) -> None:
    entries = [Entry(path, f"/nowhere/{path}", 10, 0, 0) for path in sorted(paths)]
    found = discover(dataset.center, entries)
    folders: dict[str, set[str]] = defaultdict(set)
    for candidate in found.images:
        if not (candidate.derived or candidate.place):
            folders[candidate.entities["sub"]].add(candidate.entry.path.split("/sub-")[0].split("sub-")[0])
            [label] = {part for part in candidate.entry.path.split("/")[:-1] if part.startswith("sub-")}
            folders[candidate.entities["sub"]].add(label)
    for participant, places in folders.items():
        labels = {place for place in places if place.startswith("sub-")}
        assert len(labels) == 1, (participant, places)


def test_the_walk_is_the_only_one(tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset.image("sub-01/anat/sub-01_T1w.nii.gz")
    entries = walk(dataset.root)
    monkeypatch.setattr(os, "scandir", lambda *_: pytest.fail("a second walk"))
    monkeypatch.setattr(os, "listdir", lambda *_: pytest.fail("a second walk"))
    assert len(discover(dataset.center, entries).images) == 1


@pytest.mark.parametrize(
    ("table", "folder"),
    [("1", "001"), ("001", "1"), ("S1", "S01"), ("sub001", "001"), ("s01", "S01"), ("A1B02", "a01b2")],
)
def test_a_label_that_differs_by_padding_case_or_prefix_is_matched(table: str, folder: str) -> None:
    assert match_labels([table], [folder, "other"]) == MatchedLabels({table: folder})


def test_an_exact_label_is_always_its_own() -> None:
    found = match_labels(["1", "01"], ["1", "01"])
    assert (found.of("1"), found.of("01")) == ("1", "01")
    assert found == MatchedLabels()


@pytest.mark.parametrize(
    ("table", "folders", "ambiguous"),
    [(["1"], ["01", "001"], {"1"}), (["1", "01"], ["001"], {"1", "01"}), (["1", "001"], ["001"], {"1"})],
)
def test_a_label_that_fits_twice_is_matched_with_none(
    table: list[str], folders: list[str], ambiguous: set[str]
) -> None:
    found = match_labels(table, folders)
    assert found.folders == {}
    assert found.ambiguous == ambiguous


@pytest.mark.parametrize(("table", "folder"), [("1", "2"), ("10", "1"), ("100", "1"), ("A1", "B1"), ("12", "1")])
def test_other_labels_are_not_matched(table: str, folder: str) -> None:
    assert match_labels([table], [folder]) == MatchedLabels()
