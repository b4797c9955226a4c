"""Rows are shown as tables for people, and written as CSV, JSON and Parquet for programs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.commands import output
from pipelines.commands.output import Format
from tests.pipelines.conftest import Command
from warehouse.errors import TumsynError

ROWS = pa.table(
    {
        "name": pa.array(["a,b", 'say "x"', None]),
        "sizes": pa.array([[0.8, 0.8], [], None], pa.list_(pa.float64())),
        "te": pa.array([0.003, float("nan"), None]),
        "record": pa.array([{"sex": "M"}, None, {"sex": None}], pa.struct([("sex", pa.string())])),
    }
)


def written(form: Format, tmp_path: Path) -> bytes:
    path = tmp_path / "rows"
    output.show(ROWS, form, path)
    return path.read_bytes()


def test_csv_holds_nested_values_as_json_and_quotes_what_must_be_quoted(tmp_path: Path) -> None:
    assert written(Format.CSV, tmp_path).decode().splitlines() == [
        '"name","sizes","te","record"',
        '"a,b","[0.8, 0.8]",0.003,"{""sex"": ""M""}"',
        '"say ""x""","[]",nan,',
        ',,,"{""sex"": null}"',
    ]


def test_json_is_one_array_of_records_without_nan(tmp_path: Path) -> None:
    assert json.loads(written(Format.JSON, tmp_path)) == [
        {"name": "a,b", "sizes": [0.8, 0.8], "te": 0.003, "record": {"sex": "M"}},
        {"name": 'say "x"', "sizes": [], "te": None, "record": None},
        {"name": None, "sizes": None, "te": None, "record": {"sex": None}},
    ]


def test_json_of_no_rows_is_an_empty_array(tmp_path: Path) -> None:
    output.show(ROWS.slice(0, 0), Format.JSON, tmp_path / "none")
    assert json.loads((tmp_path / "none").read_bytes()) == []


def test_parquet_keeps_every_type(tmp_path: Path) -> None:
    assert pq.read_table(io.BytesIO(written(Format.PARQUET, tmp_path))).schema == ROWS.schema


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("mine")
    with pytest.raises(TumsynError, match="exists"):
        output.show(ROWS, Format.CSV, path)
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TumsynError, match="not a folder"):
        output.show(ROWS, Format.CSV, tmp_path / "none" / "rows.csv")


def test_parquet_does_not_go_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(TumsynError, match="terminal"):
        output.show(ROWS, Format.PARQUET)


def test_a_name_cannot_steer_the_terminal_or_the_markup(capsys: pytest.CaptureFixture[str]) -> None:
    output.show(pa.table({"path": ["sub-\x1b[31m[bold]01"]}), Format.TABLE)
    assert "sub-\\x1b[31m[bold]01" in capsys.readouterr().out


def test_a_long_table_is_cut_with_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    output.show(pa.table({"n": list(range(500))}), Format.TABLE)
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == output.SHOWN_ROWS + 2
    assert "200 of 500" in printed.err


@pytest.mark.slow
@pytest.mark.parametrize("form", list(Format))
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["centers", "list"], id="centres"),
        pytest.param(["centers", "check", "tiny"], id="check"),
        pytest.param(["sql", "SELECT 1 AS one"], id="sql"),
        pytest.param(["catalog", "tables"], id="tables"),
        pytest.param(["catalog", "describe", "core.image"], id="describe"),
        pytest.param(["catalog", "snapshots"], id="snapshots"),
    ],
)
def test_every_table_is_printed_in_every_format(asking: Command, words: list[str], form: Format) -> None:
    result = asking(*words, "--format", form.value)
    assert result.exit_code == 0, result.output
    if form is Format.JSON:
        assert json.loads(result.stdout)
    elif form is Format.PARQUET:
        assert pq.read_table(io.BytesIO(result.stdout_bytes)).num_rows
    else:
        assert len(result.stdout.splitlines()) > 1
