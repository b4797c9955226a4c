"""The page: whole, alone, honest, and its figures are the catalogue's."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.evaluation.baselines import IDENTITY, MAP_TRAIN
from model.evaluation.statistics import Estimate, by_person
from model.report import page
from model.report.data import SQL, read_figures, rows
from model.report.page import beyond_gates, problems, write_report
from tests.model.evaluation.fakes import protocol
from tests.model.report.conftest import ENCODER, MODEL, Reported
from warehouse.errors import ModelError


def text_of(reported: Reported) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", reported.page.read_text(encoding="utf-8")))


def test_every_figure_of_the_page_is_what_sql_says(reported: Reported, connection: Any) -> None:
    assert problems(reported.page, connection, reported.evaluation.evaluation_id, reported.protocol) == []


def test_a_figure_is_the_mean_over_people_of_the_rows(reported: Reported, connection: Any) -> None:
    figures = read_figures(connection, reported.evaluation.evaluation_id, reported.protocol)
    line = figures.line("test_internal", "T1w_to_T2w", "psnr_db")
    rows = connection.execute("SELECT image_id, person_id FROM out.image_catalog").fetchall()
    person_of = dict(rows)
    wanted = [
        (person_of[row["target_image_id"]], row["value"])
        for row in reported.evaluation.scores
        if (row["model_id"], row["split"], row["task"], row["metric"], row["mask"])
        == (MODEL, "test_internal", "T1w_to_T2w", "psnr_db", "brain")
    ]
    assert line.model is not None
    assert line.model.mean == pytest.approx(np.mean(by_person(wanted)))
    assert (line.n_pairs, line.n_people) == (len(wanted), len({person for person, _ in wanted}))
    assert line.gains[IDENTITY].mean == pytest.approx(line.model.mean - line.baselines[IDENTITY].mean)


def test_the_headline_gain_is_the_gates_figure(reported: Reported, connection: Any) -> None:
    figures = read_figures(connection, reported.evaluation.evaluation_id, reported.protocol)
    found = figures.line("test_internal", None, "psnr_db").gains[IDENTITY]
    verdict = next(row for row in figures.gates if row["gate"] == "better_than_identity")
    assert found.mean == pytest.approx(verdict["value"])


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda text: re.sub(r'(<span class="model">)\d', r"\g<1>9", text, count=1), "by the catalogue"),
        (lambda text: re.sub(r'(<span class="interval">\[)', r"\g<1>1", text, count=1), "by the catalogue"),
        (lambda text: re.sub(r'<td class="n model">[^<]+</td>', "", text, count=1), "by the catalogue"),
        (lambda text: re.sub(r"<figure><img[^>]+>", "<figure>", text, count=1), "pictures for"),
        (lambda text: text.replace("base64,iVBOR", "base64,iVBOS", 1), "damaged"),
        (lambda text: text.replace("</main>", '<img src="https://example.org/a.png"></main>'), "by the catalogue"),
        (lambda text: text + "<p>more</p>", "lines instead of"),
    ],
    ids=["another digit", "another bound", "no value", "no picture", "damaged picture", "from elsewhere", "more"],
)
def test_a_page_that_was_changed_is_found_out(
    reported: Reported, connection: Any, tmp_path: Path, spoil: Any, named: str
) -> None:
    shutil.copytree(reported.page.parent, tmp_path / "report")
    page = tmp_path / "report" / "report.html"
    text = page.read_text(encoding="utf-8")
    assert spoil(text) != text
    page.write_text(spoil(text), encoding="utf-8")
    assert any(
        named in said for said in problems(page, connection, reported.evaluation.evaluation_id, reported.protocol)
    )


def test_a_mean_that_sql_computes_otherwise_is_found_out(
    reported: Reported, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(connection: Any, query: str, parameters: Any) -> list[dict[str, Any]]:
        found = rows(connection, query, parameters)
        return [row | {"mean": row["mean"] + 0.01} for row in found] if query == "figures" else found

    monkeypatch.setattr(page, "rows", other)
    known = reported.evaluation.evaluation_id
    assert any("by SQL" in said for said in problems(reported.page, connection, known, reported.protocol))


def test_a_page_that_is_not_there_is_found_out(reported: Reported, connection: Any, tmp_path: Path) -> None:
    assert problems(tmp_path / "report.html", connection, reported.evaluation.evaluation_id) != []


def test_simulated_data_are_called_so_before_anything_else(reported: Reported) -> None:
    text = text_of(reported)
    assert text.index("Demonstration on simulated data") < text.index("Brain PSNR")
    assert "nothing here is for clinical use" in text


def test_gates_do_not_hide_that_an_intensity_map_is_better(reported: Reported, connection: Any) -> None:
    figures = read_figures(connection, reported.evaluation.evaluation_id, reported.protocol)
    found = figures.line("test_internal", None, "psnr_db").gains[MAP_TRAIN]
    assert not any(row["verdict"] == "failed" for row in reported.evaluation.gates)
    assert found.mean < 0
    too_few = "too few people to tell whether the model is better than an intensity map of training pairs"
    assert re.search(rf"{too_few}[^.]*: −{-found.mean:.2f} dB", text_of(reported))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Estimate(-1.0, -2.0, -0.5, 12), "prompt, is as good or better: −1.00 dB [−2.00, −0.50]"),
        (Estimate(1.0, -0.5, 2.0, 12), "prompt, is as good or better: +1.00 dB [−0.50, +2.00]"),
        (Estimate(1.0, 0.5, 2.0, 12), "Beyond them, the model is better than"),
        (Estimate(1.0, None, None, 9), "too few people to tell"),
    ],
)
def test_a_gain_on_the_intensity_map_is_claimed_by_its_interval_alone(found: Estimate, said: str) -> None:
    assert said in beyond_gates(found)


def test_a_task_without_pairs_is_not_passed_over(reported: Reported) -> None:
    assert text_of(reported).count("T1w → angio no pair in these data: not tested") == 4


def test_a_difference_whose_interval_holds_zero_is_neither_bold_nor_coloured(reported: Reported) -> None:
    cells = re.findall(
        r'<td class="gain ([a-z]*)">.*?<span class="interval">([^<]*)</span></td>', reported.page.read_text()
    )
    assert cells
    for kind, bounds in cells:
        ends = [float(end) for end in re.findall(r"[+-]?[\d.]+", bounds.replace("−", "-"))]
        holds_zero = len(ends) != 2 or ends[0] <= 0 <= ends[1]
        assert (kind == "") == holds_zero, (kind, bounds)


def test_the_page_says_where_it_comes_from(reported: Reported) -> None:
    text = text_of(reported)
    known = reported.evaluation
    for said in (
        MODEL,
        ENCODER,
        known.data_id,
        known.protocol_hash,
        known.evaluation_id,
        "0.1.0+abc",
        "300 steps, 90 s",
    ):
        assert said in text
    assert "the paper's own eight, their values and their protocol are not public" in text
    assert "chance is 25.0 %" in text


def test_the_same_evaluation_gives_the_same_page(reported: Reported, connection: Any, tmp_path: Path) -> None:
    known = reported.evaluation.evaluation_id
    again = write_report(reported.home, connection, known, reported.model, tmp_path, reported.protocol)
    assert again.read_bytes() == reported.page.read_bytes()
    assert (tmp_path / "gallery.png").read_bytes() == reported.page.with_name("gallery.png").read_bytes()


def test_an_evaluation_that_was_never_made_is_refused(reported: Reported, connection: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no evaluation"):
        write_report(reported.home, connection, "never", reported.model, tmp_path)


def test_a_report_is_not_written_by_another_protocol(reported: Reported, connection: Any, tmp_path: Path) -> None:
    known = reported.evaluation.evaluation_id
    for other in (None, protocol(seed=5)):
        with pytest.raises(ModelError, match="was made by protocol"):
            write_report(reported.home, connection, known, reported.model, tmp_path, other)


@pytest.mark.parametrize("path", sorted(SQL.glob("*.sql")), ids=lambda path: path.stem)
def test_every_query_of_the_report_states_its_grain_and_why(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("-- Grain: ")
    assert "-- Why:   " in text
