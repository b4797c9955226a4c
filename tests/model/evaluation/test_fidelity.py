from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.data.catalogue import Source
from model.data.digital_people import DigitalCohort, DigitalPerson
from model.evaluation import fidelity
from model.evaluation.fidelity import (
    IDENTITY,
    RATIOS,
    TEXTBOOK,
    Identity,
    SignalModel,
    Summary,
    made_ratios,
    measure,
    protocol_hash,
    scores,
    summarise,
    true_ratios,
)
from model.evaluation.sweeps import SWEEPS
from tests.model.evaluation.digital import Changed, Deaf, Perfect, person
from warehouse.errors import ModelError
from warehouse.lake import parts
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord
from warehouse.tables import TABLES

PERSON = person()
TRUTH = true_ratios(PERSON.relaxation)


def summaries(model: SignalModel, who: DigitalPerson = PERSON) -> list[Summary]:
    return summarise({"model_id": "model", **row} for row in measure(model, who, TRUTH))


def error_of(model: SignalModel, who: DigitalPerson = PERSON) -> float:
    return float(np.mean([one.error for one in summaries(model, who) if one.tissue == "worst"]))


def test_a_perfect_model_has_no_error_and_ranks_every_sweep_that_varies() -> None:
    found = summaries(Perfect(PERSON))
    assert len(found) == 3 * len(SWEEPS)
    assert max(one.error for one in found) < 1e-9
    ranks = [one.rank_correlation for one in found if one.rank_correlation is not None]
    assert ranks == pytest.approx([1.0] * len(ranks))
    assert len(ranks) > 2 * len(SWEEPS)


@pytest.mark.slow
def test_a_gain_changes_nothing_since_a_scan_has_none() -> None:
    assert error_of(Perfect(PERSON, gain=1e4)) < 1e-9
    assert error_of(Perfect(PERSON, gain=1e-6)) < 1e-9


def test_a_signal_without_a_true_zero_is_an_error() -> None:
    assert error_of(Changed(Perfect(PERSON), offset=0.05)) > 0.1


def test_a_model_that_ignores_the_prompt_has_the_error_of_the_identity_and_no_rank_correlation() -> None:
    deaf, same = Deaf(), Identity(PERSON.scale)
    assert all(one.rank_correlation in (0.0, None) for one in summaries(deaf) + summaries(same))
    assert error_of(same) > 0.3

    class Echo:
        def signal(self, sources: Sequence[Source], target: PromptRecord) -> NDArray[np.float64]:
            return 5.0 * PERSON.scale.from_network(sources[0].voxels)

    assert error_of(Echo()) == pytest.approx(error_of(same))


def test_a_model_that_goes_the_wrong_way_has_a_negative_rank_correlation() -> None:
    rows = [
        row
        for row in measure(Perfect(PERSON), PERSON, TRUTH)
        if (row["sweep"], row["field"], row["tissue"]) == ("T2w_fse", "echo_time_s", "csf")
    ]
    made = [row["made_ratio"] for row in rows]
    turned = [{"model_id": "m", **row, "made_ratio": value} for row, value in zip(rows, made[::-1], strict=True)]
    assert summarise(turned)[0].rank_correlation == pytest.approx(-1.0)


def test_swapped_masks_are_an_error() -> None:
    swapped = replace(
        PERSON, shares={"wm": PERSON.shares["gm"], "gm": PERSON.shares["wm"], "csf": PERSON.shares["csf"]}
    )
    assert error_of(Perfect(PERSON), swapped) > 0.1


def test_a_mirrored_image_is_an_error() -> None:
    assert error_of(Changed(Perfect(PERSON), mirror=True)) > 0.1


def test_voxels_of_partial_volume_do_not_count() -> None:
    shares = {name: share.copy() for name, share in PERSON.shares.items()}
    shares["wm"][5], shares["gm"][5] = 0.6, 0.4
    mixed = replace(PERSON, shares=shares)
    assert not mixed.masks["wm"][5].any()
    assert error_of(Perfect(mixed), mixed) < 1e-9


def test_where_fluid_is_nulled_a_small_signal_is_a_small_error() -> None:
    """A relative error of the null would be 100 % and more for what nobody sees."""
    truth = min(ratio for (sweep, _, _, tissue), ratio in TRUTH.items() if (sweep, tissue) == ("FLAIR_ir", "csf"))
    assert truth < 0.15
    for ratio in (0.0, truth, truth + 0.05):
        row = {"sweep": "FLAIR_ir", "field": "inversion_time_s", "tissue": "csf", "person": "p", "model_id": "m"}
        [one, _] = summarise([{**row, "true_ratio": truth, "made_ratio": ratio}])
        assert one.error == pytest.approx(abs(ratio - truth))


def test_an_image_without_white_matter_has_a_finite_error() -> None:
    signal = PERSON.shares["csf"].astype(np.float64)
    ratios = made_ratios(signal, PERSON.masks)
    assert np.isfinite(list(ratios.values())).all()
    assert ratios["csf"] > 10
    assert np.isfinite(list(made_ratios(0 * signal, PERSON.masks).values())).all()


@pytest.mark.parametrize(
    "wrong", [np.full(PERSON.source.voxels.shape, np.nan), np.ones((2, 2, 2))], ids=["not finite", "another shape"]
)
def test_a_broken_image_is_refused(wrong: NDArray[np.float64]) -> None:
    with pytest.raises(ModelError, match="train it again"):
        made_ratios(wrong, PERSON.masks)


def test_a_tissue_without_pure_voxels_is_refused() -> None:
    empty = {**PERSON.masks, "csf": np.zeros_like(PERSON.masks["csf"])}
    with pytest.raises(ModelError, match="csf"):
        made_ratios(np.ones(PERSON.source.voxels.shape), empty)


def test_each_tissue_stands_by_itself_and_the_worse_is_told() -> None:
    gm, csf, worst = summarise(
        {
            "model_id": "m",
            "person": "p",
            "sweep": "s",
            "field": "f",
            "tissue": tissue,
            "true_ratio": t,
            "made_ratio": made,
        }
        for tissue, made_of in (("gm", (1.0, 1.1, 1.2)), ("csf", (2.0, 1.0, 0.0)))
        for t, made in zip((1.0, 1.1, 1.2), made_of, strict=True)
    )
    assert (gm.tissue, gm.error, gm.rank_correlation) == ("gm", 0.0, pytest.approx(1.0))
    assert (csf.error, csf.rank_correlation) == (pytest.approx((1.0 + 0.1 + 1.2) / 3), pytest.approx(-1.0))
    assert (worst.tissue, worst.error, worst.rank_correlation) == ("worst", csf.error, csf.rank_correlation)


def test_people_stay_apart() -> None:
    row = {"model_id": "m", "sweep": "s", "field": "f", "tissue": "gm", "true_ratio": 1.0}
    found = summarise([{**row, "person": "a", "made_ratio": 1.5}, {**row, "person": "b", "made_ratio": 1.0}])
    assert [(one.person, one.error) for one in found if one.tissue == "gm"] == [("a", 0.5), ("b", 0.0)]


def test_a_model_is_asked_about_the_person_in_the_scan() -> None:
    asked: list[PromptRecord] = []

    class Listens(Deaf):
        def signal(self, sources: Sequence[Source], target: PromptRecord) -> NDArray[np.float64]:
            asked.append(target)
            return super().signal(sources, target)

    measure(Listens(), PERSON, TRUTH)
    assert {(one.age_years, one.sex, one.voxel_size_mm) for one in asked} == {(40.0, "F", (3.0, 3.0, 3.0))}
    assert len(asked) == sum(len(sweep.values) for sweep in SWEEPS)


class Blocks(DigitalCohort):
    """Two people of blocks."""

    def people(self) -> Iterator[DigitalPerson]:
        yield from (person("one"), person("two"))


def test_rows_fit_the_catalogue_and_have_the_baselines_beside_the_model(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        row for rows in scores(Perfect(PERSON), "0" * 16, Blocks(), SWEEPS[:2]) for row in rows
    ]
    points = sum(len(sweep.values) for sweep in SWEEPS[:2])
    assert len({row["event_id"] for row in rows}) == len(rows) == 2 * 3 * points * len(RATIOS)
    assert {row["model_id"] for row in rows} == {"0" * 16, TEXTBOOK, IDENTITY}
    columns = {column.name for column in TABLES["core.fidelity_score"].columns}
    assert {frozenset(row) for row in rows} == {frozenset(columns - {"occurred_at"})}
    assert parts.append_events(Home(tmp_path / "home"), "core.fidelity_score", rows)


def test_other_sweeps_are_another_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    known = protocol_hash()
    assert known == protocol_hash() != protocol_hash(SWEEPS[:2])
    monkeypatch.setattr(fidelity, "VERSION", 99)
    assert known != protocol_hash()
