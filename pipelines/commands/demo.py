"""`tumsyn demo`: simulated centres from their folders to a catalogue, two trained networks and a report."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.harmonize import harmonize_centers
from pipelines.commands.ingest import ingest_centers
from pipelines.commands.output import note
from pipelines.runtime.progress import ProgressInTurn, show_in_children, shown_progress
from warehouse.errors import TumsynError
from warehouse.harmonize.pool import processes
from warehouse.lake.home import Home

RESOLUTION_MM = 3.0
RECIPE = "draft"
SEED = 1


class Profile(StrEnum):
    """How much of the demonstration runs."""

    FULL = "full"
    QUICK = "quick"


@dataclass(frozen=True)
class Extent:
    """What a profile makes.

    Parameters
    ----------
    centers : tuple of str, optional
        Centres, by the names of the real ones; default: all of them.
    subjects_per_center : int
        People that each of them enrols.
    settings : str
        Name of the configurations of both networks, and of the protocol of their evaluation.
    """

    centers: tuple[str, ...] | None
    subjects_per_center: int
    settings: str


EXTENTS = {
    Profile.FULL: Extent(None, 2, "demo"),
    # Three centres that are trained on, of which two have somebody in a test split, and an external one.
    Profile.QUICK: Extent(("camcan", "ixi", "lemon", "ucsf_pdgm"), 2, "quick"),
}


def demo(
    ctx: typer.Context,
    profile: Annotated[
        Profile, typer.Option(help="full: thirteen centres; quick: four of them, for CI.")
    ] = Profile.FULL,
) -> None:
    """Simulate centres, ingest, harmonise and publish them, train both networks on them, judge and report.

    Everything is written into the home. What was made before and has not changed is not made again.
    """
    home: Home = ctx.obj
    names = make_centers(home, EXTENTS[profile])
    with stage("ingest"):
        ingest_centers(home, names)
    with stage("harmonise"):
        harmonize_centers(home, names, {"recipe": RECIPE})
    settings = EXTENTS[profile].settings
    page = train_and_report(home, settings)
    _tell_what_next(home)
    from pipelines.runtime.evaluation import headline

    typer.echo(f"\n{headline(home, page, settings)}\nreport: {_short(page)}")


def train_and_report(home: Home, settings: str) -> Path:
    """Train both networks, judge and report them in one run, unless that is done.

    Parameters
    ----------
    settings : str
        Name of the configurations of both networks, and of the protocol of their evaluation.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    TumsynError
        When a step fails, or a gate does not hold.
    """
    from pipelines.runtime.evaluation import current_report

    with stage("train, judge and report"):
        page = current_report(home, settings, settings, settings)
        if page is None:
            _run_everything(home, settings)
            page = current_report(home, settings, settings, settings)
            assert page is not None  # the run ends with it
        else:
            note("the report is up to date")
    return page


def _run_everything(home: Home, settings: str) -> None:
    from pipelines.runtime import launch

    trained = {"config": settings}
    config = {"text_encoder": trained, "synthesis_model": trained, "evaluation": {"protocol": settings}}
    show_in_children()
    with launch.opened(home) as instance:
        outcome = launch.run(
            instance, home, "train_and_report", config=config, resources={"progress": ProgressInTurn()}
        )
    if outcome.error:
        raise TumsynError(outcome.error, "the catalogue is published; run this again, and it goes on where it stopped")


def make_centers(home: Home, extent: Extent) -> list[str]:
    """Simulate centres inside the home, unless they are there, register them, and return their identifiers."""
    from model.simulation.cohort import add_acceptance_set, register_cohort, write_cohort

    out = home.root / "phantom"
    with stage("simulate"), shown_progress() as shown, processes(os.cpu_count() or 1) as pool:
        cohort = write_cohort(
            out,
            subjects_per_center=extent.subjects_per_center,
            seed=SEED,
            resolution_mm=RESOLUTION_MM,
            centers=extent.centers,
            force=True,  # the folder is the demonstration's own: what another version made is made anew
            progress=shown("visits"),
            pool=pool,
        )
        acceptance = add_acceptance_set(
            home,
            home.root / "phantom_acceptance",
            resolution_mm=RESOLUTION_MM,
            progress=shown("acceptance set"),
            pool=pool,
        )
    registered = register_cohort(home, out)
    note(f"{len(cohort.made)} centres simulated, {len(cohort.centers) - len(cohort.made)} found as they were: {out}")
    return [*(name for name in registered if name in cohort.centers), acceptance]


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Say how long a part of the demonstration took."""
    start = time.perf_counter()
    yield
    note(f"[{name}: {time.perf_counter() - start:.0f} s]")


def _tell_what_next(home: Home) -> None:
    command, place = _short(Path(sys.executable).with_name("tumsyn")), _short(home.root)
    typer.echo(
        f"""
Everything here is simulated: it shows how the platform works, and says nothing about patients.
The catalogue is in {place}/warehouse, models, volumes and the lake beside it. Things to try next:

  {command} --home {place} sql "SELECT center_id, contrast_label, count(*) AS n_images FROM out.image_catalog \\
      WHERE eligibility = 'eligible' GROUP BY ALL ORDER BY ALL"
  {command} --home {place} sql "SELECT path, reason, detail, remedy FROM core.rejection"
  {command} --home {place} models list
  {command} --home {place} ui"""
    )


def _short(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
