"""Define the age from which Dagster shows an asset as overdue; a setting of the home, read when Dagster starts."""

from __future__ import annotations

import logging
from datetime import timedelta

import dagster as dg

from pipelines.runtime.operations import Freshness, default_operations, load_operations
from warehouse.errors import TumsynError
from warehouse.lake.home import Home


def freshness() -> Freshness:
    """Return the ages that the home sets; the defaults where its settings are wrong."""
    try:
        return load_operations(Home.default()).freshness
    except TumsynError as error:
        logging.getLogger("dagster").warning("freshness by the defaults: %s", error)
        return default_operations().freshness


def overdue_after(days: float | None) -> dg.FreshnessPolicy | None:
    """Return the policy of an asset that is overdue at this age, and warns at half of it; None for no limit."""
    if days is None:
        return None
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(days=days), warn_window=timedelta(days=days / 2))


AGES = freshness()
