"""Every row of a table has an outcome; a fault ends its row only, and what is finished is not made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model.inference.batch import Outcome, Row, read_table, run
from model.inference.from_scans import Input, Made, asked_hash
from model.inference.known import known_of
from model.inference.request import understand
from tests.model.inference.test_outputs import made as finished
from warehouse.errors import ModelError
from warehouse.lake.atomic import sha256


def table(folder: Path, text: str, name: str = "table.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def scans(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text(name)


def make(row: Row) -> Made:
    """Return something made of the files of a row; a file called bad cannot be used."""
    if any("bad" in path.name for path in row.inputs):
        raise ModelError("the scan is bad", "give a good one")
    if any("broken" in path.name for path in row.inputs):
        raise RuntimeError("out of memory")
    known = known_of(row.inputs[0])
    inputs = tuple(Input(str(path), known, sha256(path)) for path in row.inputs)
    words = row.prompt, row.source_prompts, row.brain_masks, row.like
    asked = asked_hash(row.inputs, *words, False, False)
    request = understand(row.prompt, [known], (1.0, 1.0, 1.0))
    return Made(finished().image, request, inputs, "m", "w", asked_sha256=asked)


def outcomes(path: Path, **options: Any) -> list[Outcome]:
    return list(run(read_table(path), make, **options))


def test_a_table_is_read_with_paths_from_its_folder(tmp_path: Path) -> None:
    text = (
        "Prompt,input,out,like,source_prompt,brain_mask\n"
        '"T2w; TE 90 ms",a.nii;sub/b.nii,out.nii,ref.nii,T1w | TE 3 ms;FLAIR,;mask.nii\n'
        "\n"
        'T1w,/c.nii,o.nii,,"T2w; TE 90 ms",\n'
    )
    two, one = read_table(table(tmp_path, "\ufeff" + text))
    assert two == Row(
        2,
        (tmp_path / "a.nii", tmp_path / "sub/b.nii"),
        "T2w; TE 90 ms",
        tmp_path / "out.nii",
        tmp_path / "ref.nii",
        ("T1w ; TE 3 ms", "FLAIR"),
        (None, tmp_path / "mask.nii"),
    )
    assert one == Row(4, (Path("/c.nii"),), "T1w", tmp_path / "o.nii", None, ("T2w; TE 90 ms",), ())
    tabs = table(tmp_path, "input\tprompt\tout\na.nii\tT2w, 3T\to.nii\n", "t.tsv")
    assert isinstance(read_table(tabs)[0], Row)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("input,prompt,out\n", "a header and no rows"),
        ("input,out\na,b\n", "lacks prompt"),
        ("input,prompt,out,colour\n", "unknown columns: colour"),
        ("input,prompt,out,out\n", "names a column twice"),
        ("input;prompt;out\na;b;c\n", "lacks input, out, prompt"),
    ],
)
def test_a_table_that_cannot_be_understood_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=said) as refusal:
        read_table(table(tmp_path, text))
    assert refusal.value.remedy


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    for path in (tmp_path / "absent.csv", tmp_path, tmp_path / "binary.csv"):
        with pytest.raises(ModelError):
            read_table(path)


def test_every_row_has_an_outcome_and_a_fault_ends_its_row_only(tmp_path: Path) -> None:
    scans(tmp_path, "a.nii", "bad.nii", "broken.nii")
    text = (
        "input,prompt,out\n"
        "a.nii,T2w,one.nii\n"
        "bad.nii,T2w,two.nii\n"
        "broken.nii,T2w,three.nii\n"
        "a.nii,nonsense,four.nii\n"
        "a.nii,T1w,one.nii\n"
        ",T1w,five.nii\n"
        "a.nii,,six.nii\n"
        "a.nii,T2w,seven.nii,surplus\n"
        "a.nii,T2w,eight.txt\n"
        "a.nii,T2w\n"
        ";,T2w,nine.nii\n"
        "a.nii,T2w,a.nii\n"
        "a.nii,FLAIR,ten.nii\n"
    )
    done: list[int] = []
    found = outcomes(table(tmp_path, text), progress=lambda n, total, item: done.append(n))
    assert [one.line for one in found] == list(range(2, 15))
    assert [one.status for one in found] == ["made", *["failed"] * 11, "made"]
    said = [
        *("the scan is bad -> give a good one", "RuntimeError: out of memory", "'nonsense'", "line 2 of the table"),
        *("no input", "no prompt", "4 cells for 3", "not the name of a NIfTI", "no out", "no input"),
        "the scan itself",
    ]
    for outcome, part in zip(found[1:12], said, strict=True):
        assert part in outcome.detail
    assert done[-1] == 13
    assert (tmp_path / "one.nii").is_file()
    assert (tmp_path / "ten.json").is_file()


def test_what_is_finished_is_skipped_until_it_is_forced_or_asked_for_otherwise(tmp_path: Path) -> None:
    scans(tmp_path, "a.nii")
    path = table(tmp_path, "input,prompt,out\na.nii,T2w,one.nii\n")
    assert [one.status for one in outcomes(path)] == ["made"]
    assert [one.status for one in outcomes(path)] == ["skipped"]
    assert [one.status for one in outcomes(path, force=True)] == ["made"]
    table(tmp_path, "input,prompt,out\na.nii,T1w,one.nii\n")
    [other] = outcomes(path)
    assert other.status == "failed"
    assert "--force" in other.detail
    table(tmp_path, "input,prompt,out\na.nii,T2w,one.nii\n")
    assert [one.status for one in outcomes(path)] == ["skipped"]
    assert [one.status for one in outcomes(path, is_harmonised=True)] == ["failed"]
    (tmp_path / "a.nii").write_text("another scan")
    assert [one.status for one in outcomes(path)] == ["failed"]


@pytest.mark.parametrize(("column", "cell"), [("like", "r.nii"), ("source_prompt", "T1w"), ("brain_mask", "r.nii")])
def test_a_row_that_asks_for_more_than_before_is_not_finished(column: str, cell: str, tmp_path: Path) -> None:
    scans(tmp_path, "a.nii", "r.nii")
    assert [one.status for one in outcomes(table(tmp_path, "input,prompt,out\na.nii,T2w,o.nii\n"))] == ["made"]
    text = f"input,prompt,out,{column}\na.nii,T2w,o.nii,{cell}\n"
    assert [one.status for one in outcomes(table(tmp_path, text))] == ["failed"]
    assert [one.status for one in outcomes(table(tmp_path, text), force=True)] == ["made"]
    assert [one.status for one in outcomes(table(tmp_path, text))] == ["skipped"]


def test_half_of_a_result_is_not_taken_for_a_finished_one(tmp_path: Path) -> None:
    scans(tmp_path, "a.nii")
    path = table(tmp_path, "input,prompt,out\na.nii,T2w,one.nii\n")
    outcomes(path)
    (tmp_path / "one.nii").unlink()
    assert [one.status for one in outcomes(path, force=True)] == ["made"]
    (tmp_path / "one.json").write_text("{")
    [again] = outcomes(path)
    assert again.status == "failed"
    assert "exists" in again.detail


def test_in_a_folder_rows_get_names_of_their_own_or_fail(tmp_path: Path) -> None:
    scans(tmp_path, "sub-01_T1w.nii", "sub-01_FLAIR.nii", "sub-02_T1w.nii")
    (tmp_path / "out").mkdir()
    rows = [f"{name},T2w,out" for name in ("sub-01_T1w.nii", "sub-01_FLAIR.nii", "sub-02_T1w.nii")]
    found = outcomes(table(tmp_path, "input,prompt,out\n" + "\n".join(rows)))
    assert [one.status for one in found] == ["made", "failed", "made"]
    assert "line 2 of the table writes the same file" in found[1].detail
    assert (tmp_path / "out" / "sub-02_desc-synthetic_T2w.nii.gz").is_file()


def test_a_signal_ends_the_table(tmp_path: Path) -> None:
    scans(tmp_path, "a.nii", "b.nii")
    path = table(tmp_path, "input,prompt,out\na.nii,T2w,one.nii\nb.nii,T2w,two.nii\n")

    def stopped(row: Row) -> Made:
        if row.line == 3:
            raise KeyboardInterrupt
        return make(row)

    with pytest.raises(KeyboardInterrupt):
        list(run(read_table(path), stopped))
    assert (tmp_path / "one.nii").is_file()
    assert [one.status for one in outcomes(path)] == ["skipped", "made"]
