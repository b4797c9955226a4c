"""Compare an evaluated model with the champion, and offer it: promoted, rejected, or left a candidate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.runtime.operations import load_operations
from pipelines.runtime.progress import Report
from warehouse.catalog import model_registry, promotion
from warehouse.errors import ModelError
from warehouse.lake.home import Home

if TYPE_CHECKING:
    from model.evaluation.gates import Opponent
    from model.evaluation.protocol import EvaluationProtocol
    from model.inference.synthesize import Synthesizer

SCORE, VERDICT = "core.evaluation_score", model_registry.VERDICT
ATTEMPTS = 5  # a champion that changes meanwhile is compared with, too
Row = dict[str, Any]
Compare = Callable[[str, str, float], Row]  # gate, the other model, margin


def offer(
    home: Home,
    kind: str,
    keys: Mapping[str, str],
    evaluation_id: str,
    compare: Compare,
    *,
    may_lead: bool = True,
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
    may_lead : bool
        False for a model that may not become champion; it is compared with none.

    Returns
    -------
    offer : Offer
    verdicts : list of dict
        Rows of `core.gate_verdict`: of the gates, and of the comparisons.
    """
    promotions = load_operations(home).promotion
    margin = promotions.margin_db if kind == "synthesis" else promotions.margin_share
    known = model_registry.statements(home, VERDICT, **keys)
    gates = [row for row in known if row["against_id"] is None]
    failed = any(model_registry.verdict_of(row) == "failed" for row in gates)
    # A model that fails by itself is rejected without a comparison, which takes time; a champion is compared with none.
    may_compare = may_lead and not failed and not model_registry.is_champion(home, keys["model_id"], kind)
    for _ in range(ATTEMPTS):
        others = promotion.references(home, keys["model_id"], kind) if may_compare else {}
        comparisons = [_comparison(home, keys, gate, other, margin, compare) for gate, other in others.items()]
        verdicts = [*gates, *comparisons]
        made = promotion.offer(home, keys["model_id"], kind, verdicts, evaluation_id=evaluation_id, may_lead=may_lead)
        if made.decision != "outdated":
            break
    return made, verdicts


def _comparison(home: Home, keys: Mapping[str, str], gate: str, other: str, margin: float, compare: Compare) -> Row:
    """Return a comparison: the recorded one with the same model and margin, else a new one, which is recorded.

    A model that cannot be used is compared with nobody, so that nobody is promoted.
    """
    for row in model_registry.statements(home, VERDICT, **keys, gate=gate, against_id=other):
        if row["threshold"] == -margin:
            return row
    try:
        row = compare(gate, other, margin)
    except ModelError as error:
        detail = f"no comparison with model {other}: {error.what}; {error.remedy}"
        return {"gate": gate, "against_id": other, "verdict": "not_enough_data", "passed": False, "detail": detail}
    model_registry.record(home, VERDICT, [row])
    return row


def compare_synthesis(
    home: Home,
    scores: Sequence[Row],
    model_id: str,
    protocol: EvaluationProtocol,
    opponent: Opponent,
    report: Report,
    device: str | None = None,
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

    found = compare(home, scores, model_id, protocol, opponent, trained_on, load, recorded, report)
    model_registry.record(home, SCORE, found.scores)
    return found.verdict
