"""Structures that the template's maps do not show, built from ellipsoids and tubes: nuclei, vessels, skull, face, neck.

Deep grey nuclei: centres and extents were set by hand near where atlases in MNI space have the structures, and checked
by eye over the template's T1w; the atlases are not read. For them see Harvard-Oxford (thalamus, caudate, putamen,
pallidum), Pauli et al. 2018, Scientific Data 5, 180063 (substantia nigra, red nucleus) and Diedrichsen et al. 2011,
NeuroImage 54, 1786 (dentate).

Large vessels: tubes along the points of `vessels.csv` (MNI space, RAS+, mm; the right one of each pair). Courses are
drawn through landmarks: siphons beside the sella, the basilar on the clivus, the circle in the suprasellar cistern,
middle cerebrals into the Sylvian fissures, anterior cerebrals around the genu, sinuses along the inner table. Calibres
are usual in adults: carotid 4-5 mm, basilar 3-4, middle cerebral 2.5-3, anterior and posterior cerebral 2, superior
sagittal sinus 5-8 mm across.

Skull and scalp follow the dura at thicknesses that are usual in adults (skull 6-7 mm, scalp 5-7 mm). Face and neck are
placed about the landmarks of a head in MNI space: nasion (0, 86, -40), ears (±86, -20, -48), inion (0, -118, -23),
eyes at (±33, 60, -40).

All outlines, courses and thicknesses are construction, set by hand and checked by eye.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
from scipy import ndimage

from model.simulation.shapes import Canvas, ellipsoid_level, smooth_noise, tube_level, union
from model.simulation.template import (
    COARSE_MM,
    Floats,
    intracranial_level,
    resampled,
    signed_distance_mm,
    template_grid,
)

NUCLEI = ("white_matter", "thalamus", "striatum", "pallidum", "nigra")
CAUDATE_MM = ((10, 18, -6), (12.5, 19, 5), (14, 9, 14), (16.5, -4, 19), (19, -18, 20.5), (24, -30, 17))
CAUDATE_RADII_MM = (4.5, 6.5, 5.0, 3.6, 2.8, 1.8)


def nuclei(step_mm: float) -> Floats:
    """Return the share of each of `NUCLEI` in MNI space, (5, i, j, k); its white matter is that of the capsules."""
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
    canvas.ellipsoid("nigra", (15.0, -57.0, -34.0), (6.0, 7.5, 4.2), both=True)  # dentate, with white matter inside
    canvas.ellipsoid("white_matter", (14.2, -56.0, -33.2), (4.6, 6.0, 2.9), both=True)
    return canvas.fractions


def _capsules(canvas: Canvas) -> None:
    x, y, z = canvas.grid.axes_mm()
    for side in (-1.0, 1.0):
        block = ellipsoid_level(x, y, z, (side * 18.5, -4.0, 4.0), (13.0, 27.0, 15.0))
        canvas.level("white_matter", np.minimum(block, 3.0))


TABLE = Path(__file__).with_name("vessels.csv")
BLOOD = ("artery", "vein")
PLEXUS_SHARE = 0.35  # share of blood in the choroid plexus


@dataclass(frozen=True)
class Vessel:
    """One vessel, or the right one of a pair: points along it, mm, and its radius at each."""

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


OUTER = ("fat", "muscle", "skin", "bone", "marrow", "vitreous", "dura", "csf", "white_matter", "air")
EYE_Y_MM = 60.0
SKULL_MM, SCALP_MM = 7.0, 6.0
# Muscles of the neck, right side: points along each (RAS+, mm) and its radius.
MUSCLES: tuple[tuple[tuple[tuple[float, float, float], ...], float], ...] = (
    (((10, -64, -62), (11, -66, -90), (11, -66, -140)), 9.0),  # semispinalis
    (((26, -66, -58), (22, -70, -90), (14, -74, -140)), 8.0),  # splenius
    (((46, -50, -60), (38, -48, -90), (36, -50, -140)), 8.0),  # levator of the scapula
    (((24, -30, -84), (28, -28, -110), (34, -28, -140)), 8.5),  # scalenes
    (((7, -14, -72), (8, -13, -100), (9, -12, -140)), 5.0),  # long muscles before the spine
    (((56, -36, -62), (46, -14, -98), (30, 6, -140)), 8.5),  # sternocleidomastoid
    (((15, -50, -66), (13, -46, -84)), 7.0),  # below the occiput
    (((6, -84, -60), (14, -86, -100), (30, -80, -140)), 5.0),  # trapezius
    (((26, 20, -100), (18, 30, -116), (12, 26, -140)), 7.0),  # before the larynx
)


def surroundings(step_mm: float) -> Floats:
    """Return the structures of face, base and neck in MNI space: the share of each of `OUTER`, (10, i, j, k).

    Where their sum is below 1, `Drawing` adds skull or soft tissue depending on depth.
    """
    canvas = Canvas(template_grid(step_mm), OUTER)
    _soft_tissue(canvas, skin_level(step_mm))
    _bones(canvas)
    _sinuses(canvas)
    _airway(canvas)
    for side in (-1.0, 1.0):
        _orbit(canvas, side)
    _neck(canvas)
    return canvas.fractions


@lru_cache(maxsize=4)
def skin_level(step_mm: float) -> Floats:
    """Return the depth below the skin, mm: a smooth union of cranium, face, jaw, neck, nose and ears."""
    coarse = template_grid(COARSE_MM)
    x, y, z = coarse.axes_mm()
    bodies = [
        intracranial_level(COARSE_MM) + np.float32(SKULL_MM + SCALP_MM),
        ellipsoid_level(x, y, z, (0, 34, -52), (67, 50, 44)),  # upper face, base
        ellipsoid_level(x, y, z, (0, 50, -88), (46, 37, 46)),  # jaws
        ellipsoid_level(x, y, z, (0, 68, -112), (22, 18, 16)),  # chin
    ]
    for side in (-1.0, 1.0):
        bodies += [
            ellipsoid_level(x, y, z, (side * 40, 52, -70), (25, 30, 26)),  # cheek
            ellipsoid_level(x, y, z, (side * 48, 12, -85), (19, 32, 34)),  # angle of the jaw
            ellipsoid_level(x, y, z, (side * 56, 22, -8), (24, 32, 34)),  # temple
            ellipsoid_level(x, y, z, (side * 33, 68, -26), (19, 14, 8)),  # brow
        ]
    neck_at = -34 + 0.12 * (z + 60)
    neck = 1.0 - np.hypot(x / 57, (y - neck_at) / 62)
    bodies.append(np.where(z < -38, neck * 57, -60.0 + 0 * neck).astype(np.float32))
    head = union(bodies, 14.0)
    nose = [
        tube_level(x, y, z, (0, 82, -42), (0, 100, -74), (6, 11)),
        ellipsoid_level(x, y, z, (0, 90, -78), (15, 13, 9)),
    ]
    ears = [ellipsoid_level(x, y, z, (side * 84, -28, -42), (9, 14, 27), -15) for side in (-1.0, 1.0)]
    head = union([head, union(nose, 8.0), *ears], 5.0)
    level = signed_distance_mm(ndimage.gaussian_filter(head, 1.5) > 0, COARSE_MM, 90.0)
    smooth = np.asarray(ndimage.gaussian_filter(level, 0.7), np.float32)
    return resampled(smooth, coarse.affine, template_grid(step_mm))


def _soft_tissue(canvas: Canvas, skin: Floats) -> None:
    """Paint muscles in fat, below the base of the skull and in the temples."""
    grid = canvas.grid
    _, y, z = grid.axes_mm()
    rng = np.random.Generator(np.random.PCG64(20090104))
    streaks = smooth_noise(grid.shape, rng, max(2, round(5 / grid.step_mm)))
    inner = intracranial_level(grid.step_mm)
    below = np.clip((-inner - 8.0) / 4.0, 0, 1) * np.clip((-34.0 - z + 0.10 * (y + 30)) / 8.0, 0, 1)
    deep = np.clip((skin - 7.0) / 3.0, 0, 1) * below
    everywhere = np.full(grid.shape, 9.0, np.float32)
    canvas.level("muscle", everywhere, deep)
    canvas.level("fat", everywhere, deep * np.clip(0.13 + 0.07 * streaks, 0, 0.6))
    for points, radius in MUSCLES:
        canvas.tube("muscle", points, radius, share=0.93, both=True)
    for side in (-1.0, 1.0):
        box, axes = canvas.box((side * 71, 16, -14), (11, 30, 36))
        temple = ellipsoid_level(*axes, (side * 71, 16, -14), (11, 30, 36))
        canvas.level("muscle", np.minimum(temple, skin[box] - 6.5), 0.95, box)
    canvas.ellipsoid("muscle", (57, 18, -82), (8, 16, 26), share=0.95, both=True)  # masseter
    canvas.ellipsoid("fat", (58, -8, -78), (9, 13, 20), share=0.5, both=True)  # parotid
    canvas.ellipsoid("muscle", (38, 14, -68), (13, 16, 18), share=0.95, both=True)  # pterygoids
    canvas.ellipsoid("fat", (44, 36, -72), (10, 14, 16), share=0.85, both=True)  # cheek


def _bones(canvas: Canvas) -> None:
    """Paint facial skeleton, base and jaw: compact bone around marrow."""
    for grow, tissue in ((0.0, "bone"), (-2.0, "marrow")):
        canvas.tube(
            tissue, [(31, 22, -86), (46, 14, -98), (44, 36, -112), (24, 62, -118), (0, 70, -119)], 7.0 + grow, both=True
        )
        canvas.tube(tissue, [(48, 10, -58), (48, 12, -80), (46, 14, -98)], 6.0 + grow, both=True)  # ramus
        canvas.tube(tissue, [(66, -6, -52), (66, 20, -54), (52, 50, -54)], 4.2 + grow, both=True)  # zygomatic arch
        canvas.ellipsoid(tissue, (47, 54, -56), (9 + grow, 9 + grow, 11 + grow), both=True)  # zygoma
        canvas.ellipsoid(tissue, (0, -12, -47), (12 + grow, 6 + grow, 17 + grow), tilt_deg=-25.0)  # clivus
        canvas.ellipsoid(tissue, (0, 58, -86), (27 + grow, 20 + grow, 10 + grow))  # upper jaw
        canvas.ellipsoid(tissue, (36, -24, -46), (24 + grow, 9 + grow, 9 + grow), both=True)  # petrous pyramids
        canvas.ellipsoid(tissue, (26, 22, -38), (24 + grow, 9 + grow, 6 + grow), both=True)  # greater wings
    canvas.ellipsoid("bone", (0, 62, -97), (24, 14, 7))  # teeth
    canvas.ellipsoid("bone", (0, 62, -108), (21, 12, 6))
    canvas.ellipsoid("marrow", (0, 3, -32), (5, 5, 4))  # hypophysis, as bright as marrow


def _sinuses(canvas: Canvas) -> None:
    """Paint the air of the sinuses with mucosa and bone around it."""
    chambers = (
        ((32, 48, -68), (13, 16, 17)),  # maxillary
        ((8, 20, -42), (7.5, 13, 9)),  # sphenoid
        ((9, 78, -24), (8, 4.5, 10)),  # frontal
        ((7, 52, -42), (5, 19, 10)),  # ethmoid
    )
    for center, radii in chambers:
        canvas.ellipsoid("bone", center, [radius + 2.2 for radius in radii], both=True)
        canvas.ellipsoid("muscle", center, [radius + 1.0 for radius in radii], both=True)
        canvas.ellipsoid("air", center, radii, both=True)
    for step in range(4):  # walls of the ethmoid cells
        canvas.ellipsoid("muscle", (7, 40 + 8 * step, -42), (5.5, 0.9, 10), both=True)
    canvas.ellipsoid("bone", (56, -36, -52), (11, 15, 17), both=True)  # mastoid cells
    canvas.ellipsoid("air", (56, -36, -52), (9.5, 13, 15), share=0.55, both=True)
    canvas.tube("air", [(92, -22, -45), (62, -22, -44)], 2.8, both=True)  # ear canal


def _airway(canvas: Canvas) -> None:
    """Paint nose, throat and mouth."""
    canvas.tube("skin", [(0, 84, -50), (0, 97, -74)], (3.5, 7.0))  # cartilage of the nose
    canvas.ellipsoid("muscle", (0, 83, -97), (24, 6, 11), share=0.8)  # lips
    canvas.ellipsoid("muscle", (0, 46, -102), (21, 32, 20), tilt_deg=-8.0)  # tongue
    canvas.ellipsoid("fat", (0, 44, -104), (14, 22, 12), share=0.25)
    canvas.ellipsoid("bone", (0, 52, -80), (20, 28, 2.2))  # hard palate
    canvas.ellipsoid("muscle", (0, 50, -62), (16, 36, 17))  # mucosa
    canvas.ellipsoid("air", (6, 50, -62), (4.5, 33, 15), both=True)
    canvas.ellipsoid("muscle", (7.5, 48, -70), (3.4, 24, 4.6), both=True)  # conchae
    canvas.ellipsoid("muscle", (7, 46, -58), (2.8, 20, 4.2), both=True)
    canvas.tube("air", [(6, 93, -84), (6, 76, -74)], 3.5, both=True)  # nostrils
    canvas.tube("air", [(0, 16, -64), (0, 10, -82), (0, 8, -104), (0, 14, -126)], (7.5, 7.0, 6.0, 7.0))


def _orbit(canvas: Canvas, side: float) -> None:
    """Paint the orbit of a side: fat, globe with lens, muscles and nerve."""
    y = EYE_Y_MM
    apex = (side * 15, y - 41, -34)
    canvas.tube("bone", [(side * 33, y + 4, -40), (side * 31, y - 13, -39), apex], (18.5, 18.0, 6.0))
    canvas.tube("fat", [(side * 33, y + 9, -40), (side * 31, y - 12, -39), apex], (16.5, 16.0, 4.5))
    for across, above in ((0, 10), (0, -10), (10, 0), (-10, 0)):  # the straight muscles
        middle = (side * 27 + 0.8 * across, y - 21, -38 + 0.8 * above)
        canvas.tube("muscle", [(side * 33 + across, y - 5, -40 + above), middle, apex], (1.6, 2.4, 1.6))
    canvas.tube("csf", [(side * 32, y - 11, -40), apex, (side * 8, 12, -27)], 2.9)
    canvas.tube("white_matter", [(side * 32, y - 11, -40), apex, (side * 8, 12, -27), (0, 5, -22)], 1.8)
    canvas.ellipsoid("dura", (side * 33, y, -40), (12.8, 12.8, 12.8))
    canvas.ellipsoid("vitreous", (side * 33, y, -40), (11.8, 11.8, 11.8))
    canvas.ellipsoid("muscle", (side * 33, y + 8, -40), (4.6, 2.2, 4.6))  # lens
    canvas.ellipsoid("skin", (side * 33, y + 15.5, -40), (16, 3.0, 13))  # lids


def _neck(canvas: Canvas) -> None:
    """Paint vertebrae, the spinal cord and the fluid around it, up through the foramen magnum."""
    canal = [(0, -40, -60), (0, -42, -84), (0, -44, -126)]
    canvas.tube("bone", [(0, -36, -74), (0, -38, -84)], (17.0, 17.0))  # atlas, axis
    for height in (-86.0, -104.0, -122.0):
        canvas.ellipsoid("bone", (0, -25, height), (13.5, 9.5, 7.6))
        canvas.ellipsoid("marrow", (0, -25, height), (12.0, 8.0, 6.4))
        canvas.tube("bone", [(0, -52, height - 3), (0, -74, height - 9)], (4.5, 4.0))
        canvas.tube("marrow", [(0, -54, height - 3), (0, -72, height - 9)], (2.6, 2.4))
    canvas.ellipsoid("marrow", (0, -24, -72), (5, 5, 9))  # dens
    canvas.tube("fat", canal, 11.8)
    canvas.tube("csf", canal, 11.0)
    canvas.tube("white_matter", canal, (7.5, 6.0, 5.8))
