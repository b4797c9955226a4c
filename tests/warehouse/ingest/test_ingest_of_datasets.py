"""An ingest of each fixture dataset finds exactly what was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures.datasets.build import DATASETS, build, files_of
from tests.fixtures.datasets.description import Dataset
from warehouse.centers.registry import register, shipped
from warehouse.ingest import ingest_center
from warehouse.lake.home import Home
from warehouse.lake.parts import read_table
from warehouse.tables import PARTITIONED, TABLES

Row = dict[str, object]
KNOWN = [
    c.name.removesuffix("_provenance") for c in TABLES["core.acquisition"].columns if c.name.endswith("_provenance")
]
BORN = {"DOB", "PTDOB", "34-0.0", "Acq Date"}  # days and years of birth, and the day of a scan
AGES = ("age_years", "age_low_years", "age_high_years")


class Ingest:
    """A fixture dataset, written and ingested."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.home = Home(folder / "home")
        self.expected: Dataset = build(name, folder / "root")
        ingest_center(self.home, register(self.home, shipped()[name], folder / "root"))

    def rows(self, table: str) -> list[Row]:
        read = read_table(self.home, self.name, table)
        assert read is not None
        return read.to_pylist()


@pytest.fixture(scope="module", params=sorted(DATASETS))
def ingest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ingest:
    return Ingest(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.slow
def test_every_file_is_accounted_for_and_none_is_refused(ingest: Ingest) -> None:
    files = ingest.rows("raw.file")
    assert len(files) == len(files_of(ingest.expected))
    assert {file["disposition"] for file in files} == {"image", "companion"}
    assert ingest.rows("core.rejection") == []


@pytest.mark.slow
def test_the_keys_of_every_table_are_unique(ingest: Ingest) -> None:
    for table in PARTITIONED:
        keys = [tuple(row[name] for name in table.key) for row in ingest.rows(table.name)]
        assert len(keys) == len(set(keys)), table.name


def test_exactly_the_images_that_were_put_in_are_found(ingest: Ingest) -> None:
    sessions = {row["session_id"]: row["session_label"] for row in ingest.rows("core.session")}
    found = {
        row["path"]: (
            row["participant_id"],
            sessions[row["session_id"]],
            row["contrast"],
            row["is_post_contrast"],
            row["eligibility"],
            row["axcodes"],
        )
        for row in ingest.rows("core.image")
    }
    put_in = {
        image.path: (
            image.participant_id,
            image.session_label,
            image.contrast,
            image.is_post_contrast,
            image.eligibility,
            image.axcodes,
        )
        for image in ingest.expected.scans
    }
    assert found == put_in


def test_exactly_the_voxel_sizes_that_were_put_in_are_found(ingest: Ingest) -> None:
    found = {row["path"]: row["voxel_size_mm"] for row in ingest.rows("core.image")}
    for image in ingest.expected.scans:
        assert found[image.path] == pytest.approx(image.voxel_size_mm, abs=1e-5)


def test_exactly_the_parameters_that_were_put_in_are_found(ingest: Ingest) -> None:
    paths = {row["image_id"]: row["path"] for row in ingest.rows("core.image")}
    found = {
        paths[row["image_id"]]: {name: row[name] for name in KNOWN if row[name] is not None}
        for row in ingest.rows("core.acquisition")
    }
    assert found == {image.path: {**image.acquisition} for image in ingest.expected.scans}


def test_every_parameter_says_where_it_was_read(ingest: Ingest) -> None:
    for row in ingest.rows("core.acquisition"):
        for name in KNOWN:
            assert (row[name] is None) == (row[f"{name}_provenance"] is None)


def test_exactly_the_people_that_were_put_in_are_found(ingest: Ingest) -> None:
    found = {
        row["participant_id"]: (row["sex"], *(row[age] for age in AGES)) for row in ingest.rows("core.participant")
    }
    put_in = {
        person.participant_id: (person.sex, person.age_years, person.age_low_years, person.age_high_years)
        for person in ingest.expected.participants
    }
    assert found.keys() == put_in.keys()
    for name, facts in put_in.items():
        assert found[name] == pytest.approx(facts), name


def first_visits(expected: Dataset) -> dict[tuple[str, str | None], float]:
    """Return the ages of participants for their only or first visits."""
    visits: dict[str, set[str | None]] = {}
    for image in expected.scans:
        visits.setdefault(image.participant_id, set()).add(image.session_label)
    own = {visit.participant_id for visit in expected.sessions}

    def order(label: str | None) -> tuple[bool, str]:  # an exam without a label goes before its follow-up
        return str(label).startswith("FU"), str(label)

    return {
        (person.participant_id, min(visits[person.participant_id], key=order)): person.age_years
        for person in expected.participants
        if person.age_years is not None and person.participant_id in visits and person.participant_id not in own
    }


def test_exactly_the_ages_at_visits_that_were_put_in_are_found(ingest: Ingest) -> None:
    found = {
        (row["participant_id"], row["session_label"]): row["age_years"]
        for row in ingest.rows("core.session")
        if row["age_years"] is not None
    }
    put_in = {(visit.participant_id, visit.session_label): visit.age_years for visit in ingest.expected.sessions}
    if ingest.name not in ("adni", "oasis3"):  # the one age of a participant is that of enrolment, not of a visit
        put_in |= first_visits(ingest.expected)
    assert found.keys() == put_in.keys()
    for visit, age in put_in.items():
        assert found[visit] == pytest.approx(age, abs=1e-3)


def test_nothing_identifying_reaches_the_lake(ingest: Ingest) -> None:
    for row in ingest.rows("raw.sidecar"):
        assert "Fixture Hospital" not in str(row["fields"])
        assert "12345" not in str(row)
        assert "10:14:13" not in str(row["fields"])
    for row in ingest.rows("raw.participant_row"):
        assert not BORN & json.loads(str(row["fields"])).keys()
