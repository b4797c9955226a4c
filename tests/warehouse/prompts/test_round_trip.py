"""A record comes back from its sentence as far as the sentence's decimals go; unit and order never matter."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from warehouse.prompts import vocabulary
from warehouse.prompts.parse import parse_prompt
from warehouse.prompts.read import read_prompt
from warehouse.prompts.record import PromptRecord, render


def rounded(record: PromptRecord) -> PromptRecord:
    """Return what a sentence can hold of a record: its decimals, and neither the scanner's model nor words."""

    def near(value: float | None, decimals: int, factor: int = 1) -> float | None:
        return None if value is None else float(Decimal(f"{factor * value:.{decimals}f}") / factor)

    sizes = record.voxel_size_mm
    return replace(
        record,
        model=None,
        words=(),
        post_contrast=record.post_contrast and record.contrast is not None,
        field_strength_t=near(record.field_strength_t, 2),
        age_years=near(record.age_years, 1),
        voxel_size_mm=sizes and tuple(float(f"{size:.2f}") for size in sizes),
        repetition_time_s=near(record.repetition_time_s, 1, 1000),
        echo_time_s=near(record.echo_time_s, 1, 1000),
        inversion_time_s=near(record.inversion_time_s, 1, 1000),
        flip_angle_deg=None if record.flip_angle_variable else near(record.flip_angle_deg, 1),
    )


def prompts_that_do_not_come_back(catalogue: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the prompts of a catalogue that are not parsed as their record, or not rendered as in SQL."""
    found = []
    for text, row in catalogue.execute("SELECT prompt, record FROM out.prompt").fetchall():
        size = row.pop("voxel_size_mm")
        record = PromptRecord(**row, voxel_size_mm=size and tuple(size))
        if render(record) != text or parse_prompt(text) != rounded(record):
            found.append(text)
    return found


def reals(low: float, high: float) -> st.SearchStrategy[float | None]:
    return st.none() | st.floats(low, high)


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(
    st.builds(
        PromptRecord,
        contrast=st.sampled_from([None, *vocabulary.CONTRASTS]),
        post_contrast=st.booleans(),
        vendor=st.sampled_from([None, *vocabulary.VENDORS, "Acme Imaging, Ltd."]),
        model=st.sampled_from([None, "Prisma"]),
        field_strength_t=reals(0.01, 25.0),
        age_years=reals(0.0, 120.0),
        sex=st.sampled_from([None, "M", "F", "O"]),
        voxel_size_mm=st.none() | st.tuples(*[st.floats(0.01, 49.99)] * 3),
        repetition_time_s=reals(0.0001, 59.999),
        echo_time_s=reals(0.0001, 0.9999),
        inversion_time_s=reals(0.0001, 9.9999),
        flip_angle_deg=reals(0.1, 360.0),
        flip_angle_variable=st.booleans(),
        words=st.sampled_from([(), ("lesion",)]),
    )
)
def test_every_possible_record_comes_back_with_the_decimals_of_its_sentence(record: PromptRecord) -> None:
    expected = rounded(record)
    if expected.echo_time_s is not None and expected.repetition_time_s is not None:
        assume(expected.echo_time_s < expected.repetition_time_s)
    assert parse_prompt(render(record)) == expected
    assert read_prompt(render(record)).record == expected


@pytest.mark.slow
def test_every_row_of_a_catalogue_comes_back(lab: Any) -> None:
    lab.center("a")
    awkward: list[tuple[str, dict[str, object], dict[str, object]]] = [
        ("1", {"sex": "F", "age_years": 61.4537}, {"manufacturer": "GE", "magnetic_field_strength_t": 2.89362}),
        ("2", {"age_years": 0.0833}, {"echo_time_s": 0.002225, "repetition_time_s": 0.00838, "flip_angle_deg": 12.55}),
        ("3", {"sex": "O"}, {"manufacturer": "Ünknown; 'x'", "inversion_time_s": 2.71828, "repetition_time_s": 9.0001}),
        ("4", {}, {"echo_time_s": 0.563, "flip_angle_deg": 120.0, "is_flip_angle_variable": True}),
        ("5", {}, {}),
    ]
    for name, person, acquisition in awkward:
        lab.participant("a", name, **person)
        for contrast in ("T1w", "T2w"):
            lab.image("a", name, contrast, acquisition=acquisition, voxel_size_mm=[0.9375, 0.4883, 1.2000001])
    with duckdb.connect(str(lab.publish().path), read_only=True) as published:
        assert prompts_that_do_not_come_back(published) == []
        assert published.execute("SELECT count(*) FROM out.prompt").fetchone() == (2 * len(awkward),)


def scaled(value: Decimal, factor: str) -> str:
    """Return a decimal times a factor, without an exponent."""
    return f"{(value * Decimal(factor)).normalize():f}"


def times(name: str, long: str, low: int, high: int) -> st.SearchStrategy[tuple[Decimal, str]]:
    """Draw a time in tenths of a millisecond, and one of its wordings."""
    units = st.sampled_from([("1", " ms"), ("1", "ms"), ("0.001", " s"), ("1000", " µs"), ("1", ""), ("0.001", " sec")])
    names = st.sampled_from([name, f"{name}:", f"{name} =", f"{long} time"])
    made = st.tuples(st.integers(low, high).map(lambda tenths: Decimal(tenths) / 10), names, units)
    return made.map(lambda one: (one[0], f"{one[1]} {scaled(one[0], one[2][0])}{one[2][1]}"))


QUARTERS = st.integers(1, 400).map(lambda quarters: Decimal(quarters) / 4)
AGES = st.tuples(
    QUARTERS, st.sampled_from([("1", "age {}"), ("1", "{} years old"), ("12", "age {} months"), ("12", "{} mo old")])
).map(lambda one: (one[0], one[1][1].format(scaled(one[0], one[1][0]))))
SIZES = st.tuples(
    st.tuples(*[st.integers(10, 999).map(lambda hundredths: Decimal(hundredths) / 100)] * 3),
    st.sampled_from(
        [("1", "{} x {} x {} mm"), ("1000", "{} x {} x {} µm"), ("1", "voxel size ({}, {}, {})"), ("1", "{}×{}×{}")]
    ),
).map(lambda one: (one[0], one[1][1].format(*(scaled(size, one[1][0]) for size in one[0]))))
FIELDS = st.sampled_from([3, 7, 15]).flatmap(
    lambda tenths: st.sampled_from(["{}T", "{} tesla", "field strength: {}"]).map(
        lambda form: (Decimal(tenths) / 10, form.format(Decimal(tenths) / 10))
    )
)


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(
    times("TR", "repetition", 10_001, 99_999),
    times("TE", "echo", 1, 9_999),
    times("TI", "inversion", 1, 99_999),
    AGES,
    SIZES,
    FIELDS,
    st.sampled_from(["T2w", "T2-weighted", "contrast: T2w"]),
    st.sampled_from(["Siemens", "vendor: SIEMENS"]),
    st.sampled_from(["FA 12.5°", "flip angle 12.5 degrees", "FA=12.5"]),
    st.randoms(),
    st.sampled_from(["; ", ", ", "\n"]),
)
def test_neither_unit_nor_order_nor_wording_matters(
    tr: Any, te: Any, ti: Any, age: Any, size: Any, field: Any, contrast: str, vendor: str, angle: str,
    random: Any, separator: str,
) -> None:  # fmt: skip
    parts = [contrast, vendor, angle, *(one[1] for one in (tr, te, ti, age, size, field))]
    random.shuffle(parts)
    expected = PromptRecord(
        contrast="T2w",
        vendor="Siemens",
        field_strength_t=float(field[0]),
        age_years=float(age[0]),
        voxel_size_mm=tuple(float(one) for one in size[0]),  # type: ignore[arg-type]
        repetition_time_s=float(tr[0] / 1000),
        echo_time_s=float(te[0] / 1000),
        inversion_time_s=float(ti[0] / 1000),
        flip_angle_deg=12.5,
    )
    assert parse_prompt(separator.join(parts)) == expected
    assert read_prompt(separator.join(parts)).record == expected
