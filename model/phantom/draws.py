"""Random numbers that depend on names alone: the same names give the same numbers, in any order, on any worker."""

from __future__ import annotations

import hashlib

import numpy as np


def seed_of(*names: object) -> int:
    """Return a seed of 63 bits for names.

    Parameters
    ----------
    *names : object
        What the numbers are for, e.g. the cohort's seed, "noise" and the path of a scan; told apart by their text.

    Examples
    --------
    >>> seed_of(1, "noise") == seed_of(1, "noise"), seed_of(1, "noise") == seed_of(1, "pose")
    (True, False)
    """
    text = "\0".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*names: object) -> np.random.Generator:
    """Return a generator for names (PCG64 seeded by SHA-256)."""
    return np.random.Generator(np.random.PCG64(seed_of(*names)))
