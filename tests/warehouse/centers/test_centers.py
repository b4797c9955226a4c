"""The shipped definitions, held against what their sources print: no builder of ours takes part."""

from __future__ import annotations

from pathlib import Path

import pytest

from warehouse.centers.registry import (
    HEALTHY,
    SHIPPED,
    AgeColumn,
    Center,
    CompanionPattern,
    IdColumn,
    ImagePattern,
    Layout,
    ParticipantsTable,
    PublishedProtocol,
    Verbatim,
    load_center,
    shipped,
)
from warehouse.ingest.discover import Discovery, discover
from warehouse.ingest.tree import walk

INTERNAL = {
    "adni",
    "camcan",
    "hcp_aging",
    "hcp_development",
    "hcp_young_adult",
    "ixi",
    "lemon",
    "nki_rockland",
    "open_ms",
    "ukb",
}
README = (SHIPPED / "README.md").read_text(encoding="utf-8")
EXTERNAL = {"aibl", "oasis3", "ucsf_pdgm"}
EXTRA = {"brats2021"}  # beyond the thirteen, see the README
PLACELESS = {"brats2021"}  # of many institutions that the files do not name
IDS = sorted(INTERNAL | EXTERNAL | EXTRA)


def found_in(center: Center, root: Path) -> Discovery:
    """Discover the verbatim paths of a centre, as empty files under a root."""
    for verbatim in center.verbatim:
        if verbatim.path:
            path = root / verbatim.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return discover(center, walk(root))


def columns_of(table: ParticipantsTable) -> set[str]:
    """Return every column that a table of participants is asked for."""
    coded = [column for column in (table.id, table.session, table.age, table.sex, table.person) if column]
    return {name for column in coded for name in column.names} | set(table.where) | set(table.has_columns)


def test_thirteen_centres_and_the_extra_ones_are_shipped() -> None:
    assert set(shipped()) == set(IDS)
    assert len(INTERNAL | EXTERNAL) == 13
    assert EXTRA.isdisjoint(INTERNAL | EXTERNAL)


def test_the_external_centres_are_the_three_that_are_only_tested() -> None:
    assert {name for name, center in shipped().items() if center.role == "external"} == EXTERNAL


@pytest.mark.parametrize("name", IDS)
def test_a_definition_stands_in_the_file_of_its_name(name: str) -> None:
    assert shipped()[name].center_id == name
    assert (SHIPPED / f"{name}.yaml").is_file()


@pytest.mark.parametrize("name", IDS)
def test_a_definition_says_who_where_and_under_which_terms(name: str) -> None:
    center = shipped()[name]
    assert all((center.title, center.license, center.access, center.citation))
    places = [center.city, center.country, center.latitude_deg, center.longitude_deg]
    if name in PLACELESS:
        assert places == [None] * 4
    else:
        assert None not in places
    assert center.contrasts
    assert not center.is_simulated


@pytest.mark.parametrize("name", IDS)
def test_at_least_ten_verbatim_paths_or_columns_are_cited(name: str) -> None:
    center = shipped()[name]
    printed = {verbatim.path or verbatim.column for verbatim in center.verbatim}
    assert len(printed) == len(center.verbatim) >= 10
    assert all(len(center.sources[verbatim.source]) > 30 for verbatim in center.verbatim)


@pytest.mark.parametrize("name", IDS)
def test_every_verbatim_image_is_read_as_its_source_means_it(tmp_path: Path, name: str) -> None:
    center = shipped()[name]
    found = found_in(center, tmp_path)
    by_path = {candidate.entry.path: candidate for candidate in found.images}
    assert not found.refusals
    for verbatim in images_of(center):
        assert verbatim.path
        candidate = by_path[verbatim.path]
        said = candidate.facts | candidate.entities | {"suffix": str(candidate.suffix)}
        assert {key: said.get(key) for key in verbatim.expect} == verbatim.expect, verbatim.path


@pytest.mark.parametrize("name", IDS)
def test_every_other_verbatim_path_is_a_companion(tmp_path: Path, name: str) -> None:
    center = shipped()[name]
    found = found_in(center, tmp_path)
    for verbatim in center.verbatim:
        if verbatim.path and not verbatim.is_image:
            assert verbatim.path in found.companions


def readme_rows() -> dict[str, list[str]]:
    """Return the cells of the README's table of centres, by identifier."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in README.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): row for row in rows if len(row) == 6 and row[1] != "dataset"}


def images_of(center: Center) -> list[Verbatim]:
    return [verbatim for verbatim in center.verbatim if verbatim.path and verbatim.is_image]


@pytest.mark.parametrize("name", IDS)
def test_every_verbatim_column_is_read(name: str) -> None:
    center = shipped()[name]
    read = set().union(*(columns_of(table) for table in center.layout.participants))
    assert {verbatim.column for verbatim in center.verbatim if verbatim.column} <= read


@pytest.mark.parametrize("name", IDS)
def test_a_verbatim_image_and_a_verbatim_column_are_among_them_or_the_layout_says_why_not(name: str) -> None:
    center = shipped()[name]
    has_both = bool(images_of(center)) and any(verbatim.column for verbatim in center.verbatim)
    assert has_both or center.layout_unverified


@pytest.mark.parametrize("name", IDS)
def test_a_protocol_speaks_of_a_contrast_that_is_offered_and_cites_its_source(name: str) -> None:
    center = shipped()[name]
    for protocol in center.layout.protocols:
        assert protocol.contrast in center.contrasts
        assert len(protocol.source) > 30


def test_the_flip_angle_of_space_is_declared_variable() -> None:
    declared = {
        (name, protocol.contrast)
        for name, center in shipped().items()
        for protocol in center.layout.protocols
        if protocol.values.get("is_flip_angle_variable")
    }
    assert declared == {("hcp_aging", "T2w"), ("hcp_development", "T2w"), ("hcp_young_adult", "T2w"), ("ukb", "FLAIR")}


def test_unverified_layouts_say_why() -> None:
    unverified = {name: center.layout_unverified for name, center in shipped().items() if center.layout_unverified}
    assert set(unverified) == {"hcp_aging", "hcp_development", "ukb"}
    assert all("source" in reason for reason in unverified.values())


@pytest.mark.parametrize(
    ("path", "subject"),
    [
        ("open_ms_longitudinal/patient03/study1_T2W.nii.gz", "long03"),
        ("patient03/study1_T2W.nii.gz", "long03"),
        ("longitudinal/raw/patient03/study1_T2W.nii.gz", "long03"),
        ("raw/patient03/study1_T2W.nii.gz", "long03"),
        ("patient03/coregistered_masks/brainmask.nii.gz", "long03"),
        ("open_ms_longitudinal/patient03/coregistered_masks/brainmask.nii.gz", "long03"),
        ("patient03/gt.nii.gz", "long03"),
        ("cross_sectional/raw/patient03/T2W.nii.gz", "cross03"),
        ("cross_sectional/coregistered/patient03/brainmask.nii.gz", "cross03"),
        (
            "open_ms_cross_sectional_mni/patient03/T1POST_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI.nii.gz",
            "cross03",
        ),
        ("patient03/T1POST_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI.nii.gz", "cross03"),
    ],
)
def test_patient_three_of_either_set_is_another_person_under_any_root(tmp_path: Path, path: str, subject: str) -> None:
    place = tmp_path / path
    place.parent.mkdir(parents=True)
    place.touch()
    found = discover(shipped()["open_ms"], walk(tmp_path))
    assert [candidate.entities["sub"] for candidate in found.images] == [subject]


@pytest.mark.parametrize(
    ("name", "path", "suffix", "eligible"),
    [
        (
            "adni",
            "002_S_0295/Axial_T2-FLAIR/2011-06-02_07_56_36.0/I1/ADNI_002_S_0295_MR_Axial_T2-FLAIR_I1.nii",
            "FLAIR",
            True,
        ),
        ("adni", "002_S_0295/Sag_3D_FLAIR_MPR/2011-06-02_07_56_36.0/I1/ADNI_002_S_0295_MR_X_I1.nii", "FLAIR", False),
        ("adni", "002_S_0295/Axial_T2-Star/2011-06-02_07_56_36.0/I1/ADNI_002_S_0295_MR_X_I1.nii", "T2starw", True),
        ("adni", "002_S_0295/Axial_PD_T2_FSE/2011-06-02_07_56_36.0/I1/ADNI_002_S_0295_MR_X_I1.nii", "PDT2", True),
        ("adni", "002_S_0295/IR-FSPGR/2011-06-02_07_56_36.0/I1/ADNI_002_S_0295_MR_X_I1.nii.gz", "T1w", True),
        ("oasis3", "sub-OAS30001/ses-d0757/anat/sub-OAS30001_ses-d0757_T2star.nii.gz", "T2starw", True),
        ("ukb", "1000223_20253_2_0/T2_FLAIR/T2_FLAIR.nii.gz", "FLAIR", False),
        (
            "hcp_development",
            "HCD0001305_V1_MR/unprocessed/T1w_MPR_vNav_4e_RMS/OTHER_FILES/HCD0001305_V1_MR_T1w_MPR_vNav_Norm_4e_RMS.nii.gz",
            "T1w",
            False,
        ),
    ],
)
def test_names_that_look_alike_are_told_apart(
    tmp_path: Path, name: str, path: str, suffix: str, eligible: bool
) -> None:
    place = tmp_path / path
    place.parent.mkdir(parents=True)
    place.touch()
    (candidate,) = discover(shipped()[name], walk(tmp_path)).images
    assert candidate.suffix == suffix
    assert (candidate.declared is None) == eligible


@pytest.mark.parametrize("name", IDS)
def test_the_readme_says_of_a_centre_what_its_definition_says(name: str) -> None:
    center, row = shipped()[name], readme_rows()[name]
    assert row[2:4] == [center.role, center.layout.kind]
    assert set(row[4].split(", ")) == set(center.contrasts)
    assert row[5].startswith("**in part**") == bool(center.layout_unverified)


def test_the_readme_says_that_the_thirteen_are_ours_and_which_centre_is_extra() -> None:
    assert "our choice, not the paper's" in README
    assert set(readme_rows()) == set(IDS)
    thirteen, extra = README.split("## One more")
    assert {name for name in IDS if f"| `{name}` |" in thirteen} == INTERNAL | EXTERNAL
    assert {name for name in IDS if f"| `{name}` |" in extra} == EXTRA


@pytest.mark.parametrize(
    ("path", "entities", "suffix", "declared"),
    [
        ("BraTS2021_00006/T1w.nii.gz", {"sub": "00006"}, "T1w", None),
        ("BraTS2021_00006/T1ce.nii.gz", {"sub": "00006", "ce": "contrast"}, "T1w", None),
        ("BraTS2021_00006/T2w.nii.gz", {"sub": "00006"}, "T2w", None),
        ("BraTS2021_00006/FLAIR.nii.gz", {"sub": "00006"}, "FLAIR", None),
        ("BraTS2021_00006/seg.nii.gz", {"sub": "00006", "label": "tumor"}, "dseg", None),
        ("brats2021/BraTS2021_01482/T1w.nii.gz", {"sub": "01482"}, "T1w", "covers part of the brain only"),
        ("BraTS2021_01482/BraTS2021_01482_t1.nii.gz", {"sub": "01482"}, "T1w", "covers part of the brain only"),
        ("BraTS2021_01482/BraTS2021_01482_t1ce.nii.gz", {"sub": "01482", "ce": "contrast"}, "T1w", None),
        ("BraTS2021_01482/FLAIR.nii.gz", {"sub": "01482"}, "FLAIR", None),
    ],
)
def test_brats_is_read_by_its_published_and_its_short_names(
    tmp_path: Path, path: str, entities: dict[str, str], suffix: str, declared: str | None
) -> None:
    place = tmp_path / path
    place.parent.mkdir(parents=True)
    place.touch()
    (candidate,) = discover(shipped()["brats2021"], walk(tmp_path)).images
    assert (candidate.entities, candidate.suffix, candidate.declared) == (entities, suffix, declared)


def test_a_name_of_another_case_than_its_folder_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "BraTS2021_00006" / "BraTS2021_00007_t1.nii.gz"
    place.parent.mkdir()
    place.touch()
    found = discover(shipped()["brats2021"], walk(tmp_path))
    assert not found.images
    assert len(found.refusals) == 1


def test_the_people_whose_real_scans_are_at_hand_have_the_split_that_was_decided() -> None:
    brats, open_ms = shipped()["brats2021"], shipped()["open_ms"]
    numbers = ["00006", *(f"{number:05}" for number in range(1476, 1486))]
    validated = {number for number in numbers if brats.fixed_split(number) == "val"}
    assert validated == {"01481", "01485"}
    assert {brats.fixed_split(number) for number in set(numbers) - validated} == {"train"}
    patients = ("long01", "long03", "long20", "cross07", "long04")
    assert [open_ms.fixed_split(patient) for patient in patients] == ["train"] * 4 + ["val"]
    assert (brats.fixed_split("00007"), open_ms.fixed_split("cross01")) == (None, None)


def test_the_scans_that_their_publishers_resampled_are_declared() -> None:
    resampled = {
        name
        for name, center in shipped().items()
        for pattern in center.layout.images
        if pattern.resampled and pattern.ineligible is None
    }
    assert resampled == {"brats2021", "open_ms", "ucsf_pdgm"}
    contrasts = {"T1w", "T2w", "FLAIR", "SWI", "{suffix}"}
    for name in ("brats2021", "ucsf_pdgm"):
        anatomical = [p for p in shipped()[name].layout.images if p.entities["suffix"] in contrasts]
        assert all(pattern.resampled for pattern in anatomical)


@pytest.mark.parametrize(
    "part",
    [
        Center,
        Layout,
        ImagePattern,
        CompanionPattern,
        ParticipantsTable,
        IdColumn,
        AgeColumn,
        PublishedProtocol,
        Verbatim,
    ],
)
def test_the_readme_describes_every_key(part: type[Center]) -> None:
    assert [key for key in part.model_fields if f"`{key}" not in README and f".{key}`" not in README] == []


def test_the_readme_example_reads_a_folder_without_any_python(tmp_path: Path) -> None:
    example = tmp_path / "mylab.yaml"
    example.write_text(README.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    center = load_center(example)
    for file in ("P007/1/x_t1_mprage.nii.gz", "P007/1/x_flair.nii.gz", "P007/1/lesions.nii.gz", "patients.csv"):
        place = tmp_path / "root" / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    found = discover(center, walk(tmp_path / "root"))
    assert {(image.entities["sub"], image.entities["ses"], image.suffix) for image in found.images} == {
        ("P007", "1", "T1w"),
        ("P007", "1", "FLAIR"),
        ("P007", "1", "dseg"),
    }
    assert set(found.companions) == {"patients.csv"}


def test_the_label_of_lesions_is_one_that_the_layout_gives() -> None:
    marked = {center.center_id: center for center in shipped().values() if center.lesions not in (None, HEALTHY)}
    assert {"brats2021", "open_ms"} <= marked.keys()
    for center in marked.values():
        given = [pattern.entities for pattern in center.layout.images]
        assert any(one["suffix"] == "dseg" and one.get("label") == center.lesions for one in given)
