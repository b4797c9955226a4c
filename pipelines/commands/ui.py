"""Define `tumsyn ui`, which shows Dagster in the browser, on this machine only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from typing import Annotated

import typer

from pipelines.commands.output import note
from pipelines.runtime import stopping
from warehouse.errors import TumsynError
from warehouse.lake.home import Home

HOST = "127.0.0.1"


def ui(
    ctx: typer.Context, port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 3000
) -> None:
    """Show the home's assets, runs and checks in the browser, until Ctrl-C."""
    home: Home = ctx.obj
    if find_spec("dagster_webserver") is None:
        raise TumsynError("dagster-webserver is not installed, which shows pages", "pip install 'tumsyn[ui]'")
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise TumsynError(f"port {port} is taken", f"end the program that uses it, or give --port {port + 1}")

    from pipelines.runtime import launch

    with launch.opened(home):
        note(f"Dagster shows {home.root} at http://{HOST}:{port} in some ten seconds; Ctrl-C ends it")
    words = ["dagster", "dev", "-m", "pipelines.definitions", "-h", HOST, "-p", str(port)]
    command = [sys.executable, "-m", "pipelines.runtime.stopping", *words]
    variables = os.environ | launch.environment(home) | stopping.child_environment()
    with subprocess.Popen(command, env=variables, start_new_session=True) as dagster:
        status = dagster.wait()
    with suppress(ProcessLookupError):
        os.killpg(dagster.pid, signal.SIGKILL)  # processes that Dagster leaves behind when it is killed
    if status != 0:
        raise TumsynError(f"Dagster ended with status {status}", "read its messages above")
