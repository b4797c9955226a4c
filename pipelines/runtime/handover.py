"""Decide on a training and record the decision under a lock, so that a schedule and a command never both start one.

The caller whose decision is to train launches a run with the tag of the decision. Until that run exists, the decision
counts as a training under way; if the run has not appeared after five minutes, another training may be decided.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import dagster as dg

from pipelines.runtime.operations import Operations
from pipelines.runtime.retraining import DECISION, DecidedBy, Decision, decide, record
from warehouse.catalog import model_registry
from warehouse.lake import atomic
from warehouse.lake.home import Home

DECISION_TAG = "tumsyn/decision"  # of a run that a decision launched: the identity of that
HANDOVER = timedelta(minutes=5)  # from a decision to its run; a schedule's takes seconds, a command's up to a minute
LAUNCHING = ("schedule", "command")  # the asset shows what would be decided, and launches nothing


def hand_out(
    home: Home,
    operations: Operations,
    instance: dg.DagsterInstance,
    decided_by: DecidedBy,
    *,
    under_way: Callable[[], Sequence[str]] = tuple,
    claim: str | None = None,
    force: bool = False,
) -> tuple[str, Decision]:
    """Decide whether to train, and record it, under the lock of the home.

    Where the decision is to train, the caller alone may launch the training, with `tags_of` it.

    Parameters
    ----------
    under_way : callable
        Returns the trainings that Dagster runs or will, in words; it is called under the lock.
    claim : str, optional
        Names what asks, where it may ask again for the same launch: a tick of a schedule that is repeated after its
        daemon was killed gets the launch that it was given before.
    force : bool
        As `decide` takes it.

    Returns
    -------
    str
        Identity of the decision.
    Decision
    """
    with atomic.lock(home.warehouse / "retraining.lock", exclusive=True):
        now = datetime.now(UTC)
        decision_id = _identity(home, claim, now)
        running = [*under_way(), *_awaited(home, instance, now, decision_id)]
        decision = decide(home, operations, now=now, under_way=running, has_failed=failures(instance), force=force)
        record(home, decision, decided_by, decision_id)
    return decision_id, decision


def tags_of(decision_id: str, decision: Decision) -> dict[str, str]:
    """Return the tags of the run that a decision launches."""
    return {
        DECISION_TAG: decision_id,
        "tumsyn/data_id": str(decision.data_id),
        "tumsyn/reasons": ",".join(decision.reasons),
    }


def failures(instance: dg.DagsterInstance) -> Callable[[str], bool]:
    """Return a function that tells whether the run that a decision launched ended without a success.

    A run that was taken out of the queue before it began has failed at nothing. Of a run and its repeats the last one
    counts.
    """

    def has_failed(decision_id: str) -> bool:
        for found in instance.get_run_records(_of(decision_id), limit=1):
            status = found.dagster_run.status
            was_stopped = status is dg.DagsterRunStatus.CANCELED and found.start_time is not None
            return status is dg.DagsterRunStatus.FAILURE or was_stopped
        return False

    return has_failed


def _identity(home: Home, claim: str | None, now: datetime) -> str:
    """Return the identity of a decision: that of the same claim where it was handed out a moment ago."""
    if claim is None:
        return uuid4().hex
    own = hashlib.sha256(claim.encode()).hexdigest()[:32]
    known = model_registry.statements(home, DECISION, event_id=own)
    is_repeat = all(row["decision"] == "train" and now - row["occurred_at"] < HANDOVER for row in known)
    return own if is_repeat else uuid4().hex


def _awaited(home: Home, instance: dg.DagsterInstance, now: datetime, own: str) -> list[str]:
    """Return the launches that were handed out and whose run is not there yet, in words."""
    return [
        f"decision {row['event_id'][:8]} of {row['occurred_at']:%H:%M} UTC is being launched; "
        f"if its run does not come, another may begin at {row['occurred_at'] + HANDOVER:%H:%M}"
        for row in model_registry.statements(home, DECISION, decision="train")
        if row["event_id"] != own
        and row["decided_by"] in LAUNCHING
        and now - row["occurred_at"] < HANDOVER
        and not instance.get_runs(_of(row["event_id"]), limit=1)
    ]


def _of(decision_id: str) -> dg.RunsFilter:
    return dg.RunsFilter(tags={DECISION_TAG: decision_id})
