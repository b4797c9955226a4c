"""Define the age from which Dagster shows an asset as overdue; a setting of the home, read when Dagster starts."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from pipelines.runtime.operations import Freshness, operations_at_load


def freshness() -> Freshness:
    """Return the ages that the home sets; the defaults where its settings are wrong."""
    return operations_at_load().freshness


def overdue_after(days: float | None) -> dg.FreshnessPolicy | None:
    """Return the policy of an asset that is overdue at this age, and warns at half of it; None for no limit."""
    if days is None:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(days=days), warn_window=timedelta(days=days / 2))


AGES = freshness()
