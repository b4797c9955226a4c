"""Define `tumsyn train`, which is also the command of the process in which Dagster trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipelines.commands.output import note
from pipelines.runtime.progress import shown_progress
from warehouse.lake.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dagster_pipes import PipesContext

    from pipelines.runtime.telemetry import Telemetry

app = typer.Typer(
    help="Train a network on the published catalogue; a training that was interrupted resumes.", no_args_is_help=True
)


ConfigOption = Annotated[
    str,
    typer.Option(
        "--config",
        metavar="NAME|FILE",
        help="standard, demo, quick, reference, published, weights or a YAML file; synthesis: compact, finetune too.",
    ),
]
DeviceOption = Annotated[
    Literal["cpu", "cuda"] | None, typer.Option(help="Default: a GPU where there is one, else the CPU.")
]

EncoderOption = Annotated[
    str | None,
    typer.Option("--text-encoder", metavar="MODEL", help="Identity, alias or folder; default: the champion."),
]
DescribeOption = Annotated[
    bool, typer.Option("--describe", help="Print parameters, operations and memory, and train nothing.")
]


@app.command("text-encoder")
def text_encoder(
    ctx: typer.Context,
    config: ConfigOption = "standard",
    device: DeviceOption = None,
    describe: DescribeOption = False,
) -> None:
    """Train the network that matches prompts with images.

    The model is put into the home's models/ and core.model_version; `tumsyn evaluate` may make it champion.
    """
    if describe:
        print_cost("text_encoder", config)
        return
    train_model(ctx.obj, "text_encoder", config, device=device)


@app.command("synthesis")
def synthesis(
    ctx: typer.Context,
    config: ConfigOption = "standard",
    device: DeviceOption = None,
    encoder: EncoderOption = None,
    init: Annotated[
        str | None,
        typer.Option("--init", metavar="MODEL", help="Begin with shipped, champion, an identity or folder."),
    ] = None,
    centers: Annotated[
        list[str] | None,
        typer.Option("--centers", metavar="CENTER", help="Learn from people of this centre only; may be repeated."),
    ] = None,
    describe: DescribeOption = False,
) -> None:
    """Train the network that turns one contrast of a visit into another that a prompt asks for.

    The checkpoint includes the text encoder. With --init, architecture and text encoder are those of that model.
    """
    if describe:
        print_cost("synthesis", config)
        return
    changes = {name: value for name, value in (("init", init), ("centers", centers)) if value}
    train_model(ctx.obj, "synthesis", config, device=device, text_encoder=encoder, changes=changes)


def print_cost(kind: Literal["text_encoder", "synthesis"], name: str) -> None:
    """Print what the networks of a configuration cost.

    Parameters
    ----------
    kind : {"text_encoder", "synthesis"}
    name : str
        Name of a shipped configuration, or path of a file.
    """
    from model.networks import cost as encoder_cost
    from model.networks.synthesis import cost as synthesis_cost
    from model.training.config import SynthesisTraining, load_config

    config: Any = load_config(kind, name)
    if isinstance(config, SynthesisTraining):
        side = config.patch_voxels
        lines = synthesis_cost.cost_of(config.sizes(config.chosen.embedding_width), (side, side, side)).lines()
    else:
        lines = encoder_cost.cost_of(config.sizes, config.box_voxels).lines()
    for line in lines:
        typer.echo(line)


def train_model(
    home: Home,
    kind: str,
    config: str,
    *,
    device: str | None = None,
    text_encoder: str | None = None,
    changes: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train a model, or resume its training, and record it; nothing is published.

    Parameters
    ----------
    kind : {"text_encoder", "synthesis"}
    config : str
        Name of a shipped configuration, or path of a file.
    changes : mapping, optional
        Values of some keys of the configuration in place of its own.

    Returns
    -------
    dict
        Row of `core.model_version`; that of an earlier run if the same training was finished before.

    Raises
    ------
    TumsynError
        When there is nothing to train on, or the training fails.
    """
    from pipelines.runtime.telemetry import AlreadyTrainedError, Telemetry, is_first_process, opened_pipes

    noun = kind.replace("_", " ")
    with opened_pipes() as pipes, shown_progress() as shown:
        telemetry = Telemetry(home, {}, shown(noun), pipes, is_first=is_first_process())
        heads = shown("heads to simulate scans of")

        def made(done: int, total: int) -> None:
            heads(done, total, "")

        try:
            version = telemetry.finished(
                _trained(home, kind, config, changes or {}, telemetry, device, text_encoder, made)
            )
        except AlreadyTrainedError as before:
            version = before.version
        except Exception as error:
            telemetry.failed(error)
            raise
        if pipes:
            _report_version(pipes, home, version)
    if not telemetry.is_first:
        return version
    done = "trained" if telemetry.run else "trained before"
    note(f"{noun} {version['model_id']}: {done}, {home.root / version['path']}")
    if not pipes and "held_out_fold" not in (changes or {}):
        note(f"next: tumsyn evaluate --model {version['model_id']}")
    return version


def _trained(
    home: Home,
    kind: str,
    name: str,
    changes: Mapping[str, Any],
    telemetry: Telemetry,
    device: str | None,
    text_encoder: str | None,
    made: Callable[[int, int], None],
) -> Any:
    """Train by the function of the kind, with the other processes if torchrun started some; import torch only here."""
    from model.training.config import load_config
    from model.training.processes import joined

    config: Any = load_config(kind, name).model_copy(update=dict(changes))
    telemetry.config = config.model_dump(mode="json")
    options: Any = {"started": telemetry.started, "progress": telemetry.progress, "device": device}
    with joined(device):
        if kind == "text_encoder":
            from model.training.text_encoder import train_text_encoder

            return train_text_encoder(home, config, telemetry, made=made, **options)
        from model.training.synthesis import train_synthesis

        return train_synthesis(home, config, telemetry, made=made, text_encoder=text_encoder, **options)


def _report_version(pipes: PipesContext, home: Home, version: dict[str, Any]) -> None:
    names = ("model_id", "kind", "run_id", "data_id", "n_parameters", "size_bytes", "is_simulated")
    metadata: dict[str, Any] = {name: version[name] for name in names}
    metadata["path"] = {"raw_value": str(home.root / version["path"]), "type": "path"}
    pipes.report_asset_materialization(metadata=metadata, data_version=version["model_id"])
