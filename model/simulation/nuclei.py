"""Deep grey nuclei, by location: the maps show them as mixtures of grey and white, or not at all.

Centres and extents were set by hand near where atlases in MNI space have the structures, and judged by eye over the
template's T1w; the atlases are not read. For them see Harvard-Oxford (thalamus, caudate, putamen, pallidum), Pauli
et al. 2018, Scientific Data 5, 180063 (substantia nigra, red nucleus) and Diedrichsen et al. 2011, NeuroImage 54,
1786 (dentate). The bodies are ellipsoids and tubes: their outlines are construction.
"""

from __future__ import annotations

import numpy as np

from model.simulation.shapes import Canvas, ellipsoid_level
from model.simulation.template import Floats, template_grid

NUCLEI = ("white_matter", "thalamus", "striatum", "pallidum", "nigra")
CAUDATE_MM = (
    (10.0, 18.0, -6.0),
    (12.5, 19.0, 5.0),
    (14.0, 9.0, 14.0),
    (16.5, -4.0, 19.0),
    (19.0, -18.0, 20.5),
    (24.0, -30.0, 17.0),
)
CAUDATE_RADII_MM = (4.5, 6.5, 5.0, 3.6, 2.8, 1.8)


def nuclei(step_mm: float) -> Floats:
    """Return the share of each of `NUCLEI` in MNI space, (5, i, j, k); white matter is the capsules."""
    canvas = Canvas(template_grid(step_mm), NUCLEI)
    _capsules(canvas)
    canvas.ellipsoid("thalamus", (10.5, -18.0, 6.5), (8.6, 15.0, 8.6), tilt_deg=8.0, both=True)
    canvas.ellipsoid("thalamus", (16.0, -27.0, 3.5), (6.5, 6.0, 6.5), both=True)  # pulvinar
    canvas.tube("striatum", CAUDATE_MM, CAUDATE_RADII_MM, both=True)
    canvas.ellipsoid("striatum", (25.0, 3.0, 2.0), (5.6, 16.0, 10.5), both=True)  # putamen
    canvas.ellipsoid("striatum", (11.0, 12.0, -7.5), (5.5, 5.5, 4.0), both=True)  # accumbens
    canvas.ellipsoid("pallidum", (19.5, -3.0, 0.0), (4.6, 9.0, 6.8), both=True)
    canvas.ellipsoid("nigra", (10.5, -17.5, -12.0), (2.4, 6.5, 3.6), tilt_deg=25.0, both=True)
    canvas.ellipsoid("nigra", (5.2, -20.5, -9.0), (2.9, 3.0, 3.6), both=True)  # red nucleus
    canvas.ellipsoid("nigra", (15.0, -57.0, -34.0), (6.0, 7.5, 4.2), both=True)  # dentate: a crumpled sheet
    canvas.ellipsoid("white_matter", (14.2, -56.0, -33.2), (4.6, 6.0, 2.9), both=True)
    return canvas.fractions


def _capsules(canvas: Canvas) -> None:
    x, y, z = canvas.grid.axes_mm()
    for side in (-1.0, 1.0):
        block = ellipsoid_level(x, y, z, (side * 18.5, -4.0, 4.0), (13.0, 27.0, 15.0))
        canvas.level("white_matter", np.minimum(block, 3.0))
