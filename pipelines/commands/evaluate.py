"""Define `tumsyn evaluate` and `tumsyn report`, which evaluate a model and write its report."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.commands.ingest import show_snapshot
from pipelines.commands.output import note
from pipelines.commands.train import DeviceOption
from pipelines.runtime.progress import shown_progress
from warehouse.errors import ModelError
from warehouse.lake.home import Home

ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="MODEL", help="Identity, alias or folder; default: the champion.")
]
ProtocolOption = Annotated[
    str,
    typer.Option("--protocol", metavar="NAME|FILE", help="standard, validation, demo, quick, or your own YAML file."),
]

OUTCOMES = {
    "promoted": "is the champion now",
    "stands": "is the champion",
    "rejected": "is rejected",
    "undecided": "stays a candidate: not enough data promotes nobody",
    "kept": "stays a candidate; `tumsyn models promote` makes it champion",
    "of_a_fold": "is of a fold of cross-validation: neither candidate nor champion",
    "outdated": "stays a candidate: the champion changed meanwhile; evaluate it again",
}


def evaluate(
    ctx: typer.Context, model: ModelOption = None, protocol: ProtocolOption = "standard", device: DeviceOption = None
) -> None:
    """Evaluate a model on its test images beside the baselines, check its gates, and publish the scores.

    Figures are means over people: from file to file (native) and on the harmonised grid (session), real and simulated
    people apart. A text encoder is evaluated by what it knows of acquisitions, and the path of its page is printed. An
    evaluation that is recorded for the same model, data and protocol is not repeated. The first model of its kind, grid
    and recipe that passes all gates becomes champion; a later one if it is also no worse than the champion on the same
    pairs, beyond the margin of operations.yaml. Status 1 if a gate fails.
    """
    from pipelines.runtime import evaluation
    from warehouse.catalog.publish import publish
    from warehouse.catalog.verdicts import COMPARISONS, verdict_of

    home: Home = ctx.obj
    with shown_progress() as shown:
        report = shown("evaluation")
        if model is not None and evaluation.kind_of(home, model) == "text_encoder":
            evaluated = evaluation.evaluate_text_encoder(home, model, protocol, report, device=device)
        else:
            evaluated = evaluation.evaluate_synthesis(home, model, protocol, report, device=device)
    publish(home)
    show_snapshot(home)
    for summary in evaluated.summaries:
        if summary.task is None:
            note(str(summary))
    for skipped in evaluated.skipped:
        note(f"skipped  {skipped}")
    for row in evaluated.verdicts:
        note(f"{evaluation.VERDICT_WORDS[verdict_of(row)]}  {row['gate']}: {row['detail']}")
    note(f"{evaluated.kind.replace('_', ' ')} {evaluated.model_id} {OUTCOMES[evaluated.offer.decision]}")
    if evaluated.page is not None:
        typer.echo(evaluated.page)
    if failed := evaluated.failed:
        remedy = "train longer, or on more data"
        if set(failed) <= set(COMPARISONS):
            remedy = f"the champion stays; `tumsyn models promote {evaluated.model_id} --despite-gates` overrides this"
        raise ModelError(f"model {evaluated.model_id} fails: {', '.join(failed)}", remedy)


def report(
    ctx: typer.Context, model: ModelOption = None, protocol: ProtocolOption = "standard", device: DeviceOption = None
) -> None:
    """Write a model's evaluation as one self-contained page, and print its path.

    The model must have been evaluated by the same protocol. If other data were published since, the page shows the data
    that the evaluation measured.
    """
    from pipelines.runtime.reports import write_report

    typer.echo(write_report(ctx.obj, model, protocol, device=device))
