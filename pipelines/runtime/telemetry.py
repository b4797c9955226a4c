"""Where a training says how far it is: the terminal, the home's events, and Dagster where that started it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from warehouse.catalog import model_registry, snapshots
from warehouse.errors import CatalogueError, TumsynError
from warehouse.lake.home import Home

if TYPE_CHECKING:
    from dagster_pipes import PipesContext

    from model.training.trained import Run, Trained

RUN, METRIC = "core.training_run", "core.training_metric"
Show = Callable[[int, int, str], None]  # done, total, what


class AlreadyTrainedError(Exception):
    """Stops a training that was finished before: its model is there.

    Parameters
    ----------
    version : dict
        Row of `core.model_version`.
    """

    def __init__(self, version: dict[str, Any]) -> None:
        self.version = version
        super().__init__(f"model {version['model_id']} was trained before")


@dataclass
class Telemetry:
    """What a training tells, and to whom.

    Parameters
    ----------
    home : Home
    config : dict
        Configuration, as it is recorded.
    show : callable
        The terminal: told done, total and what is done.
    pipes : PipesContext, optional
        Dagster, where it started this process.
    """

    home: Home
    config: dict[str, Any]
    show: Show
    pipes: PipesContext | None = None
    run: Run | None = None
    n_steps: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    told_tenths: int = -1
    parent: int = field(default_factory=os.getppid)

    def started(self, run: Run) -> None:
        """Record that a training starts, or goes on after its process was killed.

        Raises
        ------
        AlreadyTrainedError
            When it was finished before and its model is there: the same run makes the same model.
        """
        for version in model_registry.statements(self.home, model_registry.VERSION, run_id=run.run_id):
            if (self.home.root / version["path"]).is_dir():
                raise AlreadyTrainedError(version)
        self.run = run
        begun = bool(model_registry.statements(self.home, RUN, run_id=run.run_id, status="started"))
        model_registry.record(self.home, RUN, [self._statement("resumed" if begun else "started")])
        self._log(f"training {run.run_id} {'goes on' if begun else 'starts'} on {run.device} in {run.precision}")

    def __call__(self, step: int, n_steps: int, split: str, measures: dict[str, float]) -> None:
        """Take measures of a step."""
        assert self.run is not None  # a training says that it starts
        self.n_steps = max(step, self.n_steps)
        for metric, value in measures.items():
            place = {"run_id": self.run.run_id, "step": step, "split": split, "metric": metric}
            self.rows.append({"event_id": _identity(place), "kind": self.run.kind, **place, "value": value})
        figures = ", ".join(f"{name} {value:.4g}" for name, value in measures.items())
        tenths = step * 10 // n_steps
        if split == "val" or tenths > self.told_tenths:
            self.told_tenths = tenths
            self._log(f"step {step} of {n_steps}, {split}: {figures}")

    def progress(self, done: int, n_steps: int, loss: float) -> None:
        """Show how many steps are done, after every step.

        Raises
        ------
        SystemExit
            When Dagster, which started this process, is gone.
        """
        if self.pipes and os.getppid() != self.parent:
            raise SystemExit("the run that asked for this training is gone")
        self.show(done, n_steps, f"loss {loss:.4g}")

    def finished(self, trained: Trained) -> dict[str, Any]:
        """Record curves, model and end, in this order: what is interrupted here is recorded by the next try.

        Returns
        -------
        dict
            Row of `core.model_version`.
        """
        assert self.run is not None
        model_registry.record(self.home, METRIC, self.rows)
        version = self._version(trained)
        model_registry.record(self.home, model_registry.VERSION, [version])
        keep_snapshot(self.home, self.run.snapshot_id, trained.model_id)
        end = self._statement("finished") | {"n_steps": trained.n_steps, "seconds": trained.seconds}
        model_registry.record(
            self.home, RUN, [{"event_id": _identity({"run_id": trained.run_id, "is": "finished"}), **end}]
        )
        return version

    def failed(self, error: BaseException) -> None:
        """Record that it failed, and why; Dagster is told in the error's own words."""
        if self.run is not None:
            model_registry.record(self.home, METRIC, self.rows)
            statement = self._statement("failed") | {"n_steps": self.n_steps, "detail": str(error)}
            model_registry.record(self.home, RUN, [statement])
        if self.pipes and isinstance(error, TumsynError):
            self.pipes.report_custom_message({"what": error.what, "remedy": error.remedy})

    def _statement(self, status: str) -> dict[str, Any]:
        assert self.run is not None
        names = ("run_id", "kind", "data_id", "snapshot_id", "training_code", "seed", "device", "n_parameters")
        said = {name: getattr(self.run, name) for name in names}
        asked_by = self.pipes.run_id if self.pipes else None
        return {**said, "status": status, "config": json.dumps(self.config), "dagster_run_id": asked_by}

    def _version(self, trained: Trained) -> dict[str, Any]:
        from model.networks.checkpoint import WEIGHTS, read_config

        assert self.run is not None
        config = read_config(trained.path)
        encoder = config.get("text_encoder") or {}
        return {
            "event_id": _identity({"model_id": trained.model_id, "run_id": trained.run_id}),
            "model_id": trained.model_id,
            "kind": trained.kind,
            "run_id": trained.run_id,
            "data_id": trained.data_id,
            "text_encoder_id": encoder.get("model_id"),
            "path": trained.path.relative_to(self.home.root).as_posix(),
            "n_parameters": trained.n_parameters,
            "size_bytes": (trained.path / WEIGHTS).stat().st_size,
            "is_simulated": self.run.is_simulated,
            "grid_mm": config.get("grid_mm"),
            "recipe_id": config.get("recipe_id"),
        }

    def _log(self, text: str) -> None:
        if self.pipes:
            self.pipes.log.info(text)


def keep_snapshot(home: Home, snapshot_id: str, model_id: str) -> None:
    """Pin the catalogue that a model was trained on, unless it is pinned for it, or gone."""
    referrer = f"model:{model_id}"
    if referrer in snapshots.pinned(home).get(snapshot_id, []):
        return
    try:
        snapshots.pin(home, snapshot_id, referrer)
    except CatalogueError:  # a later publication has retired it meanwhile; what it held is told by data_id
        return


@contextmanager
def opened_pipes() -> Iterator[PipesContext | None]:
    """Open the way back to Dagster where it started this process; elsewhere there is none."""
    if "DAGSTER_PIPES_CONTEXT" not in os.environ:
        yield None
        return
    from dagster_pipes import open_dagster_pipes

    with open_dagster_pipes() as pipes:
        yield pipes


def _identity(parts: dict[str, Any]) -> str:
    """Return one event_id for one statement, however often it is made."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
