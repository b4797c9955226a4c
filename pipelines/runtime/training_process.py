"""A training as a process of its own: exactly the command that a person would type, told of through Dagster Pipes."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import dagster as dg

from pipelines.assets.describe import failure, final_failures
from pipelines.runtime import stopping
from warehouse.errors import TumsynError
from warehouse.lake.home import Home

END_S = 3.0  # that a training has to end when its step is ended


class Training(Protocol):
    """Something that trains."""

    def run(self, context: dg.AssetExecutionContext, home: Home, words: Sequence[str]) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Run ``tumsyn train`` with these words, and return what it told."""
        ...


class TrainingProcess:
    """`tumsyn train` in a process: what takes a GPU, or dies with it, does so outside of Dagster's step."""

    def run(self, context: dg.AssetExecutionContext, home: Home, words: Sequence[str]) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Run ``tumsyn train`` with these words, and return what it told.

        Raises
        ------
        dagster.Failure
            When it told of an error that a person must remedy, or was stopped on request; neither is tried again. A
            process that died without a word is, and then goes on where it was.
        """
        reader = _Listening()
        with warnings.catch_warnings(), final_failures():
            warnings.simplefilter("ignore", dg.PreviewWarning)  # of what Pipes itself uses
            # The op's context: Pipes asks an asset's in a way that Dagster calls deprecated
            with dg.open_pipes_session(
                context.op_execution_context, dg.PipesTempFileContextInjector(), reader
            ) as session:
                status = _finished(command(home, words), session.get_bootstrap_env_vars())
        if status != 0:
            raise failed(status, reader.told)
        return dg.PipesClientCompletedInvocation(session).get_materialize_result()


def command(home: Home, words: Sequence[str]) -> list[str]:
    """Return the command line that trains."""
    return [sys.executable, "-m", "pipelines.cli", "--home", str(home.root), "train", *words]


def _finished(words: Sequence[str], pipes: Mapping[str, str]) -> int:
    """Return the exit status of a process, which ends with the step that waits for it, and with this process.

    `dagster.PipesSubprocessClient` does not tell the status of a process, and leaves it running where anything but
    Dagster's own interrupt ends the step.
    """
    environment = {**os.environ, **pipes, **stopping.child_environment()}
    with subprocess.Popen(words, env=environment) as process:
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
            raise


def failed(status: int, told: Sequence[dict[str, str]]) -> Exception:
    """Return the failure of a training; Dagster tries again what is none of ours."""
    if told:
        return failure(TumsynError(**told[-1]))
    if stopping.stopped_status(status):
        return failure(TumsynError("the training was stopped", "run the same again: it goes on where it was"))
    return RuntimeError(f"the training's process died with exit status {status}")


class _Listening(dg.PipesTempFileMessageReader):
    """Reads messages from a file, and keeps hold of who handles them: the session drops it when the process fails."""

    def __init__(self) -> None:
        super().__init__()
        self.handler: dg.PipesMessageHandler | None = None

    @contextmanager
    def read_messages(self, handler: dg.PipesMessageHandler) -> Iterator[Any]:
        """Read what the process writes, for as long as it runs."""
        self.handler = handler
        with super().read_messages(handler) as parameters:
            yield parameters

    @property
    def told(self) -> Sequence[dict[str, str]]:
        """Errors that the process told."""
        return self.handler.get_custom_messages() if self.handler else ()
