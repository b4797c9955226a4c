"""Define `tumsyn phantom`, which simulates thirteen centres with known ground truth, each in its published layout."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from pipelines.commands.output import note
from pipelines.runtime.progress import shown_progress
from warehouse.errors import PhantomError
from warehouse.lake.home import Home


def phantom(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder to write into; it is made where absent.")],
    subjects_per_center: Annotated[int, typer.Option(min=1, help="People in each centre.")] = 2,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    resolution: Annotated[
        float, typer.Option(help="Voxel size of the heads, and smallest voxel side of any image, mm, from 0.8 to 6.")
    ] = 1.0,
    centers: Annotated[
        str | None, typer.Option(help="Comma-separated, by the names of the real ones, e.g. ixi,adni; all by default.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one per CPU by default.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace centres that were made with other settings.")] = False,
    register: Annotated[
        bool, typer.Option("--register", help="Register all centres of OUT in this home, for ingest.")
    ] = False,
) -> None:
    """Write simulated centres with known ground truth, in the layouts of the real ones.

    OUT/phantom_truth.csv describes every scan, OUT/phantom_defects.csv lists the deliberate defects, and OUT/truth
    holds the maps of every head. Centres that exist with the same settings are left as they are.
    """
    from model.simulation.cohort import register_cohort, write_cohort
    from model.simulation.people import enrol

    home: Home = ctx.obj
    if out.exists() and not out.is_dir():
        raise PhantomError(f"{out} is a file", "give a folder with --out")
    enrol("ixi", subjects_per_center, seed)  # refuses a number that is too large before anything is written
    start = time.perf_counter()
    with shown_progress() as shown:
        cohort = write_cohort(
            out,
            subjects_per_center=subjects_per_center,
            seed=seed,
            resolution_mm=resolution,
            centers=[name.strip() for name in centers.split(",")] if centers else None,
            workers=workers,
            force=force,
            progress=shown("visits"),
        )
    left = len(cohort.centers) - len(cohort.made)
    note(f"{out}: {len(cohort.made)} centres made, {left} left as they were, {time.perf_counter() - start:.1f} s")
    if register:
        names = register_cohort(home, out)
        note(f"registered {', '.join(names)}; next: tumsyn ingest")
    elif cohort.centers:
        name = cohort.centers[0]
        note(f"next: tumsyn centers add {name} --definition {out / name}.yaml --root {out / name}; or --register")
