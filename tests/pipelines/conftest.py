"""Fixtures: the command in this process, and a home that one ingest has filled."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from typer.testing import CliRunner, Result

from model.networks import weights
from pipelines.cli import app
from warehouse.centers.registry import Center, Layout, RegisteredCenter, register
from warehouse.lake.home import Home

Command = Callable[..., Result]


@event.listens_for(Engine, "connect")
def leave_writing_to_the_system(connection: sqlite3.Connection, _: object) -> None:
    """Spare Dagster's databases some 500 waits for the disk a run: no test survives a power failure."""
    connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Undo that a shell lets processes in its background ignore SIGINT.

    After a run in the main thread, Dagster gives SIGTERM the handler of SIGINT. Ignored, both are ignored by the
    processes that it starts to copy logs, and it waits a minute for each of them.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment() -> Iterator[None]:
    """Undo what opening a Dagster instance puts into the environment, and start without another home's settings."""
    before = dict(os.environ)
    for name in ("DAGSTER_HOME", "TUMSYN_HOME", "TUMSYN_DAGSTER_STATE"):
        os.environ.pop(name, None)
    yield
    os.environ.clear()
    os.environ.update(before)


def command_in(home: Home) -> Command:
    def run(*words: str, **more: object) -> Result:
        return CliRunner().invoke(app, ["--home", str(home.root), *words], **more)  # type: ignore[arg-type]

    return run


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance in memory; tests that need one of a home define their own."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def tumsyn(home: Home) -> Command:
    """The command, at work in an empty home."""
    return command_in(home)


@pytest.fixture
def tiny(home: Home, bids: Path) -> RegisteredCenter:
    """The tiny BIDS dataset, registered and not yet ingested."""
    center = Center(center_id="tiny", title="Tiny", layout=Layout(kind="bids"))
    return register(home, center, bids)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose one centre is ingested and published; read it only."""
    from pipelines.commands.ingest import ingest_centers
    from tests.conftest import write_bids

    folder = tmp_path_factory.mktemp("filled")
    home = Home(folder / "home")
    register(home, Center(center_id="tiny", title="Tiny", layout=Layout(kind="bids")), write_bids(folder / "bids"))
    ingest_centers(home, [])
    return home


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home in which the hostile dataset is ingested, harmonised by `works`, and published; read it only."""
    from pipelines.commands.ingest import ingest_centers
    from tests import hostile
    from tests.warehouse.harmonize import works
    from warehouse.harmonize import tasks
    from warehouse.harmonize.center import harmonize_center
    from warehouse.harmonize.recipe import load_recipe

    folder = tmp_path_factory.mktemp("attacked")
    home = Home(folder / "home")
    entry = register(home, hostile.center(), hostile.write_hostile(folder / "bids"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "work_session", works.made_of)
        ingest_centers(home, [])
        harmonize_center(home, entry, load_recipe("draft"), workers=1)
    ingest_centers(home, [])
    return home


@pytest.fixture
def asking(filled: Home) -> Command:
    """The command, at work in the filled home."""
    return command_in(filled)


@pytest.fixture(autouse=True)
def no_weights_ship(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the weights that ship: what a test finds must not depend on them."""
    monkeypatch.setattr(weights, "SHIPPED", tmp_path_factory.getbasetemp() / "no weights")
