"""Eight real datasets, held against what their README says of them, and three folders of real images."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from tests.warehouse.prompts.test_round_trip import prompts_that_do_not_come_back
from warehouse.catalog.publish import publish
from warehouse.catalog.query import Catalogue
from warehouse.centers.registry import Center, register, shipped
from warehouse.ingest import ingest_center
from warehouse.lake.home import Home

pytestmark = [pytest.mark.real, pytest.mark.slow]

# Sidecars by dataset and contrast, as the samples' README counts them.
SIDECARS = {
    "ds000030": {"T1w": 265, "dwi": 262},
    "ds000117": {"T1w": 16, "dwi": 11},
    "ds000221": {"mp2rage": 636, "FLAIR": 306, "T2w": 226, "GRE": 223, "dwi": 228},
    "ds003592": {"T1w": 301, "FLAIR": 251},
    "ds003949": {"T1w": 296, "angio": 296},
    "ds004199": {"T1w": 170, "FLAIR": 170},
    "ds004712": {"GRE": 13440, "dwi": 330, "T2w": 175, "T1w": 165, "FLAIR": 9},
    "ds004889": {"FLAIR": 1715, "T1w": 1715, "dwi": 3430},
}
# What differs from one sidecar an image, and why.
BESIDES = {
    ("ds000117", "FLASH"): 224,  # the images inherit from sidecars at the root, of which the README counts none
    ("ds000221", "T1w"): 1,  # the one MPRAGE; the MP2RAGE's 318 T1w have none
}
FOLDERS = {"vendor": "vendor_t1w", "open-ms-long": "open_ms_longitudinal", "open-ms-mni": "open_ms_cross_sectional_mni"}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> duckdb.DuckDBPyConnection:
    """Return a connection to the published catalogue of everything in the samples."""
    folder = tmp_path_factory.mktemp("real")
    subprocess.run([sys.executable, samples / "unpack.py", folder / "clones"], check=True, capture_output=True)
    home = Home(folder / "home")
    for root in sorted((folder / "clones").iterdir()):
        center = Center.model_validate({"center_id": root.name, "title": root.name, "layout": {"kind": "bids"}})
        ingest_center(home, register(home, center, root))
    for center_id, name in FOLDERS.items():
        definition = {"center_id": center_id, "title": name, "layout": {"kind": "bids"}}
        center = Center.model_validate(definition)
        if center_id.startswith("open-ms"):
            center = shipped()["open_ms"].model_copy(update={"center_id": center_id})
        ingest_center(home, register(home, center, samples / "images" / name))
    publish(home)
    return Catalogue(home).connect()


def test_every_prompt_is_parsed_as_its_record(catalogue: duckdb.DuckDBPyConnection) -> None:
    assert value(catalogue, "SELECT count(*) FROM out.prompt WHERE center_id LIKE 'ds0%'") == 6383
    assert prompts_that_do_not_come_back(catalogue) == []


def value(catalogue: duckdb.DuckDBPyConnection, query: str, *parameters: object) -> object:
    row = catalogue.execute(query, list(parameters)).fetchone()
    assert row is not None
    return row[0]


def test_every_image_of_the_manifests_is_catalogued(catalogue: duckdb.DuckDBPyConnection) -> None:
    assert value(catalogue, "SELECT count(*) FROM core.image WHERE center_id LIKE 'ds0%'") == 26066


def test_every_json_file_is_a_sidecar_or_refused(catalogue: duckdb.DuckDBPyConnection) -> None:
    count = "SELECT count(*) FROM {} WHERE path LIKE '%.json' AND center_id LIKE 'ds0%'"
    assert value(catalogue, count.format("raw.sidecar")) == 24676
    assert value(catalogue, count.format("core.rejection")) == 1


def test_every_file_of_every_dataset_ends_in_exactly_one_place(catalogue: duckdb.DuckDBPyConnection) -> None:
    for center_id, root in catalogue.execute("SELECT center_id, root FROM core.center").fetchall():
        found = set()
        for folder, folders, names in os.walk(root):
            folders[:] = [name for name in folders if name != ".git"]
            found |= {(Path(folder) / name).relative_to(root).as_posix() for name in names}
        places = catalogue.execute("SELECT path, disposition FROM raw.file WHERE center_id = ?", [center_id]).fetchall()
        assert {path for path, _ in places} == found, center_id
        assert len(places) == len(found), center_id
        images = catalogue.execute("SELECT path FROM core.image WHERE center_id = ?", [center_id]).fetchall()
        refused = "SELECT path FROM core.rejection WHERE row IS NULL AND center_id = ?"
        assert {path for path, kind in places if kind == "image"} == {path for (path,) in images}
        rejections = catalogue.execute(refused, [center_id]).fetchall()
        assert {path for path, kind in places if kind == "rejection"} == {path for (path,) in rejections}


@pytest.mark.parametrize("dataset", SIDECARS)
def test_images_with_a_sidecar_are_as_many_as_the_readme_counts(
    catalogue: duckdb.DuckDBPyConnection, dataset: str
) -> None:
    query = "SELECT suffix, count(*) FROM core.image WHERE center_id = ? AND len(sidecar_paths) > 0 GROUP BY suffix"
    found = Counter(dict(catalogue.execute(query, [dataset]).fetchall()))
    besides = {suffix: n for (name, suffix), n in BESIDES.items() if name == dataset}
    assert found == SIDECARS[dataset] | besides


@pytest.mark.parametrize(
    ("suffix", "n_images"), [("T1w", 319), ("T1map", 318), ("defacemask", 318), ("GRE", 224), ("mp2rage", 636)]
)
def test_ds000221_has_images_without_a_sidecar(
    catalogue: duckdb.DuckDBPyConnection, suffix: str, n_images: int
) -> None:
    query = "SELECT count(*) FROM core.image WHERE center_id = 'ds000221' AND suffix = ?"
    assert value(catalogue, query, suffix) == n_images


TRAPS = {
    "ds000030 writes gender, and all 272 have one": (
        "SELECT count(sex) FROM core.participant WHERE center_id = 'ds000030'",
        272,
    ),
    "ds000030 names no manufacturer": (
        "SELECT count(manufacturer) FROM core.acquisition WHERE center_id = 'ds000030'",
        0,
    ),
    "ds000030 has eight sidecars of tasks at its root, and a description": (
        "SELECT count(*) FROM raw.sidecar WHERE center_id = 'ds000030' AND NOT contains(path, '/')",
        9,
    ),
    "ds000117 inherits from a sidecar at its root": (
        "SELECT count(*) FROM core.image WHERE center_id = 'ds000117' AND contrast = 'T1w'"
        " AND list_contains(sidecar_paths, 'acq-mprage_T1w.json')",
        16,
    ),
    "ds000117 ends its lines with CRLF and no value keeps one": (
        "SELECT count(*) FROM raw.participant_row WHERE center_id = 'ds000117' AND contains(fields::VARCHAR, '\\r')",
        0,
    ),
    "ds000117 has sixteen ages and one participant without": (
        "SELECT count(age_years) FROM core.participant WHERE center_id = 'ds000117'",
        16,
    ),
    "ds000221 publishes five-year bins": (
        "SELECT count(*) FROM core.participant WHERE center_id = 'ds000221'"
        " AND age_years IS NULL AND age_high_years - age_low_years = 5",
        316,
    ),
    "ds000221 has one sidecar that does not parse": (
        "SELECT count(*) FROM core.rejection WHERE center_id = 'ds000221' AND reason = 'bad_sidecar'",
        1,
    ),
    "ds003592 records no field strength": (
        "SELECT count(magnetic_field_strength_t) FROM core.acquisition WHERE center_id = 'ds003592'",
        0,
    ),
    "ds003949 has participants without age or sex": (
        "SELECT count(age_years) + count(sex) FROM core.participant WHERE center_id = 'ds003949'",
        0,
    ),
    "ds003949 mixes 1.5 T and 3 T": (
        "SELECT count(DISTINCT magnetic_field_strength_t) FROM core.acquisition WHERE center_id = 'ds003949'",
        2,
    ),
    "ds004199 begins with a byte-order mark and codes the age, age_scan, as ranges": (
        "SELECT count(age_low_years) FROM core.participant WHERE center_id = 'ds004199' AND age_years IS NULL",
        170,
    ),
    "ds004199 explains each code of age in the JSON beside the table, 5 being 21-25 years": (
        "SELECT count(*) FROM core.participant WHERE center_id = 'ds004199'"
        " AND age_low_years = 21 AND age_high_years = 25",
        51,
    ),
    "ds000030 has seven rows of participants without an image": (
        "SELECT count(*) FROM core.finding WHERE center_id = 'ds000030' AND kind = 'row_without_images'",
        7,
    ),
    "ds004889 has 210 images' folders that no row names": (
        "SELECT count(*) FROM core.finding WHERE center_id = 'ds004889' AND kind = 'images_without_row'",
        210,
    ),
    "ds004712 scans twenty people again and again, and gives one age each, which no visit inherits": (
        "SELECT count(*) FROM core.finding WHERE center_id = 'ds004712' AND kind = 'age_not_assigned'",
        20,
    ),
    "ds004199 has scans at 2.89 T, which prompts call 3.0": (
        "SELECT count(*) FROM out.image_catalog WHERE center_id = 'ds004199'"
        " AND magnetic_field_strength_t < 2.9 AND nominal_field_strength_t = 3.0",
        4,
    ),
    "ds004712 scanned twenty people on three vendors": (
        "SELECT count(DISTINCT manufacturer) FROM core.acquisition WHERE center_id = 'ds004712'",
        3,
    ),
    "ds004712's single coils and echoes are not eligible": (
        "SELECT count(*) FROM core.image WHERE center_id = 'ds004712' AND suffix = 'GRE' AND eligibility = 'eligible'",
        0,
    ),
    "ds004889 has 210 folders without a row": (
        "SELECT count(*) FROM core.participant WHERE center_id = 'ds004889' AND NOT is_listed",
        210,
    ),
    "ds004889 gives TI for five of its T1w": (
        "SELECT count(inversion_time_s) FROM core.acquisition JOIN core.image USING (image_id)"
        " WHERE core.image.center_id = 'ds004889' AND contrast = 'T1w'",
        5,
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_every_trap_that_the_readme_names_is_visible(catalogue: duckdb.DuckDBPyConnection, trap: str) -> None:
    query, expected = TRAPS[trap]
    assert value(catalogue, query) == expected


def test_content_that_was_not_fetched_has_size_and_hash(catalogue: duckdb.DuckDBPyConnection) -> None:
    missing = "content <> 'absent' OR size_bytes IS NULL OR content_hash IS NULL"
    assert value(catalogue, f"SELECT count(*) FROM core.image WHERE center_id LIKE 'ds0%' AND ({missing})") == 0


def test_the_real_images_keep_the_orientation_of_their_headers(catalogue: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT center_id, axcodes, count(*) FROM core.image WHERE center_id NOT LIKE 'ds0%' GROUP BY ALL"
    assert set(catalogue.execute(query).fetchall()) == {
        ("vendor", "RAS", 3),
        ("open-ms-long", "LPS", 24),
        ("open-ms-mni", "LAS", 5),
    }


def test_patients_of_the_two_open_ms_sets_are_different_people(catalogue: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT count(*) FROM (SELECT person_id FROM core.participant GROUP BY 1 HAVING count(*) > 1)"
    assert value(catalogue, query) == 0
    ages = "SELECT participant_id, age_years, sex FROM core.participant WHERE has_images AND center_id LIKE 'open%'"
    assert set(catalogue.execute(ages).fetchall()) == {
        ("long01", 20, "F"),
        ("long03", 19, "M"),
        ("long04", 33, "F"),
        ("long20", 50, "F"),
        ("cross07", 53, "F"),
    }


def test_nothing_that_identifies_is_in_the_catalogue(catalogue: duckdb.DuckDBPyConnection) -> None:
    words = "Chaucer|InstitutionName|StationName|AcquisitionTime|35119|exam_date"
    query = f"SELECT count(*) FROM raw.sidecar WHERE regexp_matches(fields::VARCHAR, '{words}')"
    assert value(catalogue, query) == 0
    assert value(catalogue, "SELECT sum(n_dropped) FROM raw.sidecar") > 50_000
