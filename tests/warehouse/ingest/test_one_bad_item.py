"""Whatever bytes one file holds, all else is ingested as without it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.warehouse.ingest.conftest import Dataset, nifti_bytes
from warehouse.centers.registry import Center, RegisteredCenter
from warehouse.ingest import check_center
from warehouse.lake.home import Home
from warehouse.tables import PARTITIONED, TABLES

SIDE = {"RepetitionTime": 2.0, "EchoTime": 0.003, "Manufacturer": "Siemens"}
FILES = {
    "sub-01/anat/sub-01_T1w.json": json.dumps(SIDE).encode(),
    "sub-01/anat/sub-01_T1w.nii.gz": gzip.compress(nifti_bytes(), mtime=0),
    "sub-01/anat/sub-01_T2w.nii": nifti_bytes(),
    "sub-01/sub-01_sessions.tsv": b"session_id\tage\nses-1\t60\n",
    "sub-01/sub-01_scans.tsv": b"filename\tacq_time\nanat/sub-01_T1w.nii.gz\tn/a\n",
    "participants.tsv": b"participant_id\tage\tsex\nsub-01\t30\tF\nsub-02\t40\tM\n",
    "participants.json": b'{"age": {"Units": "years"}}',
    "sessions.json": b'{"age": {"Units": "years"}}',
    "phenotype/memory.tsv": b"participant_id\tage\nsub-01\t30\n",
    "T2w.json": b'{"FlipAngle": 90}',
    "README": b"text",
}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["n/a", "2 ms", "\ud83d", "\0", 10**400, 1e308, "M", "months", "0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [
        "EchoTime",
        "Manufacturer",
        "ImageType",
        "PatientAge",
        "PatientSex",
        "FlipAngle",
        "age",
        "global",
        "ContrastBolusAgent",
        "DeviceSerialNumber",
        "MRAcquisitionType",
        "SliceThickness",
    ]
)
OBJECTS = st.dictionaries(KEYS | st.text(max_size=5), JSON, max_size=6)
CELLS = st.lists(st.lists(st.text(max_size=6), max_size=4).map("\t".join), max_size=5).map("\n".join)
HEADS = st.sampled_from(["participant_id\tage\tsex\n", "session_id\tage\n", "filename\tage\n", "age\t\t\n", "\n"])
TABLES_OF_TEXT = st.tuples(HEADS, CELLS).map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass"))


def as_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()


def in_header(at: int, some: bytes) -> bytes:
    content = bytearray(nifti_bytes())
    content[at : at + len(some)] = some
    return bytes(content[: len(nifti_bytes())])


HEADERS = st.builds(in_header, st.integers(0, 347), st.binary(min_size=1, max_size=8))
CONTENTS = st.one_of(
    st.binary(max_size=200),
    OBJECTS.map(as_json),
    JSON.map(as_json),
    TABLES_OF_TEXT,
    HEADERS,
    HEADERS.map(lambda content: gzip.compress(content, mtime=0)),
    st.sampled_from([content[: len(content) // 2] for content in FILES.values()]),
)


def rows_of(dataset: Dataset) -> dict[str, list[dict[str, object]]]:
    """Return the rows that an ingest writes, as Arrow holds them."""
    made = check_center(dataset.home, RegisteredCenter(dataset.center, dataset.root)).rows
    return {table.name: table.rows(made[table.name]).to_pylist() for table in PARTITIONED}


def of_other_people(rows: dict[str, list[dict[str, object]]]) -> dict[str, list[str]]:
    """Return all rows of sub-02, of whom no file is changed."""
    images = {row["image_id"] for row in rows["core.image"] if row["participant_id"] == "02"}
    return {
        name: sorted(
            json.dumps(row)
            for row in rows[name]
            if row.get("image_id") in images
            or "sub-02" in str(row.get("path"))
            or "sub-02" in str(row.get("session_id"))
        )
        for name in ("raw.file", "raw.sidecar", "raw.header", "core.image", "core.acquisition")
    }


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("tree")
    center = Center.model_validate({"center_id": "lab", "title": "A lab", "layout": {"kind": "bids"}})
    made = Dataset(folder / "lab", Home(folder / "home"), center)
    made.image("sub-02/anat/sub-02_T1w.nii.gz", SIDE, shape=(4, 5, 6))  # no copy of another image
    for path, content in FILES.items():
        made.write(path, content)
    return made


def check(tree: Dataset, path: str, content: bytes) -> None:
    before = of_other_people(rows_of(tree))
    assert len(before["core.image"]) == 1
    tree.write(path, content)
    try:
        rows = rows_of(tree)
        assert of_other_people(rows) == before
        with duckdb.connect() as connection:  # DuckDB takes what Arrow took
            for name in ("raw.sidecar", "raw.participant_row"):
                connection.register("rows", TABLES[name].rows(rows[name]))
                connection.execute("SELECT fields::JSON->>'EchoTime' FROM rows").fetchall()
    finally:
        Path(tree.root / path).write_bytes(FILES[path])


@pytest.mark.slow
@settings(deadline=None, max_examples=4, suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from(sorted(FILES)), content=CONTENTS)
@example(path="sub-01/anat/sub-01_T1w.json", content=b'{"SeriesDescription": "t1 \\ud83d"}')
@example(path="sub-01/anat/sub-01_T1w.json", content=b'{"EchoTime": 1' + b"0" * 5000 + b"}")
@example(
    path="sub-01/anat/sub-01_T1w.json", content=b'{"EchoTime": 1e999, "FlipAngle": NaN, "SAR": 1' + b"0" * 300 + b"}"
)
@example(path="sub-01/anat/sub-01_T1w.json", content=b"[" * 20_000)
@example(path="sub-01/anat/sub-01_T1w.json", content=b'{"Manufacturer": "\\u0000\\u0000"}')
@example(path="participants.tsv", content=b"participant_id\tage\nsub-01\t" + b"9" * 140_000)
@example(path="participants.tsv", content="participant_id\tage\nsub-01\t30\n".encode("utf-16"))
@example(path="participants.json", content=b'{"age": {"Units": ["months"], "Levels": {"1": {}}}}')
@example(path="sub-01/anat/sub-01_T2w.nii", content=in_header(40, b"\xff\x7f" * 8))
def test_whatever_one_file_holds_all_else_is_ingested_as_without_it(tree: Dataset, path: str, content: bytes) -> None:
    check(tree, path, content)


@pytest.mark.slow
@settings(deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(path=st.sampled_from(sorted(FILES)), content=CONTENTS)
def test_whatever_one_file_holds_in_many_draws(tree: Dataset, path: str, content: bytes) -> None:
    check(tree, path, content)
