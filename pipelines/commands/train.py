"""`tumsyn train`: the same command by hand and as Dagster starts it, on a CPU or a GPU."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.commands.output import note
from pipelines.runtime.progress import shown_progress
from warehouse.lake.home import Home

if TYPE_CHECKING:
    from dagster_pipes import PipesContext

    from pipelines.runtime.telemetry import Telemetry

app = typer.Typer(
    help="Train a network on the published catalogue; a training that was interrupted goes on.", no_args_is_help=True
)


class Device(StrEnum):
    """What trains."""

    CPU = "cpu"
    CUDA = "cuda"


ConfigOption = Annotated[
    str, typer.Option("--config", metavar="NAME|FILE", help="standard, demo, or a YAML file of your own.")
]
DeviceOption = Annotated[Device | None, typer.Option(help="By default a GPU where there is one, else the CPU.")]


@app.command("text-encoder")
def text_encoder(ctx: typer.Context, config: ConfigOption = "standard", device: DeviceOption = None) -> None:
    """Learn which prompt goes with which image, by contrast of both.

    The model is in the home's models/ and in core.model_version; it becomes champion once its gates hold.
    """
    train_model(ctx.obj, "text_encoder", config, device=device)


@app.command("synthesis")
def synthesis(
    ctx: typer.Context,
    config: ConfigOption = "standard",
    device: DeviceOption = None,
    encoder: Annotated[
        str | None,
        typer.Option("--text-encoder", metavar="MODEL", help="Identity, alias or folder; default: the champion."),
    ] = None,
) -> None:
    """Learn to turn one contrast of a visit into another that a prompt asks for.

    The checkpoint holds the text encoder too, so that it works alone.
    """
    train_model(ctx.obj, "synthesis", config, device=device, text_encoder=encoder)


def train_model(
    home: Home, kind: str, config: str, *, device: str | None = None, text_encoder: str | None = None
) -> dict[str, Any]:
    """Train a model, or go on, and record what came of it; nothing is published.

    Parameters
    ----------
    kind : {"text_encoder", "synthesis"}
    config : str
        Name of a shipped configuration, or path of a file.

    Returns
    -------
    dict
        Row of `core.model_version`; that of an earlier run where the same was trained before.

    Raises
    ------
    TumsynError
        When there is nothing to train on, or the training fails.
    """
    from pipelines.runtime.telemetry import AlreadyTrainedError, Telemetry, opened_pipes

    with opened_pipes() as pipes, shown_progress() as shown:
        reporter = Telemetry(home, {}, shown(kind.replace("_", " ")), pipes)
        try:
            trained = _trained(home, kind, config, reporter, device, text_encoder)
            version = reporter.finished(trained)
        except AlreadyTrainedError as before:
            version = before.version
        except Exception as error:
            reporter.failed(error)
            raise
        if pipes:
            _tell(pipes, home, version)
    done = "trained" if reporter.run else "trained before"
    note(f"{kind.replace('_', ' ')} {version['model_id']}: {done}, {home.root / version['path']}")
    if not pipes:
        note(f"next: tumsyn evaluate --model {version['model_id']}")
    return version


def _trained(
    home: Home, kind: str, config: str, reporter: Telemetry, device: str | None, text_encoder: str | None
) -> Any:
    """Train by the function of the kind; torch is imported only here."""
    from model.training.config import load_config

    told: Any = {"started": reporter.started, "progress": reporter.progress}
    if kind == "text_encoder":
        from model.training.text_encoder import train_text_encoder

        settings = load_config("text_encoder", config)
        reporter.config = settings.model_dump(mode="json")
        return train_text_encoder(home, settings, reporter, device=device, **told)
    from model.training.synthesis import train_synthesis

    wanted = load_config("synthesis", config)
    reporter.config = wanted.model_dump(mode="json")
    return train_synthesis(home, wanted, reporter, text_encoder=text_encoder, device=device, **told)


def _tell(pipes: PipesContext, home: Home, version: dict[str, Any]) -> None:
    names = ("model_id", "kind", "run_id", "data_id", "n_parameters", "size_bytes", "is_simulated")
    metadata: dict[str, Any] = {name: version[name] for name in names}
    metadata["path"] = {"raw_value": str(home.root / version["path"]), "type": "path"}
    pipes.report_asset_materialization(metadata=metadata, data_version=version["model_id"])
