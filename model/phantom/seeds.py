"""Independent streams of random numbers, each named by what it decides."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *names: object) -> np.random.Generator:
    """Return the generator of a seed and names: equal ones give equal numbers, others independent ones.

    Parameters
    ----------
    seed : int
    names : printable values
        What the numbers are for, as ("deformation",).
    """
    text = "\x1f".join([str(seed), *(str(name) for name in names)])
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")))
