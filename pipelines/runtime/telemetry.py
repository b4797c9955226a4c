"""Report a training: to the terminal, to the events of the home, and to Dagster if it started the training."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.runtime.progress import Report
from warehouse.catalog import model_registry, snapshots
from warehouse.errors import CatalogueError, TumsynError
from warehouse.lake.home import Home

if TYPE_CHECKING:
    from dagster_pipes import PipesContext

    from model.training.trained import Run, Trained

RUN, METRIC = model_registry.RUN, "core.training_metric"


class AlreadyTrainedError(Exception):
    """Stops a training that was finished before and whose model exists.

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
    """Recorder of one training.

    Parameters
    ----------
    home : Home
    config : dict
        Configuration, as it is recorded.
    report : callable
        Shows progress on the terminal.
    pipes : PipesContext, optional
        Connection to Dagster, if it started this process.
    is_first : bool
        Whether this process records. Of several that train together, one does; the others only look whether the
        training was finished before, so that all of them stop then.
    """

    home: Home
    config: dict[str, Any]
    report: Report
    pipes: PipesContext | None = None
    run: Run | None = None
    n_steps: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    logged_tenths: int = -1
    parent: int = field(default_factory=os.getppid)
    is_first: bool = True

    def started(self, run: Run) -> None:
        """Record that a training starts, or resumes after its process was killed.

        Raises
        ------
        AlreadyTrainedError
            When it was finished before and its model exists: the same run gives the same model.
        """
        for version in model_registry.statements(self.home, model_registry.VERSION, run_id=run.run_id):
            if (self.home.root / version["path"]).is_dir():
                raise AlreadyTrainedError(version)
        self.run = run
        if not self.is_first:
            return
        begun = bool(model_registry.statements(self.home, RUN, run_id=run.run_id, status="started"))
        model_registry.record(self.home, RUN, [self._event("resumed" if begun else "started")])
        keep_snapshot(self.home, run.snapshot_id, self._referrer)  # publications go on while it trains
        self._log(f"training {run.run_id} {'resumes' if begun else 'starts'} on {run.device} in {run.precision}")

    def __call__(self, step: int, n_steps: int, split: str, measures: dict[str, float]) -> None:
        """Take the measures of a step."""
        assert self.run is not None  # `started` comes first
        self.n_steps = max(step, self.n_steps)
        for metric, value in measures.items():
            place = {"run_id": self.run.run_id, "step": step, "split": split, "metric": metric}
            self.rows.append({"event_id": _event_id(place), "kind": self.run.kind, **place, "value": value})
        tenths = step * 10 // n_steps
        if split == "val" or tenths > self.logged_tenths:
            self.logged_tenths = tenths
            figures = ", ".join(f"{name} {value:.4g}" for name, value in measures.items())
            self._log(f"step {step} of {n_steps}, {split}: {figures}")

    def progress(self, done: int, n_steps: int, loss: float) -> None:
        """Show how many steps are done, after every step.

        Raises
        ------
        SystemExit
            When Dagster, which started this process, is gone.
        """
        if self.pipes and os.getppid() != self.parent:
            raise SystemExit("the run that started this training is gone")
        self.report(done, n_steps, f"loss {loss:.4g}")

    def finished(self, trained: Trained) -> dict[str, Any]:
        """Record curves, model and end, in this order, so that the next run records what an interrupted one did not.

        Returns
        -------
        dict
            Row of `core.model_version`.
        """
        assert self.run is not None
        version = self._version(trained)
        if not self.is_first:
            return version
        model_registry.record(self.home, METRIC, self.rows)
        model_registry.record(self.home, model_registry.VERSION, [version])
        keep_snapshot(self.home, self.run.snapshot_id, f"model:{trained.model_id}")
        end = self._event("finished") | {"n_steps": trained.n_steps, "seconds": trained.seconds}
        model_registry.record(
            self.home, RUN, [{"event_id": _event_id({"run_id": trained.run_id, "is": "finished"}), **end}]
        )
        snapshots.release(self.home, self._referrer)
        return version

    def failed(self, error: BaseException) -> None:
        """Record that the training failed, and why; pass the error to Dagster."""
        if self.run is not None and self.is_first:
            model_registry.record(self.home, METRIC, self.rows)
            event = self._event("failed") | {"n_steps": self.n_steps, "detail": str(error)}
            model_registry.record(self.home, RUN, [event])
        if self.pipes and isinstance(error, TumsynError):
            self.pipes.report_custom_message({"what": error.what, "remedy": error.remedy})

    @property
    def _referrer(self) -> str:
        """Who needs the snapshot until there is a model."""
        assert self.run is not None
        return f"training:{self.run.run_id}"

    def _event(self, status: str) -> dict[str, Any]:
        assert self.run is not None
        names = ("run_id", "kind", "data_id", "snapshot_id", "training_code", "seed", "device", "n_parameters")
        return {
            **{name: getattr(self.run, name) for name in names},
            "status": status,
            "config": json.dumps(self.config),
            "dagster_run_id": self.pipes.run_id if self.pipes else None,
        }

    def _version(self, trained: Trained) -> dict[str, Any]:
        from model.networks.checkpoint import WEIGHTS, read_config

        assert self.run is not None
        config = read_config(trained.path)
        return {
            **{name: getattr(trained, name) for name in ("model_id", "kind", "run_id", "data_id", "n_parameters")},
            "event_id": _event_id({"model_id": trained.model_id, "run_id": trained.run_id}),
            "text_encoder_id": (config.get("text_encoder") or {}).get("model_id"),
            "path": trained.path.relative_to(self.home.root).as_posix(),
            "size_bytes": (trained.path / WEIGHTS).stat().st_size,
            "is_simulated": self.run.is_simulated,
            "grid_mm": config.get("grid_mm"),
            "recipe_id": config.get("recipe_id"),
        }

    def _log(self, text: str) -> None:
        if self.pipes:
            self.pipes.log.info(text)


def keep_snapshot(home: Home, snapshot_id: str, referrer: str) -> None:
    """Pin the catalogue that a model is trained on, unless it is pinned for this referrer, or gone."""
    if referrer in snapshots.pinned(home).get(snapshot_id, []):
        return
    try:
        snapshots.pin(home, snapshot_id, referrer)
    except CatalogueError:  # a later publication removed it meanwhile; `data_id` still identifies what it held
        return


def is_first_process() -> bool:
    """Return whether this is the only process of a training, or the first of those that torchrun started.

    As `model.training.processes.is_first`, but before torch is imported.
    """
    return "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("RANK") == "0"


@contextmanager
def opened_pipes() -> Iterator[PipesContext | None]:
    """Open the connection to Dagster if it started this process; of several that train together, the first does."""
    if "DAGSTER_PIPES_CONTEXT" not in os.environ or not is_first_process():
        yield None
        return
    from dagster_pipes import open_dagster_pipes

    with open_dagster_pipes() as pipes:
        yield pipes


def _event_id(parts: dict[str, Any]) -> str:
    """Return the same identity for the same event, however often it is recorded."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
