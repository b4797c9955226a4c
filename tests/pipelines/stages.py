"""Run the stages of the pipeline as commands in tiny homes, read their results, and kill them.

Every stage starts from a copy of a prepared home, so that a kill interrupts its own work.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from tests.conftest import ROOT, write_bids
from tests.model.tiny_home import make_tiny_home
from tests.pipelines.runtime.test_training_process import ENCODER, NETWORK, PROTOCOL
from warehouse.catalog import model_registry
from warehouse.catalog.query import Catalogue
from warehouse.centers.registry import Center, Layout, register
from warehouse.lake.atomic import sha256
from warehouse.lake.home import Home

END_S = 5.0  # within which a command must end after a signal
PERSON = (signal.SIGINT, signal.SIGTERM)
CLI = [sys.executable, "-m", "pipelines.cli"]
# The demonstration's own run, on configurations of seconds; forty steps need not be enough for the gate of retrieval.
DEMO = """
import sys
from pathlib import Path
from model.evaluation import retrieval
from pipelines.runtime import launch
from pipelines.runtime import stopping
from warehouse.lake.home import Home
encoder, network, protocol = sys.argv[2:]
retrieval.contrast_verdict = lambda *_, **__: {held}
ops = {{"text_encoder": {{"config": encoder}}, "synthesis_model": {{"config": network}}}}
ops |= {{"evaluation": {{"protocol": protocol}}, "text_encoder_retrieval": {{"protocol": "quick"}}}}
with stopping.stoppable():
    home = Home(Path(sys.argv[1]))
    with launch.opened(home) as instance:
        sys.exit(launch.run(instance, home, "train_all", config=ops).error)
"""
HELD = {
    "gate": "image_finds_its_contrast",
    "passed": True,
    "verdict": "passed",
    "value": 1.0,
    "threshold": 0.5,
    "detail": "set by a test",
}


@dataclass(frozen=True)
class Stage:
    """One stage: the folder that holds its prepared home, its command, and what it leaves behind."""

    name: str
    template: Path
    words: Callable[[Path], Sequence[str]]
    result: Callable[[Home], object]


@dataclass(frozen=True)
class Ended:
    """How a process ended that a signal was sent to; `status` is None where it had ended before."""

    status: int | None
    seconds: float
    stderr: str
    orphans: int


def environment() -> dict[str, str]:
    """Return what makes runs comparable: one version of the code, one thread."""
    return os.environ | {"PYTHONPATH": str(ROOT), "GIT_COMMIT": "0" * 40, "OMP_NUM_THREADS": "1"}


def run(words: Sequence[str]) -> float:
    """Run a command to its end, and return its seconds."""
    began = time.monotonic()
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return time.monotonic() - began


def kill(words: Sequence[str], delay_s: float, signum: signal.Signals) -> Ended:
    """Start a command, send it a signal after so many seconds, and see how it and its children end."""
    with subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            process.wait(delay_s)
        except subprocess.TimeoutExpired:
            children = psutil.Process(process.pid).children(recursive=True)
            began = time.monotonic()
            process.send_signal(signum)
            _, stderr = process.communicate()
            seconds = time.monotonic() - began
            return Ended(process.returncode, seconds, stderr.decode(), len(still_running(children, END_S)))
        process.communicate()
    return Ended(None, 0.0, "", 0)


def still_running(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Return the processes that have not ended after so many seconds; a zombie has."""
    end = time.monotonic() + seconds
    while left := [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]:
        if time.monotonic() > end:
            break
        time.sleep(0.05)
    return left


def prepared(folder: Path) -> list[Stage]:
    """Prepare the homes and return the stages in the order of the pipeline."""
    raw, lake, learning, trained, whole = (folder / name for name in ("raw", "lake", "learning", "trained", "whole"))
    for name in ("one", "two"):
        center = Center(center_id=name, title=name, layout=Layout(kind="bids"))
        register(Home(raw / "home"), center, write_bids(folder / name))
    shutil.copytree(raw, lake, symlinks=True)
    run(_tumsyn(lake, "ingest"))
    shutil.rmtree(lake / "home" / "warehouse")
    _configure(learning)
    make_tiny_home(learning / "home", 40)
    shutil.copytree(learning, whole, symlinks=True)
    shutil.copytree(learning, trained, symlinks=True)
    run(_train(trained, "text-encoder", "encoder"))
    run(_train(trained, "synthesis", "network"))
    return [
        Stage("ingest", raw, lambda at: _tumsyn(at, "ingest"), _data),
        Stage("publish", lake, lambda at: _tumsyn(at, "ingest"), _data),
        Stage("harmonize", _phantom(folder), _harmonize, _volumes),
        Stage("train", learning, lambda at: _train(at, "text-encoder", "encoder"), _weights),
        Stage("evaluate", trained, _evaluate, _scores),
        Stage("demo", whole, _demo, lambda home: (_weights(home), _scores(home), _report(home))),
    ]


def _tumsyn(at: Path, *words: str) -> list[str]:
    return [*CLI, "--home", str(at / "home"), *words]


def _configure(folder: Path) -> None:
    folder.mkdir()
    for name, content in {"encoder": ENCODER, "network": NETWORK, "protocol": PROTOCOL}.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))


def _phantom(folder: Path) -> Path:
    """Return an ingested home of one simulated centre, one person, 6 mm."""
    at, out = folder / "phantom", folder / "source"
    run([*_tumsyn(at, "phantom"), "--out", str(out), "--resolution", "6", "--subjects-per-center", "1",
         "--centers", "ixi", "--register", "--workers", "1"])  # fmt: skip
    for path in out.rglob("*IXI901*"):  # the person whom all centres see
        if "phantom_ixi" in path.parts and path.is_file():
            path.unlink()
    run(_tumsyn(at, "ingest"))
    return at


def _harmonize(at: Path) -> list[str]:
    """Return the command on one CPU: threads of ITK add up in the order in which they finish."""
    return ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0))), *_tumsyn(at, "harmonize", "--recipe", "draft")]


def _train(at: Path, kind: str, config: str) -> list[str]:
    encoder = [] if kind == "text-encoder" else ["--text-encoder", _model(Home(at / "home"), "text_encoder")]
    return [*_tumsyn(at, "train", kind), "--device", "cpu", "--config", str(at / f"{config}.yaml"), *encoder]


def _evaluate(at: Path) -> list[str]:
    model = _model(Home(at / "home"), "synthesis")
    return _tumsyn(at, "evaluate", "--model", model, "--protocol", str(at / "protocol.yaml"), "--device", "cpu")


def _demo(at: Path) -> list[str]:
    files = [str(at / f"{name}.yaml") for name in ("encoder", "network", "protocol")]
    return [sys.executable, "-c", DEMO.format(held=HELD), str(at / "home"), *files]


def _model(home: Home, kind: str) -> str:
    [version] = model_registry.statements(home, model_registry.VERSION, kind=kind)
    return str(version["model_id"])


def _ask(home: Home, query: str) -> list[tuple[object, ...]]:
    with Catalogue(home).connect() as connection:
        return connection.execute(query).fetchall()


def _data(home: Home) -> object:
    return _ask(home, "SELECT data_id FROM meta.snapshot")


def _volumes(home: Home) -> object:
    return _ask(home, "SELECT image_id, form, recipe_id, path, voxels_sha256, verdict FROM core.volume ORDER BY ALL")


def _weights(home: Home) -> object:
    return sorted((path.parent.name, sha256(path)) for path in home.models.glob("*/model.safetensors"))


def _scores(home: Home) -> object:
    scores = "SELECT COLUMNS(* EXCLUDE (event_id, occurred_at)) FROM core.evaluation_score ORDER BY ALL"
    gates = "SELECT DISTINCT model_id, gate, passed, value FROM core.gate_verdict ORDER BY ALL"
    return _ask(home, scores), _ask(home, gates)


def _report(home: Home) -> object:
    return [path.parent.name for path in home.reports.glob("*/report.html")]
