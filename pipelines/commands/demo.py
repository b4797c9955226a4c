"""Define `tumsyn demo`, which runs the whole platform on simulated centres, from their folders to a report."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
import yaml

from pipelines.commands.harmonize import harmonize_centers
from pipelines.commands.ingest import ingest_centers
from pipelines.commands.output import note
from pipelines.runtime.progress import display_in_turn, show_in_children, shown_progress
from pipelines.runtime.shipped import try_shipped_weights
from warehouse.errors import TumsynError
from warehouse.harmonize.pool import n_cpus, processes
from warehouse.lake import atomic
from warehouse.lake.home import Home

if TYPE_CHECKING:
    import dagster as dg

RESOLUTION_MM = 3.0
RECIPE = "draft"
SEED = 1


@dataclass(frozen=True)
class Profile:
    """Size of a demonstration.

    Parameters
    ----------
    centers : tuple of str, optional
        Centres, by the names of the real ones; default: all of them.
    subjects_per_center : int
        People in each of them.
    settings : str
        Name of the configurations of both networks, and of the protocol of their evaluation.
    """

    centers: tuple[str, ...] | None
    subjects_per_center: int
    settings: str


PROFILES = {
    "full": Profile(None, 2, "demo"),
    # Three internal centres, of which two have people in a test split, and an external one.
    "quick": Profile(("camcan", "ixi", "lemon", "ucsf_pdgm"), 2, "quick"),
}


def demo(
    ctx: typer.Context,
    profile: Annotated[
        Literal["full", "quick"], typer.Option(help="full: thirteen centres; quick: four of them, for CI.")
    ] = "full",
) -> None:
    """Simulate centres, ingest, harmonise and publish them, train both networks, evaluate them, and report.

    At the end, the weights that ship turn a simulated scan at 1 mm into another contrast, and where TUMSYN_SAMPLES
    names the folder of real samples, that of a real person whom they never saw; the report shows it.

    Everything is written into the home. What exists and has not changed is not made again.
    """
    home: Home = ctx.obj
    write_operations(home, PROFILES[profile])
    names = make_centers(home, PROFILES[profile])
    with stage("ingest"):
        ingest_centers(home, names)
    with stage("harmonise"):
        harmonize_centers(home, names, {"recipe": RECIPE})
    settings = PROFILES[profile].settings
    page = train_all(home, settings)
    from pipelines.runtime.reports import headline, rewrite_report

    with stage("weights that ship"), shown_progress() as shown:
        if try_shipped_weights(home, shown):
            rewrite_report(home, page, settings)
    _show_next_steps(home)
    typer.echo(f"\n{headline(home, page, settings)}\nreport: {_short(page)}")


def write_operations(home: Home, profile: Profile) -> None:
    """Make what is started in the browser as quick as the demonstration, unless the home has settings already."""
    from pipelines.runtime.operations import path_of

    if path_of(home).exists():
        return
    names = dict.fromkeys(("text_encoder_config", "synthesis_config", "protocol"), profile.settings)
    settings = {"arrival": {"recipe": RECIPE}, "retraining": names}
    atomic.write_text(path_of(home), yaml.safe_dump(settings, sort_keys=False))


def train_all(home: Home, settings: str) -> Path:
    """Train both networks, evaluate and report them in one run, unless the report exists; return its path.

    Parameters
    ----------
    settings : str
        Name of the configurations of both networks, and of the protocol of their evaluation.

    Raises
    ------
    TumsynError
        When a step fails, or a model fails a gate.
    """
    from pipelines.runtime.reports import current_report

    with stage("train, evaluate and report"):
        if page := current_report(home, settings, settings, settings):
            note("the report is up to date")
            return page
        from pipelines.runtime import launch

        network = {"config": settings}
        protocol = {"protocol": settings}
        config = {"text_encoder": network, "text_encoder_retrieval": protocol}
        config |= {"synthesis_model": network, "evaluation": protocol}
        show_in_children()
        with launch.opened(home) as instance:
            resources = {"progress": display_in_turn}
            outcome = launch.run(instance, home, "train_all", config=config, resources=resources)
            if outcome.error:
                remedy = "the catalogue is published; run this again, and it continues where it stopped"
                raise TumsynError(outcome.error, remedy)
            return written_report(instance)


def written_report(instance: dg.DagsterInstance) -> Path:
    """Return the page that the last run wrote, also if other data were published meanwhile."""
    from pipelines.assets.models import REPORT

    event = instance.get_latest_materialization_event(REPORT)
    assert event is not None and event.asset_materialization is not None  # noqa: PT018 - the run ends with it
    return Path(str(event.asset_materialization.metadata["path"].value))


def make_centers(home: Home, profile: Profile) -> list[str]:
    """Simulate centres inside the home, unless they are there, register them, and return their identifiers."""
    from model.simulation.cohort import add_acceptance_set, register_cohort, write_cohort

    out = home.root / "phantom"
    with stage("simulate"), shown_progress() as shown, processes(n_cpus()) as pool:
        cohort = write_cohort(
            out,
            subjects_per_center=profile.subjects_per_center,
            seed=SEED,
            resolution_mm=RESOLUTION_MM,
            centers=profile.centers,
            force=True,  # the folder belongs to the demonstration: centres of another version are replaced
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
    """Show how long a part of the demonstration took."""
    start = time.perf_counter()
    yield
    note(f"[{name}: {time.perf_counter() - start:.0f} s]")


def _show_next_steps(home: Home) -> None:
    command, place = _short(Path(sys.executable).with_name("tumsyn")), _short(home.root)
    typer.echo(
        f"""
Everything here is simulated: it shows how the platform works, and nothing about patients.
The catalogue is in {place}/warehouse, models, volumes and the lake beside it. Things to try next:

  {command} --home {place} sql "SELECT center_id, contrast_label, count(*) AS n_images FROM out.image_catalog \\
      WHERE eligibility = 'eligible' GROUP BY ALL ORDER BY ALL"
  {command} --home {place} sql "SELECT path, reason, detail, remedy FROM core.rejection"
  {command} --home {place} models list
  {command} --home {place} ui"""
    )


def _short(path: Path) -> str:
    """Return a path relative to the working directory if it lies below it, quoted for a shell."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
