"""`tumsyn evaluate` and `tumsyn models`: what models are worth, and which one is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.ingest import tell_snapshot
from pipelines.commands.output import Format, FormatOption, OutputOption, note, show
from pipelines.commands.train import DeviceOption
from pipelines.runtime.progress import shown_progress
from warehouse.errors import ModelError
from warehouse.lake.home import Home

if TYPE_CHECKING:
    from pipelines.runtime.evaluation import Evaluated

app = typer.Typer(help="Models of this home: which there are, and which one is used.", no_args_is_help=True)

ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="MODEL", help="Identity, alias or folder; default: the champion.")
]
ProtocolOption = Annotated[
    str, typer.Option("--protocol", metavar="NAME|FILE", help="standard, demo, or a YAML file of your own.")
]


def evaluate(
    ctx: typer.Context, model: ModelOption = None, protocol: ProtocolOption = "standard", device: DeviceOption = None
) -> None:
    """Measure a model on its test images beside the baselines, judge it by its gates, and publish.

    A text encoder is judged by what it finds again. What is on record for the same model, data and protocol is not
    measured twice. The first model of its kind and grid whose gates hold becomes champion. Status 1 where a gate fails.
    """
    from pipelines.runtime import evaluation as judging

    home: Home = ctx.obj
    with shown_progress() as shown:
        report = shown("evaluation")
        if model is not None and judging.kind_of(home, model) == "text_encoder":
            judged = judging.judge_text_encoder(home, model, report, device=device)
        else:
            judged = judging.evaluate_model(home, model, protocol, report, device=device)
    judging.publish_once(home)
    tell_snapshot(home)
    tell_verdicts(judged)
    if judged.failed:
        raise ModelError(f"model {judged.model_id} fails: {', '.join(judged.failed)}", "train longer, or on more data")


def tell_verdicts(judged: Evaluated) -> None:
    """Say what the gates say, and whether the model is used from now on."""
    from pipelines.runtime.evaluation import VERDICT_WORDS
    from warehouse.catalog.model_registry import verdict_of

    for row in judged.verdicts:
        note(f"{VERDICT_WORDS[verdict_of(row)]}  {row['gate']}: {row['detail']}")
    note(f"{judged.kind.replace('_', ' ')} {judged.model_id}" + (" is the champion" if judged.is_champion else ""))


@app.command("list")
def list_models(ctx: typer.Context, form: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """List the models with their gates, the newest first."""
    from warehouse.catalog import model_registry

    show(model_registry.known_models(ctx.obj), form, output)


@app.command()
def promote(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Identity, or the beginning of it.")],
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "promoted by hand",
) -> None:
    """Make a model the champion of its kind: it is used wherever none is named. The one before stays recorded."""
    from warehouse.catalog import model_registry

    model_id = model_registry.promote(ctx.obj, model, reason)
    note(f"{model_id} is the champion; the catalogue says so from its next publication on")
