"""What Dagster shows of a training: every validation, and the newest examples."""

from __future__ import annotations

import base64
import subprocess
import sys
from io import BytesIO

import pytest
from PIL import Image

from model.training.examples import path_of
from pipelines.assets.metadata import TABLE_ROWS, picture_of_counts, training_metadata
from tests.conftest import ROOT
from warehouse.catalog import model_registry
from warehouse.lake.home import Home

RUN = "a run"


def measure(home: Home, steps: range, **measures: float) -> None:
    """Record a validation at each step: a measure, and what is added to it per step."""
    model_registry.record(
        home,
        "core.training_metric",
        [
            {"run_id": RUN, "kind": "synthesis", "split": "val", "metric": metric, "step": step, "value": value * step}
            for step in steps
            for metric, value in measures.items()
        ],
    )


def table(home: Home) -> list[str]:
    return str(training_metadata(home, RUN)["validations"].value).splitlines()


def test_each_validation_is_a_row_and_each_measure_a_column(home: Home) -> None:
    measure(home, range(0, 900, 300), ssim=0.001, l1=0.0002, psnr_db=0.02)
    assert table(home) == [
        "| step | l1 | psnr_db | ssim |",
        "| --- | --- | --- | --- |",
        "| 0 | 0 | 0 | 0 |",
        "| 300 | 0.06 | 6 | 0.3 |",
        "| 600 | 0.12 | 12 | 0.6 |",
    ]


def test_of_many_validations_the_first_and_the_last_are_listed_and_some_between(home: Home) -> None:
    measure(home, range(1000), l1=1.0)
    rows = table(home)[2:]
    assert len(rows) == TABLE_ROWS
    assert (rows[0], rows[-1]) == ("| 0 | 0 |", "| 999 | 999 |")


def test_the_newest_examples_are_shown(home: Home) -> None:
    measure(home, range(2), l1=1.0)
    assert "examples" not in training_metadata(home, RUN)
    for step, colour in ((300, "red"), (600, "blue")):
        path_of(home.training / RUN, step).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), colour).save(path_of(home.training / RUN, step))
    text = str(training_metadata(home, RUN)["examples"].value)
    shown = Image.open(BytesIO(base64.b64decode(text.rpartition(",")[2].rstrip(")"))))
    red, _, blue = shown.convert("RGB").getpixel((8, 8))  # type: ignore[misc]
    assert blue > 200 > 50 > red


def test_a_run_without_measures_has_neither_table_nor_curves(home: Home) -> None:
    assert training_metadata(home, RUN) == {}


@pytest.mark.slow
def test_what_is_shown_of_a_training_needs_no_torch() -> None:
    script = "import sys, pipelines.assets.metadata; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_the_picture_of_counts_has_a_bar_for_each_centre_and_none_is_no_error() -> None:
    heights = []
    for counts in ({}, {"one": {"T1w": 3}}, {"one": {"T1w": 3, "T2w": 1}, "two": {"T2w": 2}}):
        text = picture_of_counts(counts)
        picture = Image.open(BytesIO(base64.b64decode(text.partition("base64,")[2].rstrip(")"))))
        heights.append(picture.height)
    assert heights == sorted(set(heights))
