"""Define `tumsyn retrain`, which decides whether there is reason to train, and trains on request."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.output import note
from pipelines.runtime.progress import clean
from warehouse.errors import ModelError
from warehouse.lake.home import Home

if TYPE_CHECKING:
    from pipelines.runtime.retraining import Decision


def retrain(
    ctx: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Record the decision, and train if there is reason to.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Decide to train without a reason.")] = False,
) -> None:
    """Show whether there is reason to train, with the figures; with --yes, train, evaluate and report.

    The schedule `retraining` decides in the same way. Reasons: new people, drift, an old model, or none. Their limits,
    the configurations, and whether a training begins with the champion are in operations.yaml of the home. Without
    --yes nothing is written.
    """
    from pipelines.automation.retraining import TRAINING_JOB, assets_to_make, run_config, trainings_under_way
    from pipelines.runtime import launch
    from pipelines.runtime.handover import failures, hand_out, tags_of
    from pipelines.runtime.operations import load_operations
    from pipelines.runtime.retraining import decide, publish_records

    home: Home = ctx.obj
    operations = load_operations(home)
    with launch.opened(home) as instance:
        if not yes:
            now, under_way, has_failed = datetime.now(UTC), trainings_under_way(instance), failures(instance)
            decision = decide(home, operations, now=now, under_way=under_way, has_failed=has_failed, force=force)
            show_decision(decision)
            note("nothing was recorded; --yes trains" if decision.train else "nothing was recorded")
            return
        decision_id, decision = hand_out(
            home, operations, instance, "command", under_way=lambda: trainings_under_way(instance), force=force
        )
        show_decision(decision)
        publish_records(home)
        if not decision.train:
            return
        config = {name: values["config"] for name, values in run_config(decision, operations).items()}
        tags, assets = tags_of(decision_id, decision), assets_to_make(decision)
        outcome = launch.run(instance, home, TRAINING_JOB.name, config=config, assets=assets, tags=tags)
    if outcome.error:
        raise ModelError(outcome.error, "correct it, and run the same command again: it goes on with what was finished")


def show_decision(decision: Decision) -> None:
    """Print a decision and its figures."""
    from pipelines.runtime.drift import name_of

    # Names of files, errors, and texts of a dataset stand in it.
    typer.echo(clean(f"{'train' if decision.train else 'skip'}: {decision.detail}"))
    for name, value in decision.row().items():
        if name not in ("detail", "decision") and value not in (None, []):
            shown = (
                f"{value:.4g}" if isinstance(value, float) else ", ".join(value) if isinstance(value, list) else value
            )
            typer.echo(clean(f"  {name:<20} {shown}"))
    for one in decision.comparison.drifted if decision.comparison else []:
        figures = f"effect {one.effect:.2f}, adjusted p {one.p_adjusted:.1g}, {one.n_known} and {one.n_new} people"
        typer.echo(clean(f"  drifted: {name_of(one)}: was {one.known_values}, is {one.new_values} ({figures})"))
