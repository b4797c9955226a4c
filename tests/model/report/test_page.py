"""The page: whole, alone, honest, and its figures are the catalogue's."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from model.evaluation.statistics import Estimate
from model.report import page
from model.report.data import SQL, Group, read_figures, rows
from model.report.page import problems, write_report
from model.report.words import first_bar
from tests.model.report.conftest import ENCODER, MODEL, Reported, protocol
from warehouse.errors import ModelError

pytestmark = pytest.mark.slow  # its fixtures take seconds


def text_of(reported: Reported) -> str:
    return plain(reported.page.read_text(encoding="utf-8"))


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def section(reported: Reported, title: str) -> str:
    """The HTML from a heading to the next one of its level."""
    _, _, rest = reported.page.read_text(encoding="utf-8").partition(f"<h2>{title}")
    assert rest, title
    return rest.partition("<h2>")[0]


def test_every_figure_of_the_page_is_what_sql_says(reported: Reported, connection: Any) -> None:
    assert problems(reported.page, connection, reported.evaluation_id, reported.protocol) == []


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda text: re.sub(r'(<span class="model">)\d', r"\g<1>9", text, count=1), "by the catalogue"),
        (lambda text: re.sub(r'(<span class="interval">\[)', r"\g<1>1", text, count=1), "by the catalogue"),
        (lambda text: re.sub(r'<td class="n bar">[^<]+</td>', "", text, count=1), "by the catalogue"),
        (
            lambda text: re.sub(r'(<polyline class="curve made" points=")\d', r"\g<1>9", text, count=1),
            "by the catalogue",
        ),
        (lambda text: re.sub(r'(<circle class="made" cx=")\d', r"\g<1>9", text, count=1), "by the catalogue"),
        (lambda text: text.replace('<td class="bad">✖', '<td class="good">✔', 1), "by the catalogue"),
        (lambda text: re.sub(r"<figure><img[^>]+>", "<figure>", text, count=1), "pictures instead of"),
        (lambda text: text.replace("base64,iVBOR", "base64,iVBOS", 1), "damaged"),
        (lambda text: text.replace("</main>", '<img src="https://example.org/a.png"></main>'), "by the catalogue"),
        (lambda text: text + "<p>more</p>", "lines instead of"),
    ],
    ids=[
        *("another digit", "another bound", "no baseline", "another curve", "another person", "another verdict"),
        *("no picture", "damaged picture", "from elsewhere", "more"),
    ],
)
def test_a_page_that_was_changed_is_found_out(
    reported: Reported, connection: Any, tmp_path: Path, spoil: Any, named: str
) -> None:
    shutil.copytree(reported.page.parent, tmp_path / "report")
    page = tmp_path / "report" / "report.html"
    text = page.read_text(encoding="utf-8")
    assert spoil(text) != text
    page.write_text(spoil(text), encoding="utf-8")
    assert any(named in said for said in problems(page, connection, reported.evaluation_id, reported.protocol))


@pytest.mark.parametrize("column", ["mean", "gain"])
def test_a_mean_that_sql_computes_otherwise_is_found_out(
    reported: Reported, connection: Any, monkeypatch: pytest.MonkeyPatch, column: str
) -> None:
    def other(connection: Any, query: str, parameters: Any) -> list[dict[str, Any]]:
        found = rows(connection, query, parameters)
        return [row | {column: row[column] + 0.01} for row in found if row[column]] if query == "figures" else found

    monkeypatch.setattr(page, "rows", other)
    said = problems(reported.page, connection, reported.evaluation_id, reported.protocol)
    assert any("by SQL" in each for each in said)


def test_a_page_that_is_not_there_is_found_out(reported: Reported, connection: Any, tmp_path: Path) -> None:
    assert problems(tmp_path / "report.html", connection, reported.evaluation_id) != []


def test_who_was_tested_is_said_before_any_figure(reported: Reported) -> None:
    text = text_of(reported)
    first = text.index("What ships")
    for said in (
        "19 real people",
        "15 simulated people",
        "kept apart in every figure",
        "Nothing here is for clinical use",
    ):
        assert text.index(said) < first


def test_no_figure_holds_real_and_simulated_people(reported: Reported, connection: Any) -> None:
    figures = read_figures(connection, reported.evaluation_id, reported.protocol)
    real, simulated = (
        figures.line(Group("native", name, "test_internal"), None, "psnr_db") for name in ("real", "simulated")
    )
    assert (real.n_people, simulated.n_people) == (12, 3)
    assert simulated.mean is not None
    assert real.mean is not None
    assert simulated.mean > real.mean + 2  # simulated people of the fixture are easier by 3 dB


def test_what_ships_comes_first_and_the_harmonised_grid_is_folded(reported: Reported) -> None:
    text = reported.page.read_text(encoding="utf-8")
    assert text.index("<h2>What ships") < text.index("<h2>On the harmonised grid")
    assert "<h3>Real people, internal test people</h3>" in section(reported, "What ships")
    grid = section(reported, "On the harmonised grid")
    assert "<h3>" not in grid
    assert "<summary><b>Real people, internal test people</b>" in grid


def test_whole_volume_figures_are_folded(reported: Reported) -> None:
    shown = re.sub(r"<details.*?</details>", "", section(reported, "What ships"), flags=re.DOTALL)
    assert "Whole volume" not in shown
    assert "Whole volume" in section(reported, "What ships")


def test_of_few_people_everyone_is_drawn_and_of_many_an_interval(reported: Reported) -> None:
    internal, _, external = section(reported, "What ships").partition("<h3>Real people, external centres</h3>")
    drawings = re.findall(r'<svg class="persons".*?</svg>', external.partition("</table>")[0], flags=re.DOTALL)
    assert [drawing.count('class="made"') for drawing in drawings] == [3] * 4  # three tasks, and all together
    assert '<svg class="persons"' not in internal


def test_a_task_without_pairs_and_one_with_too_many_sources_are_not_passed_over(reported: Reported) -> None:
    text = plain(section(reported, "What ships"))
    assert text.count("not tested: T1w → angio") == 6
    assert text.count("only their baselines were measured: T1w + T2w → FLAIR") == 6


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Estimate(-1.0, -2.0, -0.5, 12), "does not clear the first bar"),
        (Estimate(1.0, -0.5, 2.0, 12), "cannot be told apart: +1.00 dB [−0.50, +2.00]"),
        (Estimate(1.0, 0.5, 2.0, 12), "the model clears the first bar"),
        (Estimate(1.0, None, None, 9), "too few people (9) to tell"),
    ],
)
def test_the_first_bar_is_cleared_by_the_interval_alone(found: Estimate, said: str) -> None:
    assert said in first_bar(found)


def test_a_difference_whose_interval_holds_zero_is_neither_bold_nor_coloured(reported: Reported) -> None:
    text = reported.page.read_text(encoding="utf-8")
    cells = re.findall(r'<td class="gain ([a-z]*)"[^>]*>.*?<span class="interval">([^<]*)</span></td>', text)
    assert len(cells) > 10
    for kind, bounds in cells:
        ends = [float(end) for end in re.findall(r"[+-][\d.]+", bounds.replace("−", "-"))]
        holds_zero = len(ends) != 2 or ends[0] <= 0 <= ends[1]
        assert (kind == "") == holds_zero, (kind, bounds)


def test_thick_and_stripped_scans_have_rows_of_their_own_and_unknown_is_one(reported: Reported) -> None:
    text = plain(section(reported, "Skull and slices"))
    assert "Real people, internal test people stripped stripped ≥ 2.5 mm (thick) 12 (36)" in text
    assert "Real people, external centres whole head whole head &lt; 2.5 mm 3 (9)" in text
    assert "Simulated people, acceptance set unknown unknown &lt; 2.5 mm 12 (36)" in text  # by their voxels of 0.8 mm


def test_the_page_says_where_it_comes_from(reported: Reported) -> None:
    text = text_of(reported)
    origin = (MODEL, ENCODER, reported.data_id, reported.protocol.hash, reported.evaluation_id)
    for said in (*origin, "0.1.0+abc", "300 steps, 90 s"):
        assert said in text
    assert "the paper's own eight, their values and their protocol are not public" in text


def test_the_page_needs_nothing_from_elsewhere(reported: Reported) -> None:
    assert not re.search(r'(?:src|href)="(?!data:)', reported.page.read_text(encoding="utf-8"))


def test_the_same_evaluation_gives_the_same_page(reported: Reported, connection: Any, tmp_path: Path) -> None:
    known = reported.evaluation_id
    again = write_report(reported.home, connection, known, reported.model, tmp_path, reported.protocol)
    assert again.read_bytes() == reported.page.read_bytes()
    assert (tmp_path / "gallery.png").read_bytes() == reported.page.with_name("gallery.png").read_bytes()


def test_an_evaluation_that_was_never_made_is_refused(reported: Reported, connection: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no evaluation"):
        write_report(reported.home, connection, "never", reported.model, tmp_path)


def test_a_report_is_not_written_by_another_protocol(reported: Reported, connection: Any, tmp_path: Path) -> None:
    for other in (None, protocol(seed=5)):
        with pytest.raises(ModelError, match="was made by protocol"):
            write_report(reported.home, connection, reported.evaluation_id, reported.model, tmp_path, other)


@pytest.mark.parametrize("path", sorted(SQL.glob("*.sql")), ids=lambda path: path.stem)
def test_every_query_of_the_report_states_its_grain_and_why(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("-- Grain: ")
    assert "-- Why:   " in text


def test_what_the_weights_that_ship_make_stands_in_the_page_and_is_checked(
    reported: Reported, connection: Any, tmp_path: Path
) -> None:
    picture = (reported.page.parent / "gallery.png").read_bytes()
    asked = (reported.evaluation_id, reported.model, tmp_path, reported.protocol)
    page = write_report(reported.home, connection, *asked, shipped=picture)
    known = (reported.evaluation_id, reported.protocol)
    assert "The weights that ship" in page.read_text(encoding="utf-8")
    assert problems(page, connection, *known, shipped=picture) == []
    assert any("pictures instead of" in one for one in problems(page, connection, *known))
    assert "The weights that ship" not in reported.page.read_text(encoding="utf-8")
    assert any("pictures instead of" in one for one in problems(reported.page, connection, *known, shipped=picture))
