"""The page of a text encoder: whole, alone, and its figures are those of the evaluation."""

from __future__ import annotations

import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape
from PIL import Image

from model.evaluation.recovery import recovered
from model.evaluation.retrieval import Retrieval, catalogue_rows, scan_rows
from model.evaluation.retrieval_examples import N_CANDIDATES, Picture, choose_examples
from model.evaluation.retrieval_protocol import RetrievalProtocol
from model.evaluation.scorers import Encoder
from model.report.encoder_plots import example_plot, field_plot, plots, recovery_plot, retrieval_plot
from model.report.text_encoder import PAGE, PICTURES, render, tables, write_page
from tests.hostile import PICTURE, SCRIPT, TEMPLATE
from tests.model.evaluation.seen import Clairvoyant, observer, scans
from tests.model.evaluation.test_retrieval import item, seen_of

pytestmark = pytest.mark.slow  # its fixtures take seconds

PROTOCOL = RetrievalProtocol(name="small", n_candidates=(10,), n_swept=3)


@pytest.fixture(scope="module")
def found() -> Retrieval:
    """An evaluation of one who knows what prompts say."""
    encoder, ideal = Encoder(Clairvoyant()), observer(70)
    training, tested = (replace(one, vectors=encoder.vectors(one.records)) for one in (scans(168), scans(168, 1)))
    numbers = list(recovered(training, tested, ideal))
    items = [item(number, record) for number, record in enumerate(tested.records[:20])]
    volume = np.random.default_rng(0).random((12, 14, 10)).astype(np.float32)
    picture = Picture(volume, np.ones(volume.shape, bool), np.diag([4.0, 4.0, 4.0, 1.0]))
    rows = [
        *catalogue_rows(encoder, ideal, items, seen_of(items, encoder), PROTOCOL),
        *scan_rows(encoder, ideal, tested, numbers, PROTOCOL),
    ]
    gate = {"gate": "it_works", "verdict": "passed", "value": 0.9, "threshold": 0.5, "detail": "12 < 13 people"}
    complete = [{"change_low": None, "field": None, "form": None, "low": None, "high": None} | row for row in rows]
    examples = choose_examples(encoder, tested, [True] * len(tested), lambda place: picture)
    return Retrieval("m" * 16, "d" * 16, "p" * 16, complete, [gate], numbers, examples)


def test_the_page_holds_its_pictures_and_every_figure(found: Retrieval, tmp_path: Path) -> None:
    page = write_page(found, tmp_path, {"Protocol": "small"})
    html = page.read_text(encoding="utf-8")
    assert page == tmp_path / PAGE
    assert len(re.findall(r"data:image/png;base64,", html)) == len(PICTURES)
    assert {path.stem for path in tmp_path.glob("*.png")} == set(PICTURES)
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    assert "12 &lt; 13 people" in html
    for _, rows in tables(found.scores):
        for row in rows:
            assert row[0] in html
            assert row[4] in html


@pytest.mark.parametrize("text", [SCRIPT, PICTURE, TEMPLATE])
def test_what_data_say_is_text_on_the_page(found: Retrieval, text: str) -> None:
    rows = [row | {"field": text, "split": text} for row in found.scores]
    gates = [gate | {"detail": text} for gate in found.gates]
    html = render(replace(found, scores=rows, gates=gates), {}, {text: text})
    assert html.count(str(escape(text))) > 2
    assert "<script" not in html
    assert "<img" not in html


def test_curves_are_drawn_and_not_listed(found: Retrieval) -> None:
    listed = sum(len(rows) for _, rows in tables(found.scores))
    assert listed == sum(row["change_low"] is None for row in found.scores)
    assert any(row["change_low"] is not None for row in found.scores)


def test_every_picture_has_content(found: Retrieval) -> None:
    drawn = plots(found.scores, found.recovered, found.examples)
    assert drawn.keys() == set(PICTURES)
    for picture in drawn.values():
        pixels = np.asarray(Image.open(BytesIO(picture)).convert("L"))
        assert 200 < pixels.shape[1] < 2000
        assert pixels.std() > 10


def test_without_figures_nothing_is_drawn() -> None:
    assert retrieval_plot([]) is None
    assert field_plot([]) is None
    assert recovery_plot([]) is None
    assert example_plot([]) is None
    assert plots([], [], []) == {}


def test_examples_have_their_own_prompt_among_others_best_first(found: Retrieval) -> None:
    assert found.examples
    for example in found.examples:
        assert example.record in example.candidates
        assert len(example.candidates) == len(set(example.candidates)) == N_CANDIDATES
        assert example.scores == sorted(example.scores, reverse=True)


def test_real_images_are_shown_before_simulated_ones() -> None:
    encoder, seen = Encoder(Clairvoyant()), scans(70)
    seen = replace(seen, vectors=encoder.vectors(seen.records))
    is_simulated = [number < 35 for number in range(70)]
    picture = Picture(np.ones((4, 4, 4), np.float32), np.ones((4, 4, 4), bool), np.eye(4))
    chosen = choose_examples(encoder, seen, is_simulated, lambda place: picture)
    assert {one.is_simulated for one in chosen} == {False}
