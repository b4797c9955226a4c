"""How relaxation varies between simulated people: what an observer may know of a person before it sees the scan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from model.simulation.ageing import RELAXATION_SPREAD, typical_relaxation

AGES_YEARS = np.arange(5.0, 95.0, 5.0)  # of people whose age is not stated, equally likely
N_COMPONENTS = 3  # of the variation with age, which is nearly of one dimension


@dataclass(frozen=True)
class Population:
    """Logarithms of the factors of T1, T2, T2* and PD of people of one age, or of any.

    Parameters
    ----------
    mean : (n_tissues, 4) float64 array
    spread : (4,) float64 array
        Standard deviation of each, independent by tissue.
    shared : (n_components, n_tissues, 4) float64 array
        What varies in all tissues together, each component of unit variance; empty where the age is stated.
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    shared: NDArray[np.float64]


@lru_cache(maxsize=4096)
def people_of(age_years: float | None) -> Population:
    """Return the population of an age, rounded to a year; of all ages where it is None.

    Parameters
    ----------
    age_years : float or None
        Ages that the simulation does not know count as the nearest one that it does, 2 or 100.
    """
    spread = np.array(RELAXATION_SPREAD)
    if age_years is not None:
        mean = _typical(float(np.clip(round(age_years), 2, 100)))
        return Population(mean, spread, np.zeros((0, *mean.shape)))
    each = np.stack([_typical(float(age)) for age in AGES_YEARS])
    mean = each.mean(0)
    _, size, along = np.linalg.svd((each - mean).reshape(len(each), -1), full_matrices=False)
    shared = size[:N_COMPONENTS, None] * along[:N_COMPONENTS] / np.sqrt(len(each))
    return Population(mean, spread, shared.reshape(-1, *mean.shape))


@lru_cache(maxsize=128)
def _typical(age_years: float) -> NDArray[np.float64]:
    return np.asarray(np.log(typical_relaxation(age_years)))
