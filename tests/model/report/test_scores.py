"""Score rows as figures: which pairs belong together, and who counts how often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest

from model.evaluation.statistics import Estimate
from model.report.data import THICK_MM, Cell, Figures, Group, Person, ScoreLine, read_figures, rows
from model.report.scores import WIDTH, Table, parts, span_of, table
from tests.model.report.conftest import Reported
from warehouse.tables import TABLES

MODEL, MAP, RESCAN, IDENTITY = "m", "baseline:intensity_map_oracle", "baseline:rescan", "baseline:identity"
COLUMNS = {  # that the queries read
    "core.volume": "image_id VARCHAR, recipe_id VARCHAR, recipe VARCHAR, is_stripped BOOLEAN",
    "core.quality": "image_id VARCHAR, recipe_id VARCHAR, measure VARCHAR, value DOUBLE",
    "out.image_catalog": "image_id VARCHAR, person_id VARCHAR, is_simulated BOOLEAN, contrast_label VARCHAR, "
    "voxel_size_mm DOUBLE[]",
}


class Asked:
    """A catalogue of a few images and scores, and the queries of a report to it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection, self.n_scores = connection, 0
        for schema in ("core", "out"):
            connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute(TABLES["core.evaluation_score"].ddl())
        for name in COLUMNS:
            connection.execute(f"CREATE TABLE {name} ({COLUMNS[name]})")

    def image(self, name: str, person: str, contrast: str = "T2w", *, simulated: bool = False, mm: float = 1.0) -> None:
        row = (image_id(name), person, simulated, contrast, [1.0, 1.0, mm])
        self.connection.execute("INSERT INTO out.image_catalog VALUES (?, ?, ?, ?, ?)", row)

    def volume(self, name: str, *, stripped: bool | None, resolution: float | None = None) -> None:
        self.connection.execute("INSERT INTO core.volume VALUES (?, 'r', 'draft', ?)", (image_id(name), stripped))
        if resolution is not None:
            for axis, value in (("lr", 1.0), ("is", resolution)):
                row = (image_id(name), f"resolution_{axis}_mm", value)
                self.connection.execute("INSERT INTO core.quality VALUES (?, 'r', ?, ?)", row)

    def score(self, maker: str, value: float, target: str, sources: Sequence[str] = ("s",), **more: Any) -> None:
        self.n_scores += 1
        row = {
            "event_id": str(self.n_scores),
            "occurred_at": datetime(2026, 1, 1, tzinfo=UTC),
            "evaluation_id": "e",
            "model_id": maker,
            "data_id": "d",
            "protocol_hash": "p",
            "form": "native",
            "task": "T1w_to_T2w",
            "split": "val",
            "source_image_ids": [image_id(name) for name in sources],
            "target_image_id": image_id(target),
            "metric": "psnr_db",
            "mask": "brain",
            "value": value,
        }
        records = TABLES["core.evaluation_score"].rows([row | more])
        assert records.num_rows == 1
        self.connection.execute("INSERT INTO core.evaluation_score BY NAME SELECT * FROM records")

    def people(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        """Rows of people.sql by form, maker and person."""
        found = rows(self.connection, "people", {"evaluation_id": "e"})
        return {(row["form"], row["maker"], row["person_id"]): row for row in found}

    def groups(self) -> list[tuple[str, str, str, float]]:
        asked = {"evaluation_id": "e", "recipe": "draft", "thick_mm": THICK_MM}
        found = rows(self.connection, "groups", asked)
        return [
            (row["source_head"], row["target_head"], row["resolution"], row["model_db"] - row["map_db"])
            for row in found
        ]


def image_id(name: str) -> str:
    return name.encode().hex().rjust(16, "0")


@pytest.fixture
def asked() -> Iterator[Asked]:
    with duckdb.connect() as connection:
        yield Asked(connection)


def test_rows_without_a_form_are_of_the_harmonised_grid(asked: Asked) -> None:
    asked.image("t", "ann")
    asked.score(MODEL, 20.0, "t", form=None)
    assert list(asked.people()) == [("session", MODEL, "ann")]


def test_a_gain_is_of_the_pairs_that_both_have(asked: Asked) -> None:
    asked.image("t", "ann")
    asked.image("u", "ann")
    asked.score(MODEL, 20.0, "t")
    asked.score(MODEL, 10.0, "u")
    asked.score(MAP, 18.0, "t")  # none could be fitted on u
    found = asked.people()
    assert found["native", MODEL, "ann"]["value"] == 15.0
    assert found["native", MAP, "ann"]["gain"] == 2.0


def test_a_baseline_without_the_model_has_no_gain(asked: Asked) -> None:
    asked.image("t", "ann")
    asked.score(MAP, 18.0, "t", sources=("s", "z"))
    found = asked.people()["native", MAP, "ann"]
    assert (found["value"], found["gain"], found["model_above_map"]) == (18.0, None, None)


def test_a_rescan_is_the_ceiling_of_every_pair_that_ends_in_its_contrast(asked: Asked) -> None:
    asked.image("t", "ann")
    asked.image("again", "ann")
    asked.image("flair", "ann", "FLAIR")
    asked.image("other", "bob")
    for target, task in (("t", "T1w_to_T2w"), ("flair", "T1w_to_FLAIR"), ("other", "T1w_to_T2w")):
        asked.score(MODEL, 20.0, target, task=task)
        asked.score(MAP, 18.0, target, task=task)
    asked.score(RESCAN, 26.0, "again", sources=("t",), task="T2w_to_T2w")
    found = [row for key, row in asked.people().items() if key[1] == RESCAN]
    assert [(row["person_id"], row["task"], row["value"]) for row in found] == [("ann", "T1w_to_T2w", 26.0)]
    assert (found[0]["above_map"], found[0]["model_above_map"], found[0]["gain"]) == (8.0, 2.0, -6.0)


def test_people_of_two_populations_are_two_rows(asked: Asked) -> None:
    asked.image("t", "ann")
    asked.image("u", "sim", simulated=True)
    asked.score(MODEL, 20.0, "t")
    asked.score(MODEL, 30.0, "u")
    found = rows(asked.connection, "figures", {"evaluation_id": "e"})
    means = {(row["population"], row["task"]): row["mean"] for row in found}
    assert means["real", "all tasks"] == 20.0
    assert means["simulated", "all tasks"] == 30.0


def test_pairs_are_grouped_by_what_their_scans_are(asked: Asked) -> None:
    for name, stripped, resolution in (("s", True, None), ("z", False, None), ("t", True, 4.0), ("v", False, 1.2)):
        asked.image(name, name)
        asked.volume(name, stripped=stripped, resolution=resolution)
    asked.image("w", "w", mm=6.0)  # neither harmonised nor measured: by its voxels
    for target, sources in (("t", ("s",)), ("v", ("s", "z")), ("w", ("z",))):
        asked.score(MODEL, 20.0, target, sources)
        asked.score(MAP, 19.0 - len(sources), target, sources)
    assert asked.groups() == [
        ("mixed", "whole head", "isotropic", 3.0),
        ("stripped", "stripped", "thick", 2.0),
        ("whole head", "unknown", "thick", 2.0),
    ]


def test_resampled_slices_count_by_what_was_measured_in_them(asked: Asked) -> None:
    asked.image("s", "s")
    asked.image("t", "t", mm=1.0)
    asked.volume("t", stripped=True, resolution=4.0)
    asked.score(MODEL, 20.0, "t")
    asked.score(MAP, 18.0, "t")
    assert asked.groups() == [("unknown", "stripped", "thick", 2.0)]


@pytest.fixture
def figures(reported: Reported, connection: Any) -> Figures:
    return read_figures(connection, reported.evaluation_id, reported.protocol)


def test_the_way_to_the_ceiling_is_of_people_who_have_one(figures: Figures) -> None:
    line = figures.line(Group("native", "real", "test_internal"), "T1w_to_T2w", "psnr_db")
    assert line.closed is not None
    assert 0 < line.closed < 0.3  # of 7 dB, the model of the fixture covers 0.9
    assert figures.line(Group("native", "real", "test_internal"), "T2w_to_T1w", "psnr_db").closed is None


@pytest.mark.slow
def test_of_all_tasks_baselines_are_of_those_that_the_model_can_do(figures: Figures) -> None:
    group = Group("native", "real", "test_internal")
    each = [figures.line(group, task, "psnr_db") for task in ("T1w_to_T2w", "T2w_to_T1w", "T1w_to_FLAIR")]
    expected = sum(line.baselines[MAP] for line in each) / 3
    assert figures.line(group, None, "psnr_db").baselines[MAP] == pytest.approx(expected)


def test_tables_name_tasks_that_were_not_tested_or_not_supported(figures: Figures) -> None:
    found = table(figures, Group("native", "real", "val"))
    assert [line.task for line in found.lines] == ["T1w_to_T2w", "T2w_to_T1w", "T1w_to_FLAIR", "all tasks"]
    assert (found.untested, found.unsupported) == (["T1w_to_angio"], ["T1w+T2w_to_FLAIR"])


def test_pairs_that_were_refused_are_counted(figures: Figures) -> None:
    group = Group("native", "real", "val")
    cell = Cell(group, "T1w_to_T2w", "refused", "volume")
    refused = replace(figures, people=figures.people | {(figures.model_id, cell): {"ann": Person(2, 1.0)}})
    assert (table(figures, group).n_refused, table(refused, group).n_refused) == (0, 2)


def line_of(people: Sequence[tuple[float, float]]) -> ScoreLine:
    return ScoreLine("t", "psnr_db", "brain", len(people), len(people), [], {}, {}, people, None, lambda _: None)


def test_every_person_is_drawn_within_the_picture_and_many_are_not() -> None:
    group = Group("native", "real", "val")
    found = Table(group, "val", [], [], [], 0, [], (-1.0, 1.0), 10.0, 20.0)
    dots = found.dots(line_of([(10.0, 20.0), (15.0, 14.0)]))
    assert dots is not None
    assert [(fitted < made) for _, fitted, made, _ in dots.people] == [True, False]  # the largest gain first
    assert all(0 < place < WIDTH for _, *places, _ in dots.people for place in places)
    assert found.dots(line_of([(10.0, 20.0)] * 10)) is None


def test_parts_put_real_people_first(figures: Figures) -> None:
    assert [part.group.population for part in parts(figures, "native")] == ["real"] * 4 + ["simulated"] * 2


def test_a_span_holds_zero_means_bounds_and_single_people() -> None:
    low, high = span_of([Estimate(2.0, 1.0, 3.0, 12)], [5.0])
    assert low < 0
    assert high > 5
