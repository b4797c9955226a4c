"""Change the champion: promotion by the gates or by a person, and rollback.

Each change is one record, so a process that is killed leaves the old champion or the new one. A lock makes changes wait
for each other; each is decided by the records that exist once it has the lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from warehouse.catalog import model_registry, verdicts
from warehouse.catalog.model_registry import EVENT, VERSION, Champion
from warehouse.catalog.verdicts import BEST_GATE, CHAMPION_GATE, COMPARISONS, Verdict, verdict_of
from warehouse.errors import ModelError
from warehouse.lake import atomic
from warehouse.lake.home import Home

CANDIDATE_REASON = "it was trained and evaluated"

Check = Callable[[str], None]  # takes an identity


@dataclass(frozen=True)
class Offer:
    """Decision on a candidate.

    Parameters
    ----------
    decision : str
        `promoted`; `rejected` by a gate; `undecided`, as a gate has not enough data; `stands`: it is the champion;
        `kept`: its gates pass, and it stays a candidate; `outdated`: the champion changed since it was compared;
        `of_a_fold`: it is a model of cross-validation, which is neither candidate nor champion.
    reason : str
        Why, in words.
    """

    decision: Literal["promoted", "rejected", "undecided", "stands", "kept", "outdated", "of_a_fold"]
    reason: str

    @property
    def is_champion(self) -> bool:
        """Whether the model is the champion now."""
        return self.decision in ("promoted", "stands")


@dataclass(frozen=True)
class Rollback:
    """Result of a rollback: the model that was rolled back (None if nothing changed), and the champion now."""

    left: str | None
    champion: str


def offer(
    home: Home,
    model_id: str,
    kind: str,
    judged: Sequence[Verdict],
    *,
    evaluation_id: str | None = None,
) -> Offer:
    """Record an evaluated model as a candidate, and promote or reject it by its gates.

    The first of its kind, grid and recipe whose gates pass becomes champion; a later one must have been compared with
    the champion in force. A model that was champion before is put back by a person only: otherwise every evaluation
    of an older model would undo a promotion or a rollback. Of a model that held out a fold, nothing is recorded.

    Parameters
    ----------
    judged : sequence of mapping
        Rows of `core.gate_verdict` of one evaluation: of its gates, and of the comparisons with `opponents`.
    evaluation_id : str, optional
    """
    with _deciding(home):
        now = _in_force(home, model_id, kind)
        is_champion = now is not None and now.model_id == model_id
        if not is_champion and (fold := model_registry.held_out_fold(home, model_id)):
            return Offer("of_a_fold", _of_a_fold(fold))
        _as_candidate(home, model_id, kind, "assign", CANDIDATE_REASON, unless_said=True)
        if is_champion:
            return Offer("stands", "it is the champion")
        told: dict[str, Any] = {"against_id": now.model_id if now else None, "evaluation_id": evaluation_id}
        told["decided_by"] = "gates"
        if failed := [row for row in judged if verdict_of(row) == "failed"]:
            reason = _words(failed)
            _as_candidate(home, model_id, kind, "reject", reason, **told)
            return Offer("rejected", reason)
        _as_candidate(home, model_id, kind, "assign", "no gate failed this time")
        undecided = [row for row in judged if verdict_of(row) == "not_enough_data"]
        if undecided or not judged:
            return Offer("undecided", _words(undecided) or "no gate was measured")
        if any(row["alias"] == "champion" for row in model_registry.statements(home, EVENT, model_id=model_id)):
            return Offer("kept", "it was champion before; `tumsyn models promote` or `rollback` puts it back")
        compared = {row.get("against_id") for row in judged}
        if now is not None and now.model_id not in compared:
            return Offer("outdated", f"champion {now.model_id} came into force meanwhile")
        if now is not None and _is_older(home, model_id, now.model_id) and not _is_better(judged):
            return Offer("kept", f"it is older than champion {now.model_id}, and not surely better")
        first = "" if now else "the first whose gates pass: "
        reason = f"{first}{_words(judged)}"
        _record(home, model_id, kind, {"alias": "champion", "action": "assign", "reason": reason, **told})
        return Offer("promoted", reason)


def promote(
    home: Home, name: str, reason: str, *, despite_gates: bool = False, check: Check = lambda _: None
) -> tuple[str, bool]:
    """Make a model the champion of its kind, grid and recipe, as a person wishes.

    Parameters
    ----------
    name : str
        Identity of the model, or a unique prefix of it.
    reason : str
        Why, in words; shown to people.
    despite_gates : bool
        Whether a model is promoted whose gates did not pass, or that held out a fold.
    check : callable, optional
        Takes the identity, and raises where the checkpoint cannot be used.

    Returns
    -------
    model_id : str
        The full identity.
    changed : bool
        False where it was the champion already.

    Raises
    ------
    ModelError
        When the home has no such model, its checkpoint is absent, no reason is given, or its gates did not pass.
    """
    if not reason.strip():
        raise ModelError("no reason is given", 'say why: --reason "…"')
    version = model_registry.find(home, name)
    model_id, kind = str(version["model_id"]), str(version["kind"])
    _refuse_absent(home, model_id)
    check(model_id)
    with _deciding(home):
        now = _in_force(home, model_id, kind)
        if now is not None and now.model_id == model_id:
            return model_id, False
        open_gates = obstacles(home, model_id, kind)
        if open_gates and not despite_gates:
            measure = f"`tumsyn evaluate --model {model_id}` measures it"
            if model_registry.held_out_fold(home, model_id):
                measure = "train a model on everybody: `tumsyn train synthesis`"
            remedy = f"{measure}; --despite-gates promotes it all the same"
            raise ModelError(f"model {model_id} is not promoted: {'; '.join(open_gates)}", remedy)
        despite = f" (despite its gates: {'; '.join(open_gates)})" if open_gates else ""
        told = {"reason": reason + despite, "decided_by": "person", "against_id": now.model_id if now else None}
        _record(home, model_id, kind, {"alias": "champion", "action": "assign", **told})
    return model_id, True


def rollback(
    home: Home,
    kind: str,
    reason: str,
    *,
    grid_mm: float | None = None,
    recipe_id: str | None = None,
    leaving: str | None = None,
    check: Check = lambda _: None,
) -> Rollback:
    """Put the previous champion of a kind, grid and recipe back in force.

    The champion that is left loses the alias, so it is nobody's predecessor any more: a second rollback goes further
    back, and never returns to it.

    Parameters
    ----------
    kind : {"text_encoder", "synthesis"}
    reason : str
        Why, in words; shown to people.
    grid_mm, recipe_id : optional
        Which champion; needed where the kind has several.
    leaving : str, optional
        Roll back only if this model, or prefix of an identity, is the champion: a command that is repeated does
        nothing.
    check : callable, optional
        As `promote` takes it; for the model that is put back.

    Raises
    ------
    ModelError
        When there is no champion, none before it, several fit, or the checkpoint of the previous one is absent.
    """
    if not reason.strip():
        raise ModelError("no reason is given", 'say why: --reason "…"')
    with _deciding(home):
        served = _only(home, kind, grid_mm, recipe_id).served
        now, *before = [one for one in model_registry.champion_history(home, kind) if one.served == served]
        if leaving is not None and model_registry.find(home, leaving)["model_id"] != now.model_id:
            return Rollback(None, now.model_id)
        if not before:
            what = f"champion {now.model_id} has no predecessor{_of(served)}"
            raise ModelError(what, "promote another model: `tumsyn models promote MODEL --reason …`")
        _refuse_absent(home, before[0].model_id)
        check(before[0].model_id)
        told = {"reason": reason, "decided_by": "rollback", "against_id": now.model_id}
        remove = {"alias": "champion", "action": "remove", **told}
        _record(home, now.model_id, kind, remove, event_id=_hash(f"rollback/{now.event_id}"))
    return Rollback(now.model_id, before[0].model_id)


def opponents(home: Home, model_id: str, kind: str) -> dict[str, str]:
    """Return the models to compare a candidate with, by gate: the champion, and the best champion if it is another.

    The best one is the last that a person chose, or that was no worse on average than the best one before it. Without
    it, each of many promotions could lose nearly the margin.
    """
    found: dict[str, str] = {}
    served = model_registry.serves(home, model_id)
    fit = [
        one for one in model_registry.champion_history(home, kind) if one.served == served and one.model_id != model_id
    ]
    if fit:
        best = _best(home, fit)
        found = {CHAMPION_GATE: fit[0].model_id}
        found |= {BEST_GATE: best} if best != fit[0].model_id else {}
    return found


def obstacles(home: Home, model_id: str, kind: str) -> list[str]:
    """Return why a model may not be promoted, in words: by its gates, or as it held out a fold; empty where it may."""
    if fold := model_registry.held_out_fold(home, model_id):
        return [_of_a_fold(fold)]
    known = verdicts.recorded(home, model_id)
    last = verdicts.of_last_evaluation(known)
    if not last:
        return ["it was never evaluated"]
    found = [f"{row['gate']} {_said(row)}" for row in last if row["gate"] not in COMPARISONS and not row["passed"]]
    place = (last[0]["data_id"], last[0]["protocol_hash"])
    compared = {row["against_id"]: row for row in known if (row["data_id"], row["protocol_hash"]) == place}
    for against in dict.fromkeys(opponents(home, model_id, kind).values()):
        row = compared.get(against)
        if row is None:
            found.append(f"it was not compared with champion {against}")
        elif not row["passed"]:
            found.append(f"{row['gate']} {_said(row)}")
    return found


def _said(row: Verdict) -> str:
    """Return a verdict in words, with the measured value and its threshold."""
    if verdict_of(row) != "failed":
        return f"has not enough data: {row['detail']}"
    limit = "" if row["value"] is None else f" ({row['value']:.4g}, must be above {row['threshold']:g})"
    return f"failed: {row['detail']}{limit}"


def _is_older(home: Home, model_id: str, other: str) -> bool:
    known = {row["model_id"]: row["occurred_at"] for row in model_registry.statements(home, VERSION)}
    return model_id in known and other in known and bool(known[model_id] < known[other])


def _is_better(judged: Sequence[Verdict]) -> bool:
    """Return whether the whole interval of each comparison lies above 0."""
    return all(row["value"] is not None and row["value"] > 0 for row in judged if row["gate"] in COMPARISONS)


def _best(home: Home, fit: Sequence[Champion]) -> str:
    best = ""
    for one in reversed(fit):
        rows = verdicts.recorded(home, one.model_id) if best else []
        mean = next((row["mean"] for row in reversed(rows) if row["against_id"] == best), None)
        if one.decided_by != "gates" or mean is None or mean >= 0:
            best = one.model_id
    return best


def _only(home: Home, kind: str, grid_mm: float | None, recipe_id: str | None) -> Champion:
    """Return the one champion of a kind that fits."""
    known = model_registry.champions(home, kind)
    fit = [one for one in known if grid_mm in (None, one.grid_mm) and recipe_id in (None, one.recipe_id)]
    if len(fit) == 1:
        return fit[0]
    listed = ", ".join(f"{one.model_id}{_of(one.served)}" for one in known)
    if not fit:
        what = f"this home has no champion of kind {kind}{_of((grid_mm, recipe_id))}"
        raise ModelError(what, f"there are: {listed}" if listed else "there is nothing to roll back")
    raise ModelError(f"{len(fit)} champions of kind {kind} fit", f"name one by --grid and --recipe: {listed}")


def _of(served: model_registry.Served) -> str:
    grid_mm, recipe_id = served
    words = [f"grid {grid_mm:g} mm"] if grid_mm is not None else []
    words += [f"recipe {recipe_id}"] if recipe_id is not None else []
    return f" ({', '.join(words)})" if words else ""


def _words(judged: Sequence[Verdict]) -> str:
    return "; ".join(f"{row['gate']}: {row['detail']}" for row in judged)


def _of_a_fold(fold: str) -> str:
    return f"its training held out {fold}: it is a model of cross-validation, which is tested and not used"


def _in_force(home: Home, model_id: str, kind: str) -> Champion | None:
    """Return the champion of a kind for the grid and recipe of a model."""
    served = model_registry.serves(home, model_id)
    return next((one for one in model_registry.champions(home, kind) if one.served == served), None)


def _refuse_absent(home: Home, model_id: str) -> None:
    if not (home.models / model_id / "config.json").is_file():
        what = f"the checkpoint of model {model_id} is absent: {home.models / model_id}"
        raise ModelError(what, "put its folder back, or promote another model")


def _as_candidate(
    home: Home, model_id: str, kind: str, action: str, reason: str, *, unless_said: bool = False, **more: object
) -> None:
    """Record that a model is a candidate or is rejected, unless this is what was recorded last."""
    said = model_registry.statements(home, EVENT, model_id=model_id, alias="candidate")
    last = said[-1] if said else {"action": None, "reason": None}
    if (said and unless_said) or (last["action"] == action and (action == "assign" or last["reason"] == reason)):
        return
    _record(home, model_id, kind, {"alias": "candidate", "action": action, "reason": reason, **more})


def _record(home: Home, model_id: str, kind: str, row: Mapping[str, object], **more: object) -> None:
    """Append a record that is later than all others, even where the clock was set back."""
    rows = model_registry.statements(home, EVENT)
    if more.get("event_id") in {known["event_id"] for known in rows}:
        return
    moment = max([datetime.now(UTC), *(known["occurred_at"] + timedelta(microseconds=1) for known in rows)])
    grid_mm, recipe_id = model_registry.serves(home, model_id)
    fixed = {"model_id": model_id, "kind": kind, "grid_mm": grid_mm, "recipe_id": recipe_id, "occurred_at": moment}
    model_registry.record(home, EVENT, [{**fixed, **row, **more}])


@contextmanager
def _deciding(home: Home) -> Iterator[None]:
    with atomic.lock(home.lake / "registry.lock", exclusive=True):
        yield


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
