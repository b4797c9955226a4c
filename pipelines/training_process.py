"""A training as a process of its own: exactly the command that a person would type, told of through Dagster Pipes.

Belongs here: starting it and hearing of it. Does not belong here: what it does (`pipelines.commands.train`).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import dagster as dg

from pipelines.assets.describe import failure
from warehouse.errors import TumsynError
from warehouse.home import Home


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
            When it told of an error that a person must mend; it is not tried again. A process that died without a word
            is, and then goes on where it was.
        """
        reader = _Listening()
        client = dg.PipesSubprocessClient(message_reader=reader)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", dg.PreviewWarning)  # of what Pipes itself uses
                # The op's context: Pipes asks an asset's in a way that Dagster calls deprecated
                done = client.run(context=context.op_execution_context, command=command(home, words))
        except Exception as error:
            if reader.told:
                raise failure(TumsynError(**reader.told[-1])) from error
            raise
        return done.get_materialize_result()


def command(home: Home, words: Sequence[str]) -> list[str]:
    """Return the command line that trains."""
    return [sys.executable, "-m", "pipelines.cli", "--home", str(home.root), "train", *words]


class _Listening(dg.PipesTempFileMessageReader):
    """Reads messages from a file, and keeps hold of who handles them: the client drops it when the process fails."""

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
