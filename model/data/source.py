"""One input of a synthesis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warehouse.prompts.record import PromptRecord


@dataclass(frozen=True)
class Source:
    """A scan that a model is given.

    Parameters
    ----------
    voxels : (i, j, k) float32 array
        Network intensities (`BrainScale`), RAS+.
    mask : (i, j, k) bool array
        Brain.
    record : PromptRecord
        What is known of the scan.
    """

    voxels: NDArray[np.float32]
    mask: NDArray[np.bool_]
    record: PromptRecord
