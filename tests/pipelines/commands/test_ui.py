"""`tumsyn ui` shows the home in the browser, and leaves no process behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.pipelines.conftest import Command
from tests.pipelines.stages import still_running
from warehouse.lake.home import Home

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,6000",  # only rows that would be seen are drawn
    "--virtual-time-budget=30000",
]
START_S = 180
ATTEMPTS = 4  # the budget is virtual: on a busy machine it can run out before the server has answered
Page = Callable[..., str]


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        pytest.skip(f"no browser is installed: none of {', '.join(BROWSERS)} is on the path")
    return found


@contextmanager
def serving(home: Home) -> Iterator[str]:
    """Show a home in Dagster, in a process group of its own: it ends with the test whatever happens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "pipelines.cli", "--home", str(home.root), "ui", "--port", str(port)]
    path = home.root.with_name("ui.log")
    with (
        path.open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True) as server,
    ):
        try:
            _wait(f"http://127.0.0.1:{port}/server_info", path)
            yield f"http://127.0.0.1:{port}"
        finally:
            _end(server)


@pytest.fixture(scope="module")
def address(filled: Home) -> Iterator[str]:
    with serving(filled) as address:
        yield address


@pytest.fixture
def page(browser: str, address: str, tmp_path: Path) -> Page:
    """What a page holds once its scripts have run, every other host being out of reach."""

    def text(path: str, *wanted: str) -> str:
        """Load a page until it holds what is wanted, a few times at most; return what it held last."""
        shown = ""
        for attempt in range(ATTEMPTS):
            profile, hosts = tmp_path / f"profile{attempt}", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
            words = [browser, *QUIET, f"--user-data-dir={profile}", hosts, "--dump-dom", f"{address}/{path}"]
            shown = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout
            if all(word in shown for word in wanted):
                break
        return shown

    return text


@pytest.mark.browser
@pytest.mark.slow
def test_the_catalog_page_lists_every_layer_without_a_welcome_window(page: Page) -> None:
    names = ("image_catalog", "participant", "snapshot", "volume")
    shown = page("assets", *names)
    for name in names:
        assert name in shown
    assert "Join the Dagster" not in shown


@pytest.mark.browser
@pytest.mark.slow
def test_the_centres_are_the_partitions_of_a_table(page: Page) -> None:
    shown = page("assets/core/image?view=partitions&partition=tiny", "tiny", "sub-01")
    assert "tiny" in shown
    assert "sub-01" in shown  # the preview


@pytest.mark.browser
@pytest.mark.slow
def test_a_model_hangs_on_its_pairs_and_shows_its_job_and_schedule(page: Page) -> None:
    wanted = ("training_pair", "text_encoder_retrieval", "evaluation", "train_all", "only on Sunday")
    shown = page("assets/synthesis_model", *wanted)
    for word in wanted:
        assert word in shown


@pytest.mark.slow
def test_a_port_that_is_taken_is_refused(asking: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = asking("ui", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 1
    assert "is taken" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_dagster_when_the_command_ends(filled: Home, tmp_path: Path, signum: signal.Signals) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "pipelines.cli", "--home", str(filled.root), "ui", "--port", str(port)]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        _wait(f"http://127.0.0.1:{port}/server_info", tmp_path / "log")
        children = psutil.Process(server.pid).children(recursive=True)
        server.send_signal(signum)
        status = server.wait(5)
    assert len(children) >= 3  # Dagster, its web server, its daemon
    assert status == (-signum if signum == signal.SIGKILL else 128 + signum)
    assert still_running(children, 5) == []


def _wait(address: str, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"Dagster did not answer within {START_S} s:\n{log.read_text()[-2000:]}")


def _end(server: subprocess.Popen[bytes]) -> None:
    os.killpg(server.pid, signal.SIGINT)
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
