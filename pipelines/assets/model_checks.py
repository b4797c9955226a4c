"""Blocking checks of models: what does not hold stops what would be built on it."""
# No postponed annotations here: Dagster reads the type of `context` as an object.

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import dagster as dg

from pipelines.assets.model_metadata import METRIC, by_step
from pipelines.assets.models import EVALUATION, REPORT, RETRIEVAL, SYNTHESIS, TEXT_ENCODER, latest
from pipelines.runtime.evaluation import VERDICT, report_faults
from pipelines.runtime.resources import HomeResource
from warehouse.catalog import model_registry
from warehouse.lake.home import Home

LAST = 0.2  # share of the steps that a loss at the end is the mean of


@dg.asset_check(asset=TEXT_ENCODER, blocking=True, description="The loss is finite at every step, and it fell.")
def loss_fell(context: dg.AssetCheckExecutionContext, home: HomeResource) -> dg.AssetCheckResult:
    """Look at the curve of the training."""
    return fallen(_curve(home.open(), latest(context, TEXT_ENCODER), "train", "loss"), "loss of a batch")


@dg.asset_check(asset=RETRIEVAL, blocking=True, description="Contrasts are found more often than by chance.")
def retrieval_gates(context: dg.AssetCheckExecutionContext, home: HomeResource) -> dg.AssetCheckResult:
    """Look at the verdicts on the text encoder."""
    return gates(home.open(), latest(context, RETRIEVAL))


@dg.asset_check(
    asset=SYNTHESIS,
    blocking=True,
    description="The error in the brain, on people that it never saw, is finite and below that before training.",
)
def error_fell(context: dg.AssetCheckExecutionContext, home: HomeResource) -> dg.AssetCheckResult:
    """Look at the validations of the training."""
    place, said = home.open(), latest(context, SYNTHESIS)
    if curve := _curve(place, said, "val", "l1"):
        return fallen(curve, "mean absolute error of the validation pairs")
    return fallen(_curve(place, said, "train", "loss"), "no image to validate on; loss of a batch")


@dg.asset_check(asset=EVALUATION, blocking=True, description="Every gate of the protocol holds.")
def evaluation_gates(context: dg.AssetCheckExecutionContext, home: HomeResource) -> dg.AssetCheckResult:
    """Look at the verdicts on the synthesis model."""
    return gates(home.open(), latest(context, EVALUATION))


@dg.asset_check(
    asset=REPORT, blocking=True, description="The page is whole, and its figures are those of the catalogue."
)
def report_is_whole(context: dg.AssetCheckExecutionContext, home: HomeResource) -> dg.AssetCheckResult:
    """Read the page again, and hold it against the catalogue."""
    said = latest(context, REPORT)
    faults = report_faults(home.open(), Path(str(said["path"])), str(said["evaluation_id"]), str(said["protocol"]))
    told = "; ".join(faults) or "every picture is there, and every figure is the catalogue's"
    return dg.AssetCheckResult(passed=not faults, description=told)


def fallen(curve: Sequence[float], what: str) -> dg.AssetCheckResult:
    """Return whether a curve is finite and ends below where it began."""
    if len(curve) < 2 or not all(map(math.isfinite, curve)):
        told = f"{what}: {len(curve)} values" + ("" if all(map(math.isfinite, curve)) else ", some not finite")
        return dg.AssetCheckResult(passed=False, description=told)
    first, last = curve[0], fmean(curve[-max(1, int(LAST * len(curve))) :])
    told = f"{what}: {first:.4g} at first, {last:.4g} at the end"
    return dg.AssetCheckResult(passed=last < first, description=told, metadata={"first": first, "last": last})


def gates(home: Home, said: Mapping[str, Any]) -> dg.AssetCheckResult:
    """Return whether all gates of an evaluation hold; a gate without enough data is a warning."""
    names = ("model_id", "data_id", "protocol_hash")
    verdicts = model_registry.statements(home, VERDICT, **{name: said[name] for name in names})
    failed = [row for row in verdicts if model_registry.verdict_of(row) == "failed"]
    open_ = [row for row in verdicts if model_registry.verdict_of(row) == "not_enough_data"]
    told = "; ".join(f"{row['gate']}: {row['detail']}" for row in failed or open_ or verdicts) or "there is no verdict"
    metadata = {row["gate"]: row["value"] for row in verdicts if row["value"] is not None}
    # Too few people are a warning: they say nothing against the model, and stop nothing that is built on it.
    severity = dg.AssetCheckSeverity.WARN if verdicts and not failed else dg.AssetCheckSeverity.ERROR
    passed = bool(verdicts) and not failed and not open_
    return dg.AssetCheckResult(passed=passed, severity=severity, description=told, metadata=metadata)


def _curve(home: Home, said: Mapping[str, Any], split: str, metric: str) -> list[float]:
    rows = model_registry.statements(home, METRIC, run_id=said["run_id"], split=split, metric=metric)
    return [float(row["value"]) for row in by_step(rows)]


MODEL_CHECKS = (loss_fell, retrieval_gates, error_fell, evaluation_gates, report_is_whole)
