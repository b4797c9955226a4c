"""Define `tumsyn models`, which lists models, shows one, and changes the champion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.commands.ingest import show_snapshot
from pipelines.commands.output import Format, FormatOption, OutputOption, note, show
from pipelines.runtime.progress import clean
from warehouse.lake.home import Home

app = typer.Typer(help="Models of this home: list and show them, and choose the champion.", no_args_is_help=True)

Kind = Literal["synthesis", "text_encoder"]
KindOption = Annotated[Kind, typer.Option(help="Kind of the model.")]
ReasonOption = Annotated[str, typer.Option(help="Why, in words; it is recorded.", show_default=False)]


@app.command("list")
def list_models(ctx: typer.Context, form: FormatOption = Format.TABLE, output: OutputOption = None) -> None:
    """List the models of this home with status and gates, the newest first, and name the weights that ship.

    A status is champion, candidate, rejected (by a gate), rolled back, former champion, or not evaluated.
    """
    from model.networks.checkpoint import read_config
    from model.networks.weights import shipped
    from warehouse.catalog import model_registry
    from warehouse.tables.models import KINDS

    show(model_registry.known_models(ctx.obj), form, output)
    for kind in KINDS:
        if path := shipped(kind):
            name = f"{kind.replace('_', ' ')} {read_config(path)['model_id']}"
            note(f"{name} ships with this version, and is used where this home has no champion for a scan: {path}")


@app.command("show")
def show_model(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Identity, the beginning of it, or champion.")],
    kind: KindOption = "synthesis",
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Show a model: what it serves, its training, its people, its gates, and how its status came about."""
    import pyarrow as pa

    from pipelines.runtime.model_facts import facts_of

    facts = facts_of(ctx.obj, model, kind)
    show(
        pa.table({name: [str(row[place]) for row in facts] for place, name in enumerate(("what", "is"))}), form, output
    )


@app.command()
def promote(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Identity, or the beginning of it.")],
    reason: ReasonOption,
    despite_gates: Annotated[
        bool, typer.Option("--despite-gates", help="Promote it although its gates did not pass; this is recorded.")
    ] = False,
) -> None:
    """Make a model the champion of its kind, grid and recipe, which is used wherever no model is named.

    Its gates must have passed, and it must have been compared with the champion: `tumsyn evaluate --model MODEL` does
    both.
    """
    from warehouse.catalog import promotion

    model_id, changed = promotion.promote(ctx.obj, model, reason, despite_gates=despite_gates, check=_loads(ctx.obj))
    _publish(ctx.obj)
    note(f"{model_id} is the champion{'' if changed else ' already; nothing changed'}")


@app.command()
def rollback(
    ctx: typer.Context,
    reason: ReasonOption,
    kind: KindOption = "synthesis",
    grid: Annotated[
        float | None, typer.Option(min=0, metavar="MM", help="Grid of the champion, mm; where there are several.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(metavar="ID", help="Recipe of the champion; as grid.")] = None,
    leaving: Annotated[
        str | None,
        typer.Option("--from", metavar="MODEL", help="Only if this model is the champion; else nothing is done."),
    ] = None,
) -> None:
    """Put the previous champion back.

    The one that is left is no champion any more: a second rollback goes further back. Automation does not promote it
    again.
    """
    from warehouse.catalog import promotion

    done = promotion.rollback(
        ctx.obj, kind, reason, grid_mm=grid, recipe_id=recipe, leaving=leaving, check=_loads(ctx.obj)
    )
    _publish(ctx.obj)
    told = f"rolled back from {done.left}" if done.left else f"{leaving} is not the champion; nothing changed"
    note(clean(f"{done.champion} is the champion: {told}"))


@app.command()
def pack(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Identity, alias or folder.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the copy goes; it must be absent.")],
    kind: KindOption = "synthesis",
    others: Annotated[
        str | None, typer.Option(help="Whose data, on which terms, people are of whom the catalogue does not know.")
    ] = None,
    remark: Annotated[
        list[str] | None, typer.Option(help="A sentence for the card, as the result of a cross-validation. Repeatable.")
    ] = None,
) -> None:
    """Copy a model for others: half the size, with a card of its data, their terms, and its measured quality.

    The card is made of the published catalogue of the home in which the model was trained.
    """
    from model.networks.packing import pack as pack_model
    from model.networks.weights import resolve

    model_id, path = pack_model(ctx.obj, resolve(ctx.obj, model, kind), folder, others=others, remarks=remark or ())
    note(f"{model_id}: a copy of half the size")
    typer.echo(path)


def _loads(home: Home) -> Callable[[str], None]:
    """Return a function that refuses a model which this version cannot load."""
    from model.networks.checkpoint import read_model
    from model.networks.parts import read_parts

    def check(model_id: str) -> None:
        config, _ = read_model(home.models / model_id)
        if config["kind"] == "synthesis":
            read_parts(home.models / model_id)

    return check


def _publish(home: Home) -> None:
    """Publish, so that SQL shows the change; the change itself stands already."""
    from warehouse.catalog.publish import publish

    publish(home)
    show_snapshot(home)
