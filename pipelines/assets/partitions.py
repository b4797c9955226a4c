"""How assets are cut up: one partition per registered centre; subjects are rows, never partitions."""

from __future__ import annotations

import dagster as dg

from warehouse.centers.registry import registered
from warehouse.lake.home import Home

CENTERS = dg.DynamicPartitionsDefinition(name="center")


def changes(instance: dg.DagsterInstance, home: Home) -> tuple[list[str], list[str]]:
    """Return the centres that Dagster does not know yet, and those that the home no longer has."""
    known = set(instance.get_dynamic_partitions("center"))
    present = registered(home).keys()
    return sorted(present - known), sorted(known - present)


def sync_centers(instance: dg.DagsterInstance, home: Home) -> None:
    """Make the partitions of an instance those centres that the home has registered."""
    added, removed = changes(instance, home)
    instance.add_dynamic_partitions("center", added)
    for center_id in removed:
        instance.delete_dynamic_partition("center", center_id)
