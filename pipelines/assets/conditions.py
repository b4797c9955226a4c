"""Define when automation makes an asset again: its input changed, is complete and was not found to be wrong.

A request is made once per change. If its run fails, the next change of the input is needed for another, so that a
failing step is not started over and over. An input that changes while the step runs makes a further request, and so
does a run that was lost: its daemon was killed before the launch, it was canceled, or its record was deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dagster as dg

LOST_CRON = "*/10 * * * *"  # when lost runs are looked for; a run that was requested is there within a tick

Condition = dg.AutomationCondition[Any]  # of assets, and of assets or checks


def _requested_once(causes: Condition, inputs: dg.AssetSelection) -> Condition:
    """Return the condition that one of the causes occurred since the last request, and that the inputs are ready."""
    wrong = dg.AutomationCondition.any_checks_match(
        dg.AutomationCondition.check_failed() | dg.AutomationCondition.in_progress(), blocking_only=True
    )
    causes = causes | _lost()
    # Since the request, not since the result: the input may have changed while the step was running. A cause that is
    # seen in the tick after the request came after it, too; `since` alone would count that tick as handled.
    handled = dg.AutomationCondition.newly_requested() & ~causes
    return (
        (dg.AutomationCondition.initial_evaluation() | causes).since(handled)
        & ~dg.AutomationCondition.any_deps_match(wrong).allow(inputs).with_label("a check failed or is running")
        & ~dg.AutomationCondition.in_progress()
    )


def _lost() -> Condition:
    """Return the condition that a run was requested, and neither goes on nor has succeeded or failed."""
    ended = dg.AutomationCondition.newly_updated() | dg.AutomationCondition.execution_failed()
    waits = dg.AutomationCondition.newly_requested().since(ended) & ~dg.AutomationCondition.in_progress()
    return (dg.AutomationCondition.cron_tick_passed(LOST_CRON) & waits).with_label("its run was lost")


def _any_updated(inputs: dg.AssetSelection) -> Condition:
    return dg.AutomationCondition.any_deps_match(dg.AutomationCondition.newly_updated()).allow(inputs)


def same_center(inputs: Iterable[dg.AssetKey]) -> Condition:
    """Return the condition of a table of centres that is made from other tables of the same centre.

    When automation is switched on, each centre is requested once: a centre without changes ends within seconds.
    """
    selection = dg.AssetSelection.assets(*inputs)
    causes = dg.AutomationCondition.missing().newly_true() | _any_updated(selection)
    return (
        _requested_once(causes, selection)
        & ~dg.AutomationCondition.any_deps_missing()
        & ~dg.AutomationCondition.any_deps_in_progress()
    ).with_label("the centre's tables changed, and passed their checks")


def all_centers(inputs: Iterable[dg.AssetKey], waits_for: Iterable[dg.AssetKey]) -> Condition:
    """Return the condition of a table that is made from what all centres committed.

    Centres that were never ingested, or whose last run failed, do not hold up the others: the lake keeps the rows that
    they had.

    Parameters
    ----------
    inputs : iterable of AssetKey
        Tables of centres.
    waits_for : iterable of AssetKey
        Those whose runs are awaited, so that several centres that arrive together are published together.
    """
    selection = dg.AssetSelection.assets(*inputs)
    awaited = dg.AutomationCondition.any_deps_in_progress().allow(dg.AssetSelection.assets(*waits_for))
    is_any = dg.AutomationCondition.any_deps_match(~dg.AutomationCondition.missing()).allow(selection)
    wanted = _requested_once(_any_updated(selection), selection) & is_any & ~awaited
    return wanted.with_label("a centre changed, and no check has failed")
