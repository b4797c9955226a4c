"""Pass values between the steps of a run as JSON files in the home.

Dagster's own manager of outputs pickles them, and a pickle that anyone else may write runs code when it is read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import TypeAdapter

from pipelines.runtime.resources import HomeResource
from warehouse.lake import atomic


class JsonOutputs(dg.IOManager):
    """Writes the output of an op as JSON, and reads it as the type that the op declares.

    Parameters
    ----------
    folder : Path
        Where the files go: a folder for each run, and in it one for each step.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Write an output.

        Raises
        ------
        TypeError
            When JSON cannot hold it.
        """
        plain = _adapter(context).dump_python(obj)
        atomic.write_text(self._path(context), json.dumps(plain))

    def load_input(self, context: dg.InputContext) -> object:
        """Read the output of an earlier step.

        Raises
        ------
        pydantic.ValidationError
            When the file does not hold a value of the declared type.
        """
        output = context.upstream_output
        if output is None:
            raise dg.DagsterInvariantViolationError("an input comes from an output of an earlier step, or from nowhere")
        return _adapter(output).validate_python(json.loads(self._path(output).read_text(encoding="utf-8")))

    def _path(self, context: dg.OutputContext) -> Path:
        *folders, name = context.get_identifier()
        return self.folder.joinpath(*folders, f"{name}.json")


@dg.io_manager(required_resource_keys={"home"})
def json_outputs(context: dg.InitResourceContext) -> JsonOutputs:
    """Keep outputs beside Dagster's own state in the home."""
    home: HomeResource = context.resources.home
    return JsonOutputs(home.open().dagster / "storage")


def _adapter(context: dg.OutputContext) -> TypeAdapter[Any]:
    return TypeAdapter(context.dagster_type.typing_type)
