"""Define `tumsyn cross-validate`, which trains and evaluates a network for each fold of people."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.commands.evaluate import ProtocolOption
from pipelines.commands.ingest import show_snapshot
from pipelines.commands.output import Format, FormatOption, OutputOption, note, show
from pipelines.commands.train import ConfigOption, DeviceOption, EncoderOption, train_model
from pipelines.runtime.progress import shown_progress
from warehouse.errors import ModelError
from warehouse.lake.home import Home


def cross_validate(
    ctx: typer.Context,
    config: ConfigOption = "weights",
    folds: Annotated[int, typer.Option(min=2, help="Number of folds.")] = 4,
    only_fold: Annotated[
        int | None, typer.Option(min=0, metavar="K", help="Train and evaluate this fold alone; they count from 0.")
    ] = None,
    encoder: EncoderOption = None,
    protocol: ProtocolOption = "cross_validation",
    device: DeviceOption = None,
    form: FormatOption = Format.TABLE,
    output: OutputOption = None,
) -> None:
    """Train a synthesis model without each fold of people, test it on them, and print the figures of all people.

    Folds are drawn by person among the internal people of all centres, real ones where there are any. The text encoder
    must know none of them: train it on simulated scans alone. Finished trainings and recorded evaluations are not
    repeated, so that an interrupted run goes on, and folds may be done one by one. The models become no champions.
    """
    from model.evaluation.protocol import load_protocol
    from model.report.cross_validation import evaluations_of_folds, table
    from model.training.config import load_config
    from pipelines.runtime.evaluation import evaluate_synthesis
    from warehouse.catalog.publish import publish
    from warehouse.catalog.query import Catalogue

    home: Home = ctx.obj
    by = load_protocol(protocol)
    _refuse_other(by.name, by.recipe, load_config("synthesis", config).recipe, is_of_folds=by.is_cross_validation)
    if only_fold is not None and only_fold >= folds:
        raise ModelError(f"there is no fold {only_fold} of {folds}", f"give 0 to {folds - 1}")
    model_id = ""
    for fold in range(folds) if only_fold is None else [only_fold]:
        note(f"fold {fold} of {folds}, counted from 0")
        changes = {"held_out_fold": fold, "n_folds": folds}
        version = train_model(home, "synthesis", config, device=device, text_encoder=encoder, changes=changes)
        model_id = str(version["model_id"])
        with shown_progress() as shown:
            evaluated = evaluate_synthesis(home, model_id, protocol, shown(f"evaluation of fold {fold}"), device=device)
        for skipped in evaluated.skipped:
            note(f"skipped  {skipped}")
    publish(home)
    show_snapshot(home)
    with Catalogue(home).connect() as connection:
        done = evaluations_of_folds(connection, model_id, by)
        figures = table(connection, done, folds, by)
    show(figures, form, output)
    for fold in range(folds):
        if fold not in done:
            note(f"fold {fold} is missing: run the same command with --only-fold {fold}")


def _refuse_other(name: str, recipe: str, trained: str, *, is_of_folds: bool) -> None:
    """Raise before anything is trained where a protocol cannot test the people of a fold."""
    if not is_of_folds:
        what = f"protocol {name} tests no people of a fold"
        raise ModelError(what, "take cross_validation, or one of your own with `splits: [cross_validation]`")
    if recipe != trained:
        what = f"protocol {name} tests volumes of recipe {recipe!r}, and the training learns from those of {trained!r}"
        raise ModelError(what, "name one recipe in both: other volumes may be of other people")
