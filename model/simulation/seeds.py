"""Independent random generators, each named by what it is used for."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: object, *names: object) -> np.random.Generator:
    """Return the generator of a seed and names: equal arguments give equal numbers, others independent ones.

    Parameters
    ----------
    seed : printable value
    names : printable values
        The use of the numbers, e.g. "deformation".
    """
    return np.random.Generator(np.random.PCG64(int.from_bytes(_digest(seed, *names), "big")))


def seed_of(seed: object, *names: object) -> int:
    """Return a seed of 63 bits that is derived from a seed and names.

    Examples
    --------
    >>> seed_of(1, "ab", "c") == seed_of(1, "a", "bc")
    False
    """
    return int.from_bytes(_digest(seed, *names)[:8], "big") >> 1


def _digest(*parts: object) -> bytes:
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
