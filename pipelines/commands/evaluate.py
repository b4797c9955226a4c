"""Define `tumsyn evaluate`, `tumsyn report` and `tumsyn models`, which evaluate, report and list models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.commands.ingest import show_snapshot
from pipelines.commands.output import Format, FormatOption, OutputOption, note, show
from pipelines.commands.train import DeviceOption
from pipelines.runtime.progress import shown_progress
from warehouse.errors import ModelError
from warehouse.lake.home import Home

app = typer.Typer(help="Models of this home: list them, and choose the one that is used.", no_args_is_help=True)

ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="MODEL", help="Identity, alias or folder; default: the champion.")
]
ProtocolOption = Annotated[
    str,
    typer.Option("--protocol", metavar="NAME|FILE", help="standard, validation, demo, quick, or your own YAML file."),
]


def evaluate(
    ctx: typer.Context, model: ModelOption = None, protocol: ProtocolOption = "standard", device: DeviceOption = None
) -> None:
    """Evaluate a model on its test images beside the baselines, check its gates, and publish the scores.

    Figures are means over people: from file to file (native) and on the harmonised grid (session), real and simulated
    people apart. A text encoder is evaluated by what it knows of acquisitions, and the path of its page is printed. An
    evaluation that is recorded for the same model, data and protocol is not repeated. The first model of its kind and
    grid that passes all gates becomes champion. Status 1 if a gate fails.
    """
    from pipelines.runtime import evaluation
    from warehouse.catalog.model_registry import verdict_of
    from warehouse.catalog.publish import publish

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
    champion = " is the champion" if evaluated.is_champion else ""
    note(f"{evaluated.kind.replace('_', ' ')} {evaluated.model_id}{champion}")
    if evaluated.page is not None:
        typer.echo(evaluated.page)
    if failed := evaluated.failed:
        raise ModelError(f"model {evaluated.model_id} fails: {', '.join(failed)}", "train longer, or on more data")


def report(
    ctx: typer.Context, model: ModelOption = None, protocol: ProtocolOption = "standard", device: DeviceOption = None
) -> None:
    """Write a model's evaluation as one self-contained page, and print its path.

    The model must have been evaluated by the same protocol on the data in force.
    """
    from pipelines.runtime.evaluation import write_report

    typer.echo(write_report(ctx.obj, model, protocol, device=device))


@app.command("list")
def list_models(ctx: typer.Context, form: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """List the models of this home with their gates, the newest first, and name the weights that ship."""
    from model.networks.checkpoint import read_config
    from model.networks.weights import shipped
    from warehouse.catalog import model_registry
    from warehouse.tables.models import KINDS

    show(model_registry.known_models(ctx.obj), form, output)
    for kind in KINDS:
        if path := shipped(kind):
            name = f"{kind.replace('_', ' ')} {read_config(path)['model_id']}"
            note(f"{name} ships with this version, and is used where this home has no champion for a scan: {path}")


@app.command()
def promote(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Identity, or the beginning of it.")],
    reason: Annotated[str, typer.Option(help="Reason, which is recorded.")] = "promoted by hand",
) -> None:
    """Make a model the champion of its kind, which is used wherever no model is named."""
    from warehouse.catalog import model_registry

    model_id = model_registry.promote(ctx.obj, model, reason)
    note(f"{model_id} is the champion; the catalogue shows it after the next publication")


@app.command()
def pack(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Identity, alias or folder.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the copy goes; it must be absent.")],
    kind: Annotated[Literal["synthesis", "text_encoder"], typer.Option(help="Kind of the model.")] = "synthesis",
    others: Annotated[
        str | None, typer.Option(help="Whose data, on which terms, people are of whom the catalogue does not know.")
    ] = None,
) -> None:
    """Copy a model for others: half the size, with a card of its data, their terms, and its measured quality.

    The card is made of the published catalogue of the home in which the model was trained.
    """
    from model.networks.packing import pack as pack_model
    from model.networks.weights import resolve

    model_id, path = pack_model(ctx.obj, resolve(ctx.obj, model, kind), folder, others=others)
    note(f"{model_id}: a copy of half the size")
    typer.echo(path)
