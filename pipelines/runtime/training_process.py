"""Train in a process of its own, by the command that a person would type, which reports through Dagster Pipes."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import dagster as dg

from pipelines.runtime import stopping
from pipelines.runtime.resources import failure, no_retries
from warehouse.errors import TumsynError
from warehouse.lake.home import Home

END_S = 3.0  # between SIGTERM and SIGKILL, when the step of a training ends before it


class Training(Protocol):
    """Resource that trains a model."""

    def run(self, context: dg.AssetExecutionContext, home: Home, words: Sequence[str]) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Run ``tumsyn train`` with these words, and return what it reported."""
        ...


class TrainingProcess:
    """Runs `tumsyn train` in a process, so that its memory and its crashes stay outside of Dagster's step."""

    def run(self, context: dg.AssetExecutionContext, home: Home, words: Sequence[str]) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """Run ``tumsyn train`` with these words, and return what it reported.

        Raises
        ------
        dagster.Failure
            When it reported an error that a person must correct, or was stopped on request; neither is retried.
        RuntimeError
            When the process died without a report; the retry resumes the training.
        """
        reader = _ErrorReader()
        with warnings.catch_warnings(), no_retries():
            warnings.simplefilter("ignore", dg.PreviewWarning)  # raised by Pipes itself
            # The op's context: Pipes reads an asset's context in a way that Dagster has deprecated.
            with dg.open_pipes_session(
                context.op_execution_context, dg.PipesTempFileContextInjector(), reader
            ) as session:
                status = _exit_status(command(home, words), session.get_bootstrap_env_vars())
        if status != 0:
            raise training_failure(status, reader.errors)
        return dg.PipesClientCompletedInvocation(session).get_materialize_result()


def command(home: Home, words: Sequence[str]) -> list[str]:
    """Return the command line that trains."""
    return [sys.executable, "-m", "pipelines.cli", "--home", str(home.root), "train", *words]


def training_failure(status: int, errors: Sequence[dict[str, str]]) -> Exception:
    """Return the failure of a training; Dagster retries it unless it is a `dagster.Failure`."""
    if errors:
        return failure(TumsynError(**errors[-1]))
    if stopping.is_stop(status):
        return failure(TumsynError("the training was stopped", "run the same again: it continues where it was"))
    return RuntimeError(f"the training's process died with exit status {status}")


def _exit_status(words: Sequence[str], pipes: Mapping[str, str]) -> int:
    """Run a process, which ends with the step that waits for it and with this process, and return its exit status.

    `dagster.PipesSubprocessClient` does not return the status of a process, and leaves it running where anything but
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


class _ErrorReader(dg.PipesTempFileMessageReader):
    """Message reader that keeps the handler of its messages: the session drops it when the process fails."""

    def __init__(self) -> None:
        super().__init__()
        self.handler: dg.PipesMessageHandler | None = None

    @contextmanager
    def read_messages(self, handler: dg.PipesMessageHandler) -> Iterator[Any]:
        """Read what the process writes, while it runs."""
        self.handler = handler
        with super().read_messages(handler) as parameters:
            yield parameters

    @property
    def errors(self) -> Sequence[dict[str, str]]:
        """Errors that the process reported."""
        return self.handler.get_custom_messages() if self.handler else ()
