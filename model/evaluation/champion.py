"""Compare a candidate with the champion: the same data, protocol and pairs, people whom neither has seen.

The candidate has seen nobody who is tested, or its evaluation is refused. People whom the champion was trained on are
left out: its own split may have been another one. Only what the gate needs is measured: pairs of the gated split and
population, from file to file. The champion's figures have the identity that its own evaluation would give them, so they
are measured once, and stand under its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.data.catalogue import CatalogueImages
from model.evaluation import gates
from model.evaluation.evaluate import KNOWN_SPLITS, Report
from model.evaluation.pairs import TestPair, native_pairs, populations, seen_by, session_pairs
from model.evaluation.protocol import EvaluationProtocol
from model.evaluation.references import figures
from model.evaluation.scenes import RefusedScanError, SynthesisModel, has_files, native_scene, synthesise
from model.evaluation.score_rows import REFUSED, Row, hashed, identify, score_rows
from warehouse.lake.home import Home


@dataclass(frozen=True)
class Comparison:
    """A candidate beside a champion.

    Parameters
    ----------
    scores : list of dict
        Rows of `core.evaluation_score`: figures of the champion that were not recorded.
    verdict : dict
        Row of `core.gate_verdict`.
    """

    scores: list[Row]
    verdict: Row


def compare(
    home: Home,
    scores: Sequence[Row],
    model_id: str,
    protocol: EvaluationProtocol,
    opponent: gates.Opponent,
    trained_on: Mapping[str, Sequence[str]] | None,
    load: Callable[[], SynthesisModel],
    recorded: Sequence[Row] = (),
    report: Report | None = None,
    *,
    snapshot: str | None = None,
) -> Comparison:
    """Compare an evaluated model with another one. Nothing is written.

    Parameters
    ----------
    scores : sequence of dict
        Rows of `core.evaluation_score` of the model's evaluation by this protocol on the data of the catalogue.
    model_id : str
    protocol : EvaluationProtocol
    opponent : Opponent
    trained_on : mapping or None
        Hashes of the people and scans that the other model was trained on; None where its checkpoint does not state it.
    load : callable
        Returns the other model; called only where a pair has no recorded figure.
    recorded : sequence of dict
        Rows of `core.evaluation_score` of the other model, by the same protocol on the same data.
    report : callable, optional
        Told after each pair: pairs done, pairs in all, task.
    snapshot : str, optional
        Catalogue to read; default: the one in force.

    Raises
    ------
    ModelError
        When the other model gives voxels that are not finite or another shape.
    """
    images = CatalogueImages.open(home, protocol.recipe, KNOWN_SPLITS, snapshot=snapshot)
    native = native_pairs(images, protocol) if "native" in protocol.forms else []
    drawn = native or session_pairs(images, protocol)
    place = gates.gated_place(protocol.splits, populations(images, drawn))
    own = _measured(scores, model_id)
    inside = [pair for pair in native if _key(images, pair) in own and _place_of(images, pair) == place]
    if trained_on is None:
        verdict = gates.unknown_people(opponent)
        return Comparison([], _identified(verdict, model_id, images, protocol))
    fair = [pair for pair in inside if not _is_seen(images, pair, trained_on)]
    left_out = {images.items[pair.target].person_id for pair in inside} - {
        images.items[pair.target].person_id for pair in fair
    }
    known = _measured(recorded, opponent.model_id)
    missing = [pair for pair in fair if _key(images, pair) not in known and has_files(images, pair)]
    made = _measure(images, protocol, opponent.model_id, missing, load, report) if missing else []
    keys = {_key(images, pair) for pair in fair}
    others = [row for row in (*recorded, *made) if row["model_id"] == opponent.model_id]
    both = [*(row for row in scores if row["model_id"] == model_id), *others]
    on_fair = [row for row in both if _key_of_row(row) in keys]
    items = {item.image_id: item for item in images.items}
    verdict = gates.judge_against(on_fair, items, place, model_id, protocol, opponent, len(left_out))
    return Comparison(made, _identified(verdict, model_id, images, protocol))


def _measure(
    images: CatalogueImages,
    protocol: EvaluationProtocol,
    model_id: str,
    pairs: Sequence[TestPair],
    load: Callable[[], SynthesisModel],
    report: Report | None,
) -> list[Row]:
    """Return the figures of a model on pairs, in form native, with one row for a pair that it refuses."""
    model = load()
    rows: list[Row] = []
    evaluation_id = identify(model_id, images.data_id, protocol.hash)
    for done, pair in enumerate(pairs, start=1):
        if len(pair.sources) <= model.max_sources:
            try:
                scene = native_scene(images, pair)
                found = figures(synthesise(model, scene, images.items[pair.target].record), scene)
            except RefusedScanError:
                found = {REFUSED: 1.0}
            rows += score_rows(images, protocol, evaluation_id, model_id, "native", pair, found)
        if report is not None:
            report(done, len(pairs), f"{pair.task}, champion")
    return rows


def _identified(verdict: Row, model_id: str, images: CatalogueImages, protocol: EvaluationProtocol) -> Row:
    evaluation_id = identify(model_id, images.data_id, protocol.hash)
    digest = hashed(evaluation_id, verdict["gate"], verdict["against_id"], repr(verdict["threshold"]))
    place = {"model_id": model_id, "data_id": images.data_id, "protocol_hash": protocol.hash}
    return {"event_id": digest, **place, "snapshot_id": images.snapshot_id, **verdict}


def _measured(rows: Sequence[Row], model_id: str) -> set[tuple[str, ...]]:
    """Return the pairs for which a model has a figure in form native, or was refused."""
    wanted = {("psnr_db", "brain"), REFUSED}
    return {
        _key_of_row(row)
        for row in rows
        if row["model_id"] == model_id and row["form"] == "native" and (row["metric"], row["mask"]) in wanted
    }


def _key(images: CatalogueImages, pair: TestPair) -> tuple[str, ...]:
    return (pair.task, *(images.items[index].image_id for index in (*pair.sources, pair.target)))


def _key_of_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (row["task"], *row["source_image_ids"], row["target_image_id"])


def _place_of(images: CatalogueImages, pair: TestPair) -> gates.Place:
    return gates.Place(pair.split, images.items[pair.target].is_simulated)


def _is_seen(images: CatalogueImages, pair: TestPair, trained_on: Mapping[str, Sequence[str]]) -> bool:
    return any(seen_by([images.items[index] for index in (*pair.sources, pair.target)], trained_on).values())
