"""Define the tables of drift and of decisions to train as assets; they are recorded also where nothing is trained."""
# No postponed annotations here: Dagster reads the type of `context` as an object.

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from pipelines.assets.catalogue import published_tables
from pipelines.assets.metadata import embedded, markdown_table
from pipelines.assets.tables import asset_key, asset_spec
from pipelines.runtime.drift import Comparison, name_of
from pipelines.runtime.handover import failures
from pipelines.runtime.operations import load_operations
from pipelines.runtime.resources import HomeResource, no_retries
from pipelines.runtime.retraining import Decision, decide, record
from warehouse.catalog import sqlfiles
from warehouse.catalog.publish import publish
from warehouse.quality.slices import png
from warehouse.tables import TABLES
from warehouse.tables.models import DRIFT_SCORE, RETRAINING, RETRAINING_DECISION

GROUP = "retraining"
DRIFT, DECIDED = asset_key(DRIFT_SCORE), asset_key(RETRAINING_DECISION)
CHECK = "people_are_as_before"
SHOWN_FIELDS = 20
UPSTREAM = {
    DRIFT: ("out.image_catalog", "core.volume", "core.quality", "core.model_event"),
    DECIDED: ("core.drift_score", "core.training_run", "core.model_version", "core.gate_verdict", "out.training_pair"),
}


@dg.multi_asset(
    name="retraining_decision",
    specs=[
        asset_spec(
            table,
            [asset_key(TABLES[name]) for name in UPSTREAM[asset_key(table)]],
            {"parquet", "duckdb"},
            sqlfiles.spec_version(),
            GROUP,
        )
        for table in RETRAINING
    ],
    check_specs=[
        dg.AssetCheckSpec(
            CHECK,
            asset=DRIFT,
            blocking=False,
            description="No field of new training people differs from those that the champion has learned from.",
        )
    ],
    pool="publish",
)
def retraining_decision(
    context: dg.AssetExecutionContext, home: HomeResource
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:  # type: ignore[type-arg]
    """Show what would be decided now, record and publish it and the drift; train nothing, and count as no try."""
    place = home.open()
    with no_retries():
        decision = decide(place, load_operations(place), now=datetime.now(UTC), has_failed=failures(context.instance))
        record(place, decision, "asset")
        published = publish(place, run_id=context.run.run_id)
    context.log.info("%s", decision.detail)
    preview = {"preview": "this starts no training; the schedule `retraining` and `tumsyn retrain --yes` do"}
    shown = {DRIFT: drift_metadata(decision.comparison), DECIDED: decision_metadata(decision) | preview}
    for result in published_tables(place, published, RETRAINING):
        assert result.asset_key is not None
        yield result._replace(metadata={**(result.metadata or {}), **shown[result.asset_key]})
    yield dg.AssetCheckResult(asset_key=DRIFT, check_name=CHECK, **drift_verdict(decision.comparison))


def report_decision(instance: dg.DagsterInstance, decision: Decision) -> None:
    """Show a decision that no run made on the pages of its assets.

    Parameters
    ----------
    instance : dagster.DagsterInstance
    decision : Decision
    """
    events: list[Any] = [dg.AssetMaterialization(DECIDED, metadata=decision_metadata(decision))]
    if decision.comparison:
        events += [
            dg.AssetMaterialization(DRIFT, metadata=drift_metadata(decision.comparison)),
            dg.AssetCheckEvaluation(DRIFT, CHECK, blocking=False, **drift_verdict(decision.comparison)),
        ]
    for event in events:
        instance.report_runless_asset_event(event)


def decision_metadata(decision: Decision) -> dict[str, Any]:
    """Return the figures of a decision."""
    figures = {name: value for name, value in decision.row().items() if value is not None and name != "reasons"}
    return {
        **{name: round(value, 2) if isinstance(value, float) else value for name, value in figures.items()},
        "reasons": ", ".join(decision.reasons) or "none",
    }


def drift_metadata(comparison: Comparison | None) -> dict[str, Any]:
    """Return the most different fields as a table and as a plot."""
    if comparison is None or not comparison.scores:
        return {"finding": comparison.in_words() if comparison else "there is no model to compare with"}
    names = ("field", "effect", "adjusted p", "known people", "new people", "known", "new", "verdict")
    rows = [
        (
            name_of(one),
            one.effect,
            one.p_adjusted,
            one.n_known,
            one.n_new,
            one.known_values,
            one.new_values,
            one.verdict,
        )
        for one in comparison.scores[:SHOWN_FIELDS]
    ]
    metadata: dict[str, Any] = {
        "finding": comparison.in_words(),
        "model_id": comparison.model_id,
        "n_fields_tested": comparison.n_tested,
        "n_fields_drifted": len(comparison.drifted),
        "fields": dg.MetadataValue.md(markdown_table(names, rows)),
    }
    if comparison.n_tested:
        metadata["differences"] = dg.MetadataValue.md(_plot(comparison))
    return metadata


def drift_verdict(comparison: Comparison | None) -> dict[str, Any]:
    """Return whether nothing drifted, as the check shows it; it warns: drift stops nothing."""
    drifted = comparison.drifted if comparison else []
    return {
        "passed": not drifted,
        "severity": dg.AssetCheckSeverity.WARN,
        "description": comparison.in_words() if comparison else "there is no model to compare with",
        "metadata": {name_of(one): one.effect for one in drifted[:SHOWN_FIELDS] if one.effect is not None},
    }


def _plot(comparison: Comparison) -> str:
    """Return the effects of the tested fields as a picture in Markdown."""
    from matplotlib.figure import Figure

    tested = [one for one in comparison.scores if one.effect is not None][:SHOWN_FIELDS][::-1]
    figure = Figure(figsize=(8, 0.6 + 0.28 * len(tested)), dpi=80, layout="constrained")
    axes = figure.subplots()
    colours = ["tab:red" if one.verdict == "drifted" else "tab:grey" for one in tested]
    axes.barh(range(len(tested)), [one.effect or 0.0 for one in tested], color=colours)
    axes.set_yticks(range(len(tested)), [name_of(one) for one in tested], parse_math=False)  # a contrast may hold a $
    axes.set_xlim(0, 1)
    axes.set_xlabel("difference of the distributions, new and known people; red: drifted")
    return embedded(png(figure), "differences", "png")
