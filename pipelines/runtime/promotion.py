"""Compare an evaluated model with the champion, and offer it: promoted, rejected, or left a candidate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.runtime.operations import load_operations
from pipelines.runtime.progress import Report
from warehouse.catalog import model_registry, promotion, verdicts
from warehouse.errors import ModelError
from warehouse.lake.home import Home

if TYPE_CHECKING:
    from model.evaluation.gates import Opponent
    from model.evaluation.protocol import EvaluationProtocol
    from model.inference.synthesize import Synthesizer

SCORE = "core.evaluation_score"
ATTEMPTS = 5  # a champion that changes meanwhile is compared with, too
Row = dict[str, Any]
Compare = Callable[[str, str, float], Row]  # gate, the other model, margin


def offer(
    home: Home,
    kind: str,
    keys: Mapping[str, str],
    evaluation_id: str,
    compare: Compare,
) -> tuple[promotion.Offer, list[Row]]:
    """Offer an evaluated model as champion.

    Parameters
    ----------
    kind : {"text_encoder", "synthesis"}
    keys : mapping
        `model_id`, `data_id` and `protocol_hash` of the evaluation.
    evaluation_id : str
    compare : callable
        Returns the row of `core.gate_verdict` that compares the model with another one by a gate and a margin.

    Returns
    -------
    offer : Offer
    verdicts : list of dict
        Rows of `core.gate_verdict`: of the gates, and of the comparisons.
    """
    promotions = load_operations(home).promotion
    margin = promotions.margin_db if kind == "synthesis" else promotions.margin_share
    known = verdicts.recorded(home, keys["model_id"])
    gates = [row for row in verdicts.of_evaluation(known, keys["data_id"], keys["protocol_hash"])
             if row["gate"] not in verdicts.COMPARISONS]  # fmt: skip
    # A model that fails by itself is rejected without a comparison, which takes time. A champion, and a model that held
    # out a fold, are compared with nobody.
    may_compare = not (
        any(row["verdict"] == "failed" for row in gates)
        or model_registry.is_champion(home, keys["model_id"], kind)
        or model_registry.held_out_fold(home, keys["model_id"])
    )
    for _ in range(ATTEMPTS):
        others = promotion.opponents(home, keys["model_id"], kind) if may_compare else {}
        comparisons = [_comparison(home, keys, gate, other, margin, compare) for gate, other in others.items()]
        judged = [*gates, *comparisons]
        made = promotion.offer(home, keys["model_id"], kind, judged, evaluation_id=evaluation_id)
        if made.decision != "outdated":
            break
    return made, judged


def _comparison(home: Home, keys: Mapping[str, str], gate: str, other: str, margin: float, compare: Compare) -> Row:
    """Return a comparison: the recorded one with the same model and margin, else a new one, which is recorded.

    A model that cannot be used is compared with nobody, so that nobody is promoted.
    """
    wanted = {**keys, "gate": gate, "against_id": other, "threshold": -margin}
    for row in verdicts.recorded(home, keys["model_id"]):
        if all(row[name] == value for name, value in wanted.items()):
            return row
    try:
        row = compare(gate, other, margin)
    except ModelError as error:
        detail = f"no comparison with model {other}: {error.what}; {error.remedy}"
        return {"gate": gate, "against_id": other, "verdict": "not_enough_data", "passed": False, "detail": detail}
    model_registry.record(home, verdicts.TABLE, [row])
    return row


def compare_synthesis(
    home: Home,
    scores: Sequence[Row],
    model_id: str,
    protocol: EvaluationProtocol,
    opponent: Opponent,
    report: Report,
    device: str | None,
    snapshot: str,
) -> Row:
    """Compare an evaluated synthesis model with another one; what that one lacks is measured, and recorded as its own.

    Parameters are those of `model.evaluation.champion.compare`.

    Raises
    ------
    ModelError
        When the other model cannot be used.
    """
    from model.evaluation.champion import compare
    from model.evaluation.evaluate import identify
    from model.inference.synthesize import load_synthesizer
    from model.networks.checkpoint import read_config

    path = home.models / opponent.model_id
    trained_on = read_config(path).get("trained_on")
    own = identify(opponent.model_id, str(scores[0]["data_id"]), protocol.hash)
    recorded = model_registry.statements(home, SCORE, evaluation_id=own, model_id=opponent.model_id)

    def load() -> Synthesizer:
        return load_synthesizer(home, str(path), device)

    given = (home, scores, model_id, protocol, opponent, trained_on, load, recorded, report)
    found = compare(*given, snapshot=snapshot)
    model_registry.record(home, SCORE, found.scores)
    return found.verdict
