"""Contrast fidelity: errors in units of the white-matter signal, ranks, and curves that lie in their drawing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from scipy.stats import spearmanr

from model.report.contrast import HEIGHT, TEXTBOOK, WIDTH, errors, plots, verdict
from model.report.data import rows
from model.report.words import MODEL

NOW = datetime(2026, 1, 2, tzinfo=UTC)
COLUMNS = "occurred_at TIMESTAMPTZ, model_id VARCHAR, data_id VARCHAR, protocol_hash VARCHAR, person VARCHAR, " + (
    "sweep VARCHAR, field VARCHAR, field_value DOUBLE, tissue VARCHAR, true_ratio DOUBLE, made_ratio DOUBLE"
)
Curve = list[tuple[float, float]]  # true and made ratio at 1, 2, 3 …


@pytest.fixture
def catalogue() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA core")
        connection.execute(f"CREATE TABLE core.fidelity_score ({COLUMNS})")
        yield connection


def say(
    catalogue: duckdb.DuckDBPyConnection,
    curve: Curve,
    *,
    maker: str = "m",
    person: str = "p",
    tissue: str = "gm",
    field: str = "echo_time_s",
    cohort: str = "c",
    when: datetime = NOW,
) -> None:
    for value, (true, made) in enumerate(curve, start=1):
        row = (when, maker, cohort, "s", person, "T2w_fse", field, float(value), tissue, true, made)
        catalogue.execute(f"INSERT INTO core.fidelity_score VALUES ({', '.join('?' * len(row))})", row)


def found(catalogue: duckdb.DuckDBPyConnection) -> Any:
    """What `errors` and `plots` need of Figures."""
    asked = {"model_id": "m"}
    names = ("fidelity_curve", "fidelity_error")
    return SimpleNamespace(model_id="m", **{name: rows(catalogue, name, asked) for name in names})


def test_an_error_is_a_mean_over_people_in_units_of_white_matter(catalogue: duckdb.DuckDBPyConnection) -> None:
    say(catalogue, [(1.0, 1.1), (2.0, 1.9)], person="a")
    say(catalogue, [(0.0, 0.3), (0.0, 0.3), (0.0, 0.3)], person="b")  # at a null, a relative error would explode
    [row] = errors(found(catalogue))
    assert row["makers"][MODEL]["error"] == pytest.approx(0.2)
    assert row["makers"][MODEL]["worst_error"] == pytest.approx(0.3)


def test_a_rank_correlation_tells_the_wrong_direction_from_no_reaction(catalogue: duckdb.DuckDBPyConnection) -> None:
    say(catalogue, [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)], tissue="gm")
    say(catalogue, [(1.0, 2.0), (2.0, 2.0), (3.0, 2.0)], tissue="csf")
    by_tissue = {row["name"]: row["makers"][MODEL]["rank_correlation"] for row in errors(found(catalogue))}
    assert by_tissue == {"T2w fse, TE: GM / WM": pytest.approx(-1.0), "T2w fse, TE: CSF / WM": None}


def test_ties_have_their_mean_rank(catalogue: duckdb.DuckDBPyConnection) -> None:
    curve = [(1.0, 5.0), (1.0, 6.0), (2.0, 6.0), (3.0, 9.0), (0.5, 6.0)]
    say(catalogue, curve)
    [row] = errors(found(catalogue))
    expected = spearmanr([true for true, _ in curve], [made for _, made in curve]).statistic
    assert row["makers"][MODEL]["rank_correlation"] == pytest.approx(expected)


def test_the_worst_tissue_is_marked_and_held_against_the_textbook(catalogue: duckdb.DuckDBPyConnection) -> None:
    say(catalogue, [(1.0, 1.2)], tissue="gm")
    say(catalogue, [(2.0, 2.1)], tissue="csf")
    for tissue in ("gm", "csf"):
        say(catalogue, [(1.0, 1.15)], tissue=tissue, maker=TEXTBOOK)
    listed = errors(found(catalogue))
    assert [row["is_worst"] for row in listed] == [True, False]
    assert verdict(listed).startswith("The model is nearer to the truth than the textbook look-up in 1 of 2 rows")
    assert "off by 0.200 of the white-matter signal (T2w fse, TE: GM / WM)" in verdict(listed)


def test_one_sequence_swept_by_two_fields_is_two_plots(catalogue: duckdb.DuckDBPyConnection) -> None:
    for field in ("echo_time_s", "repetition_time_s"):
        say(catalogue, [(1.0, 1.2), (2.0, 2.2)], field=field)
    assert [plot.title for plot in plots(found(catalogue))] == ["T2w fse, TE: GM / WM", "T2w fse, TR: GM / WM"]


def test_only_the_last_cohort_of_the_model_is_shown(catalogue: duckdb.DuckDBPyConnection) -> None:
    say(catalogue, [(1.0, 9.0)], cohort="older", when=NOW.replace(year=2025))
    say(catalogue, [(1.0, 1.2)])
    say(catalogue, [(1.0, 7.0)], maker="another model")
    say(catalogue, [(1.0, 7.0)], maker=TEXTBOOK, cohort="older")
    [row] = errors(found(catalogue))
    assert row["makers"].keys() == {MODEL}
    assert row["makers"][MODEL]["error"] == pytest.approx(0.2)


def test_a_curve_rises_where_the_ratio_does_and_stays_in_its_drawing(catalogue: duckdb.DuckDBPyConnection) -> None:
    say(catalogue, [(1.0, 1.0), (2.0, -0.4), (4.0, 6.0)])
    [plot] = plots(found(catalogue))
    truth, made = plot.curves
    assert (truth.kind, made.kind) == ("truth", "made")
    assert truth.dots[0][1] > truth.dots[1][1] > truth.dots[2][1]  # the axis of a drawing points down
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for curve in plot.curves for x, y, _ in curve.dots)
    assert made.dots[1][2] == "model: -0.40 at TE 2000 ms"
