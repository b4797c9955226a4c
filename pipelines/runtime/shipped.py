"""Apply the shipped weights to a simulated and a real head at 1 mm that they were not trained on, for the report."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.runtime.progress import Report
from warehouse.lake import atomic
from warehouse.lake.home import Home

if TYPE_CHECKING:
    from model.report.shipped import Wish

SAMPLES = "TUMSYN_SAMPLES"  # folder of real scans, as the tests name it
PEOPLE = "images/brats2021/*"  # below it: folders with T1w, T2w and FLAIR of a person on one grid
FOLDER, PICTURE, MADE_OF = "shipped", "examples.png", "made_of.json"


def picture_of(home: Home) -> Path | None:
    """Return the picture of the weights that ship; None where a home has none."""
    path = home.reports / FOLDER / PICTURE
    return path if path.is_file() else None


def try_shipped_weights(home: Home, shown: Callable[[str], Report]) -> bool:
    """Make scans of heads at 1 mm with the weights that ship, and draw them; return whether anything was made.

    Scans that were made of the same heads with the same weights are kept. Without weights nothing is made.

    Parameters
    ----------
    home : Home
        Scans are written into its ``phantom_1mm/`` and ``reports/shipped/``.
    shown : callable
        Returns the report of a step by its name.

    Raises
    ------
    TumsynError
        When a scan cannot be made or used.
    """
    from model.networks.checkpoint import read_config
    from model.networks.weights import shipped
    from model.report.shipped import draw, make_examples

    weights, folder = shipped("synthesis"), home.reports / FOLDER
    if weights is None:
        return False
    wishes = [*_simulated(home.root / "phantom_1mm"), *_real(weights)]
    made_of = {"model_id": read_config(weights)["model_id"], "scans": [str(one.source) for one in wishes]}
    if picture_of(home) and _read(folder / MADE_OF) == made_of:
        return False
    from model.inference.synthesize import load_synthesizer

    rows = make_examples(home, load_synthesizer(home, weights), wishes, folder, shown)
    atomic.write_bytes(folder / PICTURE, draw(rows))
    atomic.write_text(folder / MADE_OF, json.dumps(made_of))
    return True


def _simulated(folder: Path) -> list[Wish]:
    """Return the T1w of a simulated whole head at 1 mm, of which a T2w is wanted."""
    from model.report.shipped import Wish
    from model.simulation.visit import demonstration_visit

    t1w, t2w = demonstration_visit(folder)
    return [Wish(t1w, "T2w", t2w, "simulated head")]


def _real(weights: Path) -> list[Wish]:
    """Return the T1w of a real person whom the weights never saw, of which T2w and FLAIR are wanted."""
    from model.report.shipped import Wish, was_seen

    named = os.environ.get(SAMPLES)
    for person in sorted(Path(named).glob(PEOPLE)) if named else []:
        scans = {contrast: person / f"{contrast}.nii.gz" for contrast in ("T1w", "T2w", "FLAIR")}
        if all(scan.is_file() and not was_seen(weights, scan) for scan in scans.values()):
            whose = f"real person, {person.name}"
            return [Wish(scans["T1w"], contrast, scans[contrast], whose) for contrast in ("T2w", "FLAIR")]
    return []


def _read(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
