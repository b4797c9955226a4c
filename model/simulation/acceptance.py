"""The acceptance set: simulated people by whom the gates of a demonstration are judged, and on whom nothing is trained.

A demonstration tests too few people for an interval. Twelve more are simulated once, as one centre whose definition
fixes its split, and go through ingest, harmonisation and the catalogue as all others do.
"""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path

from model.simulation.cohort import Progress, write_cohort
from warehouse.centers.registry import load_center, register
from warehouse.lake.home import Home

CENTER_ID = "phantom_acceptance"
LAYOUT = "lemon"  # a T1w, a T2w and a FLAIR of everybody
N_PEOPLE = 12
SEED = 7_001  # no cohort of the demonstration has it


def add_acceptance_set(
    home: Home, out: Path, *, resolution_mm: float, progress: Progress | None = None, pool: Executor | None = None
) -> str:
    """Simulate the acceptance set unless it is there, and register it as a centre of the split `acceptance`.

    Parameters
    ----------
    home : Home
    out : Path
        Folder of its own; what was made there by other code or settings is made anew.
    resolution_mm : float
    progress, pool : optional
        As `write_cohort` has them.

    Returns
    -------
    str
        Identifier of the centre.
    """
    made = write_cohort(
        out,
        subjects_per_center=N_PEOPLE,  # the layout leaves the travelling subject out
        seed=SEED,
        resolution_mm=resolution_mm,
        centers=[LAYOUT],
        force=True,
        progress=progress,
        pool=pool,
    )
    [simulated] = made.centers
    center = load_center(out / f"{simulated}.yaml")
    layout = center.layout.model_copy(update={"persons": {}})
    named = {"center_id": CENTER_ID, "title": "Acceptance set (simulated)", "split": "acceptance", "layout": layout}
    register(home, center.model_copy(update=named), out / simulated)
    return CENTER_ID
