"""Prompts: the published examples byte for byte, and SQL that agrees with Python on any record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from warehouse.catalog import sqlfiles
from warehouse.prompts.record import PromptRecord, render
from warehouse.tables.out import RECORD

# Published with the reference implementation, as Experimental_data/*_prompt.txt prints them.
PUBLISHED_T1W = (
    "Age: 12; Gender: M; Scanner: 3.0 Siemens; Modality: T1w; Voxel size: (0.8, 0.8, 0.8); "
    "Imaging parameter TR(ms), TE(ms), TI(ms), and FA(degree):  (2500.0, 2.2, 1000.0, 8.0)"
)
PUBLISHED_T2W = (
    "Age: 16; Gender: F; Scanner: 3.0 Siemens; Modality: T2w; Voxel size: (0.8, 0.8, 0.8); "
    "Imaging parameter TR(ms), TE(ms), TI(ms), and FA(degree):  (3200.0, 563.0, None, T2var)"
)
NOTHING = (
    "Age: None; Gender: None; Scanner: None None; Modality: None; Voxel size: (None, None, None); "
    "Imaging parameter TR(ms), TE(ms), TI(ms), and FA(degree):  (None, None, None, None)"
)


def optional(low: float, high: float) -> st.SearchStrategy[float | None]:
    """Floats of a range, and short decimals, among which the ties of rounding lie."""
    decimals = st.integers(round(low * 10**5), round(high * 10**5)).map(lambda number: number / 10**5)
    return st.none() | st.floats(low, high, allow_nan=False) | decimals


RECORDS = st.builds(
    PromptRecord,
    contrast=st.none() | st.sampled_from(["T1w", "T2w", "FLAIR", "angio"]),
    post_contrast=st.booleans(),
    vendor=st.none() | st.sampled_from(["Siemens", "GE", "Philips", "Ünknown; 'x'"]),
    model=st.none() | st.just("Prisma"),
    field_strength_t=optional(0.01, 25),
    age_years=optional(0, 120),
    sex=st.none() | st.sampled_from("MFO"),
    voxel_size_mm=st.none() | st.tuples(*[st.floats(0.01, 50)] * 3),
    repetition_time_s=optional(0.0001, 60),
    echo_time_s=optional(0.00001, 1),
    inversion_time_s=optional(0.0001, 10),
    flip_angle_deg=optional(0.01, 360),
    flip_angle_variable=st.booleans(),
)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA out")
        connection.execute(sqlfiles.prompt_macros())
        yield connection


def rendered_in_sql(connection: duckdb.DuckDBPyConnection, records: list[PromptRecord]) -> list[str]:
    arrow = pa.table({"record": pa.array([asdict(record) for record in records], RECORD.arrow)})
    connection.register("records", arrow)
    return [text for (text,) in connection.execute("SELECT out.render_prompt(record) FROM records").fetchall()]


@pytest.mark.slow
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(RECORDS, min_size=1, max_size=50))
@example([PromptRecord(echo_time_s=0.00225, age_years=5.25, flip_angle_deg=0.25, voxel_size_mm=(0.125, 2.675, 1.005))])
@example([PromptRecord(echo_time_s=0.002225, age_years=99.95, flip_angle_deg=9.95, voxel_size_mm=(0.995, 9.999, 10.0))])
def test_sql_and_python_write_the_same_prompt(
    connection: duckdb.DuckDBPyConnection, records: list[PromptRecord]
) -> None:
    assert rendered_in_sql(connection, records) == [render(record) for record in records]


@pytest.mark.slow
def test_the_published_examples_come_out_of_catalogue_rows_byte_for_byte(lab: Any) -> None:
    lab.center("hcp")
    lab.participant("hcp", "a", sex="M", age_years=12.0)
    siemens = {"manufacturer": "Siemens", "magnetic_field_strength_t": 3.0}
    t1w = {"repetition_time_s": 2.5, "echo_time_s": 0.0022, "inversion_time_s": 1.0, "flip_angle_deg": 8.0}
    lab.image("hcp", "a", "T1w", acquisition=siemens | t1w)
    lab.participant("hcp", "b", sex="F", age_years=16.0)
    t2w = {"repetition_time_s": 3.2, "echo_time_s": 0.563, "flip_angle_deg": 120.0, "is_flip_angle_variable": True}
    lab.image("hcp", "b", "T2w", acquisition=siemens | t2w)
    with duckdb.connect(str(lab.publish().path), read_only=True) as published:
        prompts = published.execute("SELECT prompt FROM out.prompt ORDER BY prompt").fetchall()
    assert prompts == [(PUBLISHED_T1W,), (PUBLISHED_T2W,)]


def test_the_published_examples_come_out_of_records_byte_for_byte() -> None:
    t1w = PromptRecord("T1w", False, "Siemens", "Prisma", 3.0, 12.0, "M", (0.8, 0.8, 0.8), 2.5, 0.0022, 1.0, 8.0)
    t2w = PromptRecord("T2w", False, "Siemens", None, 3.0, 16, "F", (0.8, 0.8, 0.8), 3.2, 0.563, None, 120.0, True)
    assert render(t1w) == PUBLISHED_T1W
    assert render(t2w) == PUBLISHED_T2W


def test_what_is_missing_is_the_word_none(connection: duckdb.DuckDBPyConnection) -> None:
    assert render(PromptRecord()) == NOTHING
    assert rendered_in_sql(connection, [PromptRecord()]) == [NOTHING]


@pytest.mark.parametrize(
    ("record", "piece"),
    [
        pytest.param(PromptRecord(age_years=34.1), "Age: 34.1;", id="an age keeps one decimal"),
        pytest.param(PromptRecord(age_years=34.0), "Age: 34;", id="a whole age has none"),
        pytest.param(PromptRecord(age_years=20.04), "Age: 20;", id="an age that rounds to a whole has none"),
        pytest.param(PromptRecord(age_years=100.0), "Age: 100;", id="a hundred keeps its zeros"),
        pytest.param(PromptRecord(voxel_size_mm=(1.0, 0.9375, 0.8)), "(1.0, 0.94, 0.8)", id="voxel sizes"),
        pytest.param(PromptRecord(field_strength_t=0.35, vendor="GE"), "Scanner: 0.35 GE;", id="a low field"),
        pytest.param(PromptRecord(field_strength_t=7.0), "Scanner: 7.0 None;", id="no vendor"),
        pytest.param(PromptRecord(contrast="T1w", post_contrast=True), "Modality: ceT1w;", id="post-contrast"),
        pytest.param(PromptRecord(echo_time_s=0.1), "(None, 100.0, None, None)", id="milliseconds"),
        pytest.param(PromptRecord(flip_angle_variable=True), "None, T2var)", id="a variable flip angle"),
        pytest.param(PromptRecord(echo_time_s=0.00225), "(None, 2.2, ", id="a tie goes to the even decimal"),
    ],
)
def test_the_rules_of_the_template(connection: duckdb.DuckDBPyConnection, record: PromptRecord, piece: str) -> None:
    assert piece in render(record)
    assert rendered_in_sql(connection, [record]) == [render(record)]


@pytest.mark.parametrize(
    ("published_t", "nominal_t"),
    [(2.89362, 3.0), (2.89, 3.0), (3.0, 3.0), (1.494, 1.5), (6.98, 7.0), (0.55, 0.55), (0.35, 0.35), (2.0, 2.0),
     (2.34, 2.3), (0.08, 0.08), (None, None)],
)  # fmt: skip
def test_a_field_strength_is_named_as_its_scanner_is(
    connection: duckdb.DuckDBPyConnection, published_t: float | None, nominal_t: float | None
) -> None:
    query = "SELECT out.nominal_field_strength($tesla::DOUBLE)"
    assert connection.execute(query, {"tesla": published_t}).fetchall() == [(nominal_t,)]
