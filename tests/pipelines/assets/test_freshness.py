"""What should be fresh has a policy, whose ages are settings of the home; wrong settings do not stop the loading."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest

from pipelines.assets.freshness import freshness, overdue_after
from pipelines.definitions import ASSETS
from pipelines.runtime.operations import path_of
from warehouse.lake.home import Home


def test_catalogue_model_and_champion_have_a_policy() -> None:
    watched = {spec.key.to_user_string() for assets in ASSETS for spec in assets.specs if spec.freshness_policy}
    assert watched == {"meta/snapshot", "out/image_catalog", "synthesis_model", "champion_evaluation"}


def test_an_asset_warns_at_half_of_its_age_and_null_is_no_limit() -> None:
    policy = overdue_after(7)
    assert policy == dg.FreshnessPolicy.time_window(timedelta(days=7), timedelta(days=3.5))
    assert overdue_after(None) is None


def test_the_home_sets_the_ages_and_wrong_settings_leave_the_defaults(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUMSYN_HOME", str(home.root))
    home.root.mkdir(exist_ok=True)
    default = freshness().catalogue_days
    path_of(home).write_text("freshness: {catalogue_days: 2, model_days: null}\n")
    assert (freshness().catalogue_days, freshness().model_days) == (2, None)
    path_of(home).write_text("freshness: {catalogue_days: -1}\n")
    assert freshness().catalogue_days == default
