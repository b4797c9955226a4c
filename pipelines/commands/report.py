"""`tumsyn report`: the page of an evaluation."""

from __future__ import annotations

import typer

from pipelines.commands.evaluate import ModelOption, ProtocolOption
from pipelines.commands.train import DeviceOption
from warehouse.lake.home import Home


def report(
    ctx: typer.Context, model: ModelOption = None, protocol: ProtocolOption = "standard", device: DeviceOption = None
) -> None:
    """Write a model's evaluation as one page that needs nothing beside it, and print its path.

    The model must have been evaluated by the same protocol on the data in force.
    """
    from pipelines.runtime import evaluation as judging

    home: Home = ctx.obj
    typer.echo(judging.write_report(home, model, protocol, device=device))
