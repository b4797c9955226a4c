"""The schedule trains when the data changed, once it is switched on."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg

from pipelines.automation import retraining
from pipelines.runtime.resources import HomeResource
from warehouse.catalog import model_registry
from warehouse.lake.home import Home


def tick(home: Home) -> dg.RunRequest | dg.SkipReason:
    with dg.build_schedule_context(resources={"home": HomeResource(root=str(home.root))}) as context:
        return retraining.retrain_weekly(context)  # type: ignore[return-value]


def test_the_schedule_trains_where_the_data_changed_and_says_why_it_does_not(filled: Home, tmp_path: Path) -> None:
    assert isinstance(tick(Home(tmp_path / "empty")), dg.SkipReason)
    home = Home(shutil.copytree(filled.root, tmp_path / "copy", symlinks=True))
    request = tick(home)
    assert isinstance(request, dg.RunRequest)
    data_id = request.tags["tumsyn/data_id"]
    facts = {"snapshot_id": "s", "training_code": "0", "seed": 0, "device": "cpu", "config": "{}", "run_id": "r"}
    end = {"kind": "synthesis", "status": "finished", "data_id": data_id}
    model_registry.record(home, "core.training_run", [facts | end])
    skipped = tick(home)
    assert isinstance(skipped, dg.SkipReason)
    assert data_id in str(skipped.skip_message)


def test_the_schedule_is_weekly_and_off_until_it_is_switched_on() -> None:
    assert retraining.retrain_weekly.cron_schedule == "0 3 * * 0"
    assert retraining.retrain_weekly.default_status is dg.DefaultScheduleStatus.STOPPED
    assert retraining.retrain_weekly.job_name == "train_and_report"
