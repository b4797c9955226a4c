"""`tumsyn centers` registers, checks, lists and removes datasets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.pipelines.conftest import Command
from warehouse.centers.registry import RegisteredCenter, registered, shipped
from warehouse.lake.home import Home
from warehouse.lake.parts import manifests


def test_a_shipped_centre_is_registered_by_its_name(tumsyn: Command, home: Home, bids: Path) -> None:
    assert tumsyn("centers", "add", "ixi", "--root", str(bids)).exit_code == 0
    assert registered(home)["ixi"].center == shipped()["ixi"]
    assert registered(home)["ixi"].root == bids


def test_any_bids_dataset_is_registered_with_title_and_role(tumsyn: Command, home: Home, bids: Path) -> None:
    words = ["--layout", "bids", "--root", str(bids), "--title", "My lab", "--role", "external"]
    assert tumsyn("centers", "add", "mylab", *words).exit_code == 0
    center = registered(home)["mylab"].center
    assert (center.title, center.role, center.layout.kind) == ("My lab", "external", "bids")


def test_a_shipped_centre_that_was_converted_to_bids_keeps_its_description(
    tumsyn: Command, home: Home, bids: Path
) -> None:
    assert tumsyn("centers", "add", "oasis3", "--layout", "bids", "--root", str(bids)).exit_code == 0
    center = registered(home)["oasis3"].center
    assert center.layout.kind == "bids"
    assert center.role == "external"
    assert center.citation == shipped()["oasis3"].citation


def test_a_definition_of_ones_own_is_registered_under_the_name_given(
    tumsyn: Command, home: Home, bids: Path, tmp_path: Path
) -> None:
    definition = tmp_path / "anything.yaml"
    definition.write_text(yaml.safe_dump({"center_id": "other", "title": "T", "layout": {"kind": "bids"}}))
    assert tumsyn("centers", "add", "mine", "--definition", str(definition), "--root", str(bids)).exit_code == 0
    assert registered(home)["mine"].center.title == "T"


def test_a_broken_definition_is_told_with_file_and_key(tumsyn: Command, bids: Path, tmp_path: Path) -> None:
    definition = tmp_path / "broken.yaml"
    definition.write_text(yaml.safe_dump({"center_id": "x", "title": "T", "layout": {"kind": "dicom"}}))
    result = tumsyn("centers", "add", "x", "--definition", str(definition), "--root", str(bids))
    assert result.exit_code == 1
    assert "broken.yaml" in result.stderr
    assert "layout.kind" in result.stderr


def test_a_registered_centre_is_replaced_only_on_request(
    tumsyn: Command, home: Home, tiny: RegisteredCenter, tmp_path: Path
) -> None:
    words = ["centers", "add", "tiny", "--layout", "bids", "--root", str(tmp_path)]
    refused = tumsyn(*words)
    assert refused.exit_code == 1
    assert "--replace" in refused.stderr
    assert registered(home)["tiny"].root == tiny.root
    assert tumsyn(*words, "--replace").exit_code == 0
    assert registered(home)["tiny"].root == tmp_path


def test_the_list_shows_registered_centres_first_and_every_shipped_one(tumsyn: Command, tiny: RegisteredCenter) -> None:
    rows = json.loads(tumsyn("centers", "list", "--format", "json").stdout)
    assert rows[0]["center_id"] == "tiny"
    assert rows[0]["root"] == str(tiny.root)
    assert {row["center_id"] for row in rows} == {"tiny", *shipped()}


def test_the_list_shows_what_could_not_be_verified(tumsyn: Command) -> None:
    rows = json.loads(tumsyn("centers", "list", "--format", "json").stdout)
    shown = {row["center_id"]: row["layout_unverified"] for row in rows}
    assert shown == {name: center.layout_unverified for name, center in shipped().items()}


def test_a_check_counts_every_file_once_and_writes_nothing(tumsyn: Command, home: Home, tiny: RegisteredCenter) -> None:
    (tiny.root / "sub-01" / "stray.nii.gz").touch()
    before = sorted(path for path in home.root.rglob("*") if path.is_file())
    result = tumsyn("centers", "check", "tiny", "--format", "json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    files = [path for path in tiny.root.rglob("*") if path.is_file()]
    assert sum(row["n_files"] for row in rows) == len(files)
    assert {row["kind"]: row["n_files"] for row in rows if row["disposition"] == "image"}["FLAIR"] == 2
    assert sorted(path for path in home.root.rglob("*") if path.is_file()) == before


def test_a_check_says_what_does_not_agree_once_for_each_kind_and_writes_nothing(
    tumsyn: Command, home: Home, tiny: RegisteredCenter
) -> None:
    sidecars = sorted(tiny.root.rglob("*_FLAIR.json"))
    for sidecar in [*sidecars, tiny.root / "FLAIR.json"]:
        fields = json.loads(sidecar.read_text()) if sidecar.exists() else {}
        sidecar.write_text(json.dumps(fields | {"FlipAngle": "nine"}))
    (tiny.root / "participants.tsv").write_text("participant_id\tage\tsex\nsub-77\told\tF\nsub-78\t40\tM\n")
    (tiny.root / "acq-x_T1w.json").write_text("{}")
    before = sorted(path for path in home.root.rglob("*") if path.is_file())
    result = tumsyn("centers", "check", "tiny", "--format", "json")
    assert result.exit_code == 0
    for kind in (
        "2 × row_without_images",
        "images_without_row",
        "sidecar_without_image",
        "value_not_read FlipAngle",
    ):
        assert sum(kind in line for line in result.stderr.splitlines()) == 1, result.stderr
    assert "participants.tsv, row 1" in result.stderr
    assert sorted(path for path in home.root.rglob("*") if path.is_file()) == before


def test_a_check_fails_where_nothing_is_an_image(tumsyn: Command, bids: Path) -> None:
    result = tumsyn("centers", "check", "ixi", "--root", str(bids))
    assert result.exit_code == 1
    assert "no file under" in result.stderr
    assert "no table of participants matches" in result.stderr


def test_a_check_of_a_folder_that_is_gone_says_so(tumsyn: Command, tiny: RegisteredCenter) -> None:
    tiny.root.rename(tiny.root.with_name("moved"))
    result = tumsyn("centers", "check", "tiny")
    assert result.exit_code == 1
    assert "is not a folder" in result.stderr


@pytest.mark.slow
def test_a_removed_centre_is_gone_from_the_next_catalogue_and_its_folder_stays(
    tumsyn: Command, home: Home, tiny: RegisteredCenter, tmp_path: Path
) -> None:
    from tests.conftest import write_bids

    other = write_bids(tmp_path / "other")
    tumsyn("centers", "add", "other", "--layout", "bids", "--root", str(other))
    assert tumsyn("ingest").exit_code == 0
    assert tumsyn("centers", "remove", "other").exit_code == 0
    assert list(manifests(home)) == ["tiny"]
    assert tumsyn("ingest").exit_code == 0
    rows = json.loads(tumsyn("sql", "SELECT center_id FROM core.center", "--format", "json").stdout)
    assert rows == [{"center_id": "tiny"}]
    assert (other / "participants.tsv").is_file()


@pytest.mark.parametrize("name", ["ixi", "open_ms"])
def test_a_shipped_definition_is_tried_without_registering_it(
    tumsyn: Command, home: Home, bids: Path, name: str
) -> None:
    result = tumsyn("centers", "check", name, "--root", str(bids))
    assert result.exit_code == 1  # a BIDS dataset is not in the layout of these centres
    assert f"is an image by the layout of {name}" in result.stderr
    assert registered(home) == {}
