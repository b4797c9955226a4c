"""A stage that is stopped or killed at any moment gives, in the next run, the result of an undisturbed one.

TUMSYN_KILLS says how many kills there are in all (18), TUMSYN_KILLS_SEED where they fall. data/kills.tsv keeps a line
of each: stage, signal, seconds after the start, status, seconds until the end.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pipelines.stages import END_S, PERSON, Ended, Stage, kill, prepared, run
from warehouse.lake.home import Home

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
N_KILLS = int(os.environ.get("TUMSYN_KILLS", "18"))
SEED = int(os.environ.get("TUMSYN_KILLS_SEED", "7"))
NAMES = ("ingest", "publish", "harmonize", "train", "evaluate", "demo")
LOG = ROOT / "data" / "kills.tsv"


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stage]:
    LOG.parent.mkdir(exist_ok=True)
    LOG.write_text(f"# seed {SEED}, {N_KILLS} kills\nstage\tsignal\tafter_s\tstatus\tended_within_s\n")
    return {stage.name: stage for stage in prepared(tmp_path_factory.mktemp("stages"))}


def log(stage: Stage, signum: signal.Signals, delay: float, ended: Ended) -> None:
    with LOG.open("a") as file:
        file.write(f"{stage.name}\t{signum.name}\t{delay:.2f}\t{ended.status}\t{ended.seconds:.2f}\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_stage_that_is_killed_at_any_moment_ends_as_an_undisturbed_one(
    stages: dict[str, Stage], name: str, tmp_path: Path
) -> None:
    stage, draw = stages[name], random.Random(f"{SEED} {name}")
    shutil.copytree(stage.template, tmp_path / "undisturbed", symlinks=True)
    seconds = run(stage.words(tmp_path / "undisturbed"))
    wanted = stage.result(Home(tmp_path / "undisturbed" / "home"))
    assert wanted

    kills, left = 0, N_KILLS // len(NAMES) + (NAMES.index(name) < N_KILLS % len(NAMES))
    while kills < left:
        at = tmp_path / f"killed{kills}"
        shutil.copytree(stage.template, at, symlinks=True)
        for _ in range(len(SIGNALS)):  # several in a row, as when a user tries again
            if kills == left:
                break
            signum, delay = SIGNALS[kills % len(SIGNALS)], draw.uniform(0.15, 1.0) * seconds
            ended = kill(stage.words(at), delay, signum)
            if ended.status is None:
                break  # it was quicker than the undisturbed one
            kills += 1
            log(stage, signum, delay, ended)
            check(signum, ended)
        run(stage.words(at))
        assert stage.result(Home(at / "home")) == wanted
        shutil.rmtree(at)


def check(signum: signal.Signals, ended: Ended) -> None:
    assert ended.orphans == 0
    assert "Traceback" not in ended.stderr
    if signum in PERSON and ended.status != 0:  # it may have been done when the signal came
        assert ended.status == 128 + signum, ended.stderr
        overload = max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))  # others' processes count
        assert ended.seconds < END_S * overload
        assert "run the same command again" in ended.stderr
