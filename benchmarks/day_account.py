"""The account of a day, for `benchmarks.day`: nothing was lost, and what took how long."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from benchmarks.day_deliveries import CENTER, Delivery
from benchmarks.day_kills import half_written
from benchmarks.day_reader import answers
from pipelines.runtime.retraining import DECISION, RUN
from warehouse.catalog import model_registry, snapshots
from warehouse.catalog.query import Catalogue
from warehouse.lake.home import Home

FATES = """
SELECT file.path, file.disposition, rejection.reason
FROM raw.file AS file
LEFT JOIN core.rejection AS rejection ON file.center_id = rejection.center_id AND file.path = rejection.path
WHERE file.center_id = $center
"""


def check(home: Home, deliveries: Sequence[Delivery], facts: dict[str, Any], asked: Path) -> None:
    """Hold that every file has a fate, every snapshot is whole, the training went on, and every question was answered.

    Raises
    ------
    AssertionError
        Naming what was lost.
    """
    with Catalogue(home).connect() as connection:
        fates = {path: fate for path, *fate in connection.execute(FATES, {"center": CENTER}).fetchall()}
    for delivery in deliveries:
        lost = [path for path in delivery.files if path not in fates]
        assert not lost, f"files of the {delivery.name} delivery that the catalogue does not know: {lost}"
        refused = {path for path in delivery.files if fates[path][0] == "rejection"}
        assert refused == set(delivery.refused), f"{delivery.name}: {refused ^ set(delivery.refused)}"
        assert all(fates[path][1] for path in refused), "a rejection has no reason"
    assert facts["half_written"], "the publication was not killed while it wrote"
    assert not half_written(home), f"half-written snapshots are left: {half_written(home)}"
    for snapshot_id in snapshots.existing(home):
        with duckdb.connect(str(snapshots.path(home, snapshot_id)), read_only=True) as connection:
            assert connection.execute("SELECT snapshot_id FROM meta.snapshot").fetchall() == [(snapshot_id,)]
    steps = facts["saved_steps"]
    assert steps == sorted(set(steps)), f"the killed training began again: it saved steps {steps}"
    assert steps[0] == facts["killed_at_step"] < steps[-1]
    [resumed] = [
        row
        for row in model_registry.statements(home, RUN, status="resumed")
        if row["occurred_at"].timestamp() > facts["began_at"]
    ]
    ends = model_registry.statements(home, RUN, run_id=resumed["run_id"], status="finished")
    assert [row["n_steps"] for row in ends] == [steps[-1]], "the killed training did not end once, with all its steps"
    failed = [one for one in answers(asked) if one.error]
    assert not failed, f"{len(failed)} questions were not answered, the first with {failed[0].error}"


def show(
    home: Home, deliveries: Sequence[Delivery], facts: dict[str, Any], asked: Path, records: Sequence[dg.RunRecord]
) -> None:
    """Print the account as tables in Markdown."""
    found = list(answers(asked))
    seen = list(dict.fromkeys(one.snapshot_id for one in found))
    milliseconds = sorted(one.ms for one in found)
    made = [
        row for row in model_registry.statements(home, DECISION) if row["occurred_at"].timestamp() > facts["began_at"]
    ]
    decisions = Counter(row["decision"] for row in made)
    rows = {
        "questions asked, and answered": f"{len(found)}, {sum(not one.error for one in found)}",
        "milliseconds of a question: median, longest": f"{statistics.median(milliseconds):.0f}, {milliseconds[-1]:.0f}",
        "snapshots that the questions saw": len(seen),
        "decisions to train, to skip": f"{decisions['train']}, {decisions['skip']}",
        "files delivered, of them refused": (
            f"{sum(len(one.files) for one in deliveries)}, {sum(len(one.refused) for one in deliveries)}"
        ),
        "steps that the killed training saved": ", ".join(map(str, facts["saved_steps"])),
        "seconds from kill -9 in publishing to the data in force": f"{facts['recovered_s']:.0f}",
    }
    print("\n| what | |\n|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")
    print("\n| snapshot | first seen, s | images | people |\n|---|---:|---:|---:|")
    for snapshot_id in seen:
        first = next(one for one in found if one.snapshot_id == snapshot_id)
        print(f"| {snapshot_id} | {first.at_s - facts['began_at']:.0f} | {first.n_images} | {first.n_people} |")
    print("\n| run | job | centre | began, s | took, s | status |\n|---|---|---|---:|---:|---|")
    for record in reversed(records):
        if record.create_timestamp.timestamp() >= facts["began_at"]:
            print(_row(record, facts["began_at"]))


def _row(record: dg.RunRecord, began_at: float) -> str:
    run, start, end = record.dagster_run, record.start_time, record.end_time
    keys = sorted(key.to_user_string() for key in run.asset_selection or ())
    name = run.job_name if not run.job_name.startswith("__") else keys[0] if keys else "assets"
    cells = [run.run_id[:8], name, run.tags.get("dagster/partition", "")]
    cells += [f"{start - began_at:.0f}" if start else "", f"{end - start:.0f}" if start and end else ""]
    return f"| {' | '.join([*cells, run.status.value.lower()])} |"
