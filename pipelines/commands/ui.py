"""`tumsyn ui`: Dagster in the browser, on this machine only."""

from __future__ import annotations

import os
import socket
from typing import Annotated

import typer

from pipelines.commands.output import note
from warehouse.errors import TumsynError
from warehouse.lake.home import Home

HOST = "127.0.0.1"


def ui(
    ctx: typer.Context, port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 3000
) -> None:
    """Show the home's assets, runs and checks in the browser, until Ctrl-C."""
    home: Home = ctx.obj
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise TumsynError(f"port {port} is taken", f"close what listens there, or give another: --port {port + 1}")

    from pipelines.runtime import group, launch

    with launch.opened(home):
        note(f"Dagster shows {home.root} at http://{HOST}:{port} in some ten seconds; Ctrl-C ends it")
    words = ["dagster", "dev", "-m", "pipelines.definitions", "-h", HOST, "-p", str(port)]
    with group.started(words, os.environ | launch.environment(home)) as server:
        status = server.wait()
    if status != 0:
        raise TumsynError(f"Dagster ended with status {status}", "what it said stands above")
