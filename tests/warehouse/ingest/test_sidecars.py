from __future__ import annotations

import json
from pathlib import Path

import bids2table
import pytest

from tests.warehouse.ingest.conftest import Dataset
from warehouse.errors import SidecarError
from warehouse.ingest.sidecars import Inheritance, Sidecar, read_sidecar, stem
from warehouse.ingest.tree import walk
from warehouse.tables import TABLES

SALT = b"salt"


def read(folder: Path, content: bytes) -> Sidecar:
    (folder / "a.json").write_bytes(content)
    return read_sidecar(str(folder / "a.json"), "a.json", SALT)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'\xef\xbb\xbf{"EchoTime": 0.002}', id="byte-order mark"),
        pytest.param(b'{\r\n"EchoTime": 0.002\r\n}\r\n', id="CRLF"),
        pytest.param(b'{"EchoTime": 0.002, "SAR": NaN}', id="NaN beside it"),
    ],
)
def test_a_sidecar_is_read_however_it_was_written(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content).fields["EchoTime"] == 0.002


def test_nan_counts_as_missing(tmp_path: Path) -> None:
    assert read(tmp_path, b'{"EchoTime": NaN}').fields == {"EchoTime": None}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'{"EchoTime": 0.002}}', id="one brace too many"),
        pytest.param(b'{"EchoTime": 0.002', id="cut short"),
        pytest.param(b"", id="empty"),
        pytest.param(b"[1, 2]", id="a list"),
        pytest.param(b"\xff\xfe{\x00}\x00", id="UTF-16"),
        pytest.param(b"[" * 100_000, id="nested without end"),
        pytest.param(b'{"a": ' * 100_000, id="objects nested without end"),
        pytest.param(b'{"SeriesDescription": "t1 \\ud83d"}', id="a lone surrogate"),
        pytest.param(b'{"\\uDC00": 1}', id="a lone surrogate in a name"),
        pytest.param(b'{"SAR": 1' + b"0" * 5000 + b"}", id="an integer of 5,000 digits"),
        pytest.param(b'{"EchoTime": 0.002}\0\0', id="NUL after the object"),
        pytest.param(b"null", id="null"),
    ],
)
def test_what_is_no_json_object_is_an_error_that_names_the_file_and_a_mend(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SidecarError, match=r"a\.json") as caught:
        read(tmp_path, content)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "value", ["1e999", "-1e999", "1" + "0" * 400, '"\\u0000\\u0000"', '"\\ud83d\\ude00"', "[[[[1]]]]", '{"a": {}}']
)
def test_a_value_that_no_table_can_hold_costs_itself_and_its_neighbours_are_read(tmp_path: Path, value: str) -> None:
    sidecar = read(tmp_path, f'{{"SAR": {value}, "Manufacturer": {value}, "EchoTime": 0.002}}'.encode())
    assert sidecar.fields["EchoTime"] == 0.002
    json.loads(str(sidecar.row("lab")["fields"]))
    TABLES["raw.sidecar"].rows([sidecar.row("lab")])


def test_a_field_that_is_named_twice_is_said(tmp_path: Path) -> None:
    sidecar = read(tmp_path, b'{"EchoTime": 0.003, "EchoTime": 0.09, "Note": 1, "Note": 2}')
    assert sidecar.fields == {"EchoTime": 0.09}
    assert [(found.kind, found.field) for found in sidecar.findings] == [("field_repeated", "EchoTime")]


def test_a_parameter_whose_name_is_spelled_in_another_way_is_said(tmp_path: Path) -> None:
    sidecar = read(tmp_path, b'{"echo_time": 0.003, "RepetitionTime ": 2, "FlipAngle": 9, "flipangle": 8}')
    assert sidecar.fields == {"FlipAngle": 9}
    assert {(found.kind, found.field) for found in sidecar.findings} == {
        ("field_not_read", "EchoTime"),
        ("field_not_read", "RepetitionTime"),
    }


def test_the_nearest_sidecar_stands_last() -> None:
    index = Inheritance.of(["T1w.json", "sub-1/sub-1_T1w.json", "sub-1/anat/sub-1_run-2_T1w.json", "T2w.json"])
    applying = index.applying("sub-1/anat/sub-1_run-2_T1w.nii.gz")
    assert applying == ["T1w.json", "sub-1/sub-1_T1w.json", "sub-1/anat/sub-1_run-2_T1w.json"]


def test_a_sidecar_of_another_run_person_or_suffix_does_not_apply() -> None:
    index = Inheritance.of(["acq-hi_T1w.json", "sub-1/sub-1_run-1_T1w.json", "sub-2/sub-2_T1w.json", "bold.json"])
    assert index.applying("sub-1/anat/sub-1_run-2_T1w.nii.gz") == []


def test_a_sidecar_beside_an_image_of_any_name_applies() -> None:
    index = Inheritance.of(["scans/IXI002-T1.json", "sub-x_T1w.json"])
    assert index.applying("scans/IXI002-T1.nii.gz") == ["scans/IXI002-T1.json"]
    assert index.applying("sub-x_T1w.nii") == ["sub-x_T1w.json"]


@pytest.mark.parametrize(
    ("path", "expected"), [("a/b.nii.gz", "a/b"), ("a/b.nii", "a/b"), ("a.b/c.d.nii.gz", "a.b/c.d")]
)
def test_the_stem_keeps_all_but_the_image_extension(path: str, expected: str) -> None:
    assert stem(path) == expected


def awkward(dataset: Dataset) -> list[str]:
    """Inheritance from the root, from an acquisition, a session, a run; a FLAIR that inherits nothing."""
    dataset.write("T1w.json", {"EchoTime": 0.001, "FlipAngle": 8})
    dataset.write("acq-hi_T1w.json", {"EchoTime": 0.002, "RepetitionTime": 2.0})
    dataset.write("sub-1/ses-a/sub-1_ses-a_T1w.json", {"FlipAngle": 9})
    images = [
        "sub-1/ses-a/anat/sub-1_ses-a_acq-hi_run-1_T1w.nii.gz",
        "sub-1/ses-a/anat/sub-1_ses-a_acq-hi_run-2_T1w.nii.gz",
        "sub-1/ses-a/anat/sub-1_ses-a_FLAIR.nii.gz",
        "sub-1/ses-b/anat/sub-1_ses-b_T1w.nii.gz",
        "sub-2/anat/sub-2_acq-lo_T1w.nii.gz",
    ]
    for image in images:
        dataset.image(image)
    dataset.write(images[1].replace(".nii.gz", ".json"), {"EchoTime": 0.003})
    dataset.write("sub-2/anat/sub-2_acq-lo_T1w.json", {"InversionTime": 0.9})
    return images


def merged(dataset: Dataset, image: str) -> dict[str, object]:
    paths = [entry.path for entry in walk(dataset.root) if entry.path.endswith(".json")]
    fields: dict[str, object] = {}
    for path in Inheritance.of(paths).applying(image):
        fields |= read_sidecar(str(dataset.root / path), path, SALT).fields
    return fields


def test_inheritance_agrees_with_bids2table(dataset: Dataset) -> None:
    for image in awkward(dataset):
        assert merged(dataset, image) == bids2table.load_bids_metadata(dataset.root / image), image


@pytest.mark.filterwarnings("ignore")
def test_inheritance_agrees_with_pybids(dataset: Dataset) -> None:
    bids = pytest.importorskip("bids", reason="pybids is a development extra")
    images = awkward(dataset)
    layout = bids.BIDSLayout(dataset.root, validate=False)
    for image in images:
        assert merged(dataset, image) == layout.get_metadata(str(dataset.root / image)), image
