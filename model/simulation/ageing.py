"""Effects of age (2 to 100 years) and sex on a head.

Surfaces move along curves that were fitted to published volumes of grey and white matter: cortical grey
matter peaks at 5.9 years and falls almost linearly, white matter peaks at 28.7 and falls faster from 50 on
(Bethlehem et al. 2022, Nature 604, 525); the brain loses 0.2 % a year after 35 and 0.5 % a year at 60 (Hedman et
al. 2012, Human Brain Mapping 33, 1987). Iron of pallidum and putamen follows Hallgren & Sourander (1958, J
Neurochem 3, 41); that of the nigra is modelled on the pallidum. Skull, face, hyperintensities and the changes of T1
and T2 are construction; only their directions are published.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from model.physics.tissue import TISSUES
from model.simulation.people import Subject
from model.simulation.seeds import stream

TEMPLATE_ML = 2065.0  # intracranial volume of the template, which is larger than that of any population
ADULT_ML = {"M": 1560.0, "F": 1390.0}  # mean intracranial volumes of adults
SPREAD = 0.075  # standard deviation of volumes between persons, as a share
REFERENCE_AGE_YEARS = 40.0  # at which the tabulated relaxation values hold
RELAXATION_SPREAD = (0.025, 0.03, 0.04, 0.01)  # standard deviation of T1, T2, T2* and PD between persons, as a share

# Shifts of surfaces outwards, mm, fitted to the volumes; interpolated between ages by a monotone cubic.
AGES = (2, 4, 6, 9, 14, 20, 28, 40, 50, 60, 70, 80, 100)
PIAL_MM = (1.32, 1.33, 1.16, 0.94, 0.64, 0.51, 0.35, 0.07, -0.19, -0.46, -0.70, -0.94, -1.38)
WHITE_MM = (-0.63, -0.80, -0.79, -0.68, -0.50, -0.31, -0.19, -0.19, -0.21, -0.28, -0.38, -0.51, -0.87)
VENTRICLE_MM = (-1.2, -1.3, -1.3, -1.2, -1.1, -1.0, -0.9, -0.6, -0.2, 0.4, 1.2, 2.1, 3.2)
SPREAD_MM = (0.12, 0.06, 0.35)  # standard deviation of these shifts between persons


@dataclass(frozen=True)
class AgeEffects:
    """The differences between a subject and the template that age and sex make.

    Parameters
    ----------
    scale : (3,) array
        Size along x, y, z as a share of the template's.
    white_mm, pial_mm, ventricle_mm : float
        Shifts of the surfaces outwards.
    skull_mm, fat_mm : float
        Thickness.
    face : float
        Share by which the face is shorter.
    hyperintense : float
        Load of white matter hyperintensities: 0 for none, about 1 for a healthy person of 75.
    """

    scale: NDArray[np.float64]
    white_mm: float
    pial_mm: float
    ventricle_mm: float
    skull_mm: float
    fat_mm: float
    face: float
    hyperintense: float


def age_effects(subject: Subject) -> AgeEffects:
    """Return the effects of a subject's age and sex, with random variation between persons."""
    rng, age = stream(subject.seed, "body"), subject.age_years
    volume, width, depth, skull, fat, load = np.clip(rng.standard_normal(6), -2.5, 2.5)
    pial, white, ventricle = np.clip(rng.standard_normal(3), -2.5, 2.5) * SPREAD_MM
    grown = 1.0 - 0.175 * np.exp(-(age - 2.0) / 3.4)
    size = (ADULT_ML[subject.sex] * grown * (1 + SPREAD * volume) / TEMPLATE_ML) ** (1 / 3)
    shape = np.exp(0.02 * np.array([width, depth, -width - depth]))
    return AgeEffects(
        scale=size * shape,
        white_mm=_at(WHITE_MM, age) + float(white),
        pial_mm=_at(PIAL_MM, age) + float(pial),
        ventricle_mm=_at(VENTRICLE_MM, age) + float(ventricle),
        skull_mm=float(6.6 * (1 - 0.55 * np.exp(-(age - 2.0) / 7.0)) + 0.4 * skull),
        fat_mm=float(3.4 + 0.6 * fat),
        face=float(0.26 * np.exp(-(age - 2.0) / 6.0)),
        hyperintense=float(np.exp((age - 75.0) / 11.0 + 0.5 * load)),
    )


def _at(curve: tuple[float, ...], age_years: float) -> float:
    return float(PchipInterpolator(AGES, curve)(age_years))


def typical_relaxation(age_years: float) -> NDArray[np.float64]:
    """Return the factors by which T1, T2, T2* and PD at an age differ from the table, (n_tissues, 4), without spread.

    Myelin shortens T1 and T2 until midlife, then they lengthen (Yeatman et al. 2014, Nature Communications 5, 4932,
    find the turn between 30 and 50 years); iron shortens T2 and T2* of the nuclei.
    """
    young = np.exp(-(age_years - 2.0) / 4.5)
    old = max(age_years - 45.0, 0.0) / 40.0
    myelin = {"white_matter": (1 + 0.16 * young + 0.07 * old**2, 1 + 0.20 * young + 0.05 * old**2)}
    myelin["cortex"] = (1 + 0.05 * young - 0.03 * min(old, 1.0), 1 + 0.06 * young)
    rows = []
    for tissue in TISSUES:
        t1, t2 = myelin.get(tissue, (1.0, 1.0))
        iron = iron_ratio(tissue, age_years)
        rows.append((t1, t2 / iron**0.12, t2 / iron**0.3, 1.0))
    return np.array(rows)


def relaxation_scale(subject: Subject) -> dict[str, tuple[float, float, float, float]]:
    """Return the factors by which T1, T2, T2* and PD of each tissue of a subject differ from the table.

    They vary around those that are typical of the age, independently by tissue.
    """
    rng, typical = stream(subject.seed, "relaxation"), typical_relaxation(subject.age_years)
    scales = {}
    for tissue, usual in zip(TISSUES, typical, strict=True):
        spread = np.clip(rng.standard_normal(4), -2.5, 2.5) * RELAXATION_SPREAD
        factors = usual * (1 + spread)
        scales[tissue] = (float(factors[0]), float(factors[1]), float(factors[2]), float(min(factors[3], 1.0)))
    return scales


def iron_ratio(tissue: str, age_years: float) -> float:
    """Return the iron of a nucleus as a share of that at `REFERENCE_AGE_YEARS`."""
    curves = {"pallidum": (21.41, 0.09, 0.37), "striatum": (14.62, 0.04, 0.46), "nigra": (18.46, 0.09, 0.5)}
    if tissue not in curves:
        return 1.0
    height, rate, start = curves[tissue]

    def iron(age: float) -> float:
        return float(height * (1 - np.exp(-rate * age)) + start)

    return iron(age_years) / iron(REFERENCE_AGE_YEARS)
