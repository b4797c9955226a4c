"""Large vessels as tubes along the points of `vessels.csv` (MNI space, RAS+, mm; the right one of each pair).

Courses and calibres are construction. Courses are drawn through landmarks: siphons beside the sella, the basilar on
the clivus, the circle in the suprasellar cistern, middle cerebrals into the Sylvian fissures, anterior cerebrals
around the genu, sinuses along the inner table. Calibres are what is usual in adults: carotid 4–5 mm, basilar 3–4,
middle cerebral 2.5–3, anterior and posterior cerebral 2, superior sagittal sinus 5–8 mm across.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

from model.simulation.shapes import Canvas
from model.simulation.template import Floats, template_grid

TABLE = Path(__file__).with_name("vessels.csv")
BLOOD = ("artery", "vein")
PLEXUS_SHARE = 0.35  # of blood in the choroid plexus


@dataclass(frozen=True)
class Vessel:
    """One vessel, or one of a pair: points along it, mm, and its radius at each."""

    name: str
    blood: str
    is_paired: bool
    points_mm: tuple[tuple[float, float, float], ...]
    radii_mm: tuple[float, ...]


@lru_cache(maxsize=1)
def courses() -> tuple[Vessel, ...]:
    """Return all vessels of the table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    vessels = []
    for name, group in groupby(rows, key=lambda row: row["vessel"]):
        points = list(group)
        places = tuple((float(row["x_mm"]), float(row["y_mm"]), float(row["z_mm"])) for row in points)
        radii = tuple(float(row["radius_mm"]) for row in points)
        vessels.append(Vessel(name, points[0]["blood"], points[0]["is_paired"] == "1", places, radii))
    return tuple(vessels)


def vessels(step_mm: float) -> Floats:
    """Return the share of arterial and of venous blood in MNI space, (2, i, j, k)."""
    canvas = Canvas(template_grid(step_mm), BLOOD)
    for vessel in sorted(courses(), key=lambda vessel: vessel.blood, reverse=True):  # arteries cover veins
        canvas.tube(vessel.blood, vessel.points_mm, vessel.radii_mm, both=vessel.is_paired)
    canvas.ellipsoid("vein", (22.0, -40.0, 4.0), (3.5, 5.0, 6.0), share=PLEXUS_SHARE, both=True)
    return canvas.fractions
