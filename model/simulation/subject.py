"""Who is imaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from warehouse.errors import PhantomError

LESIONS = ("ms", "lacunes", "small_vessel", "tumour")


@dataclass(frozen=True)
class Subject:
    """One simulated person at one visit; equal subjects have equal heads.

    Parameters
    ----------
    seed : int
        Makes the anatomy; two visits of one person share it.
    age_years : float
        From 2 to 100.
    sex : {"M", "F"}
    deformation_mm : float
        Standard deviation of the displacement from the template.
    lesions : tuple of str
        Of `LESIONS`.

    Raises
    ------
    PhantomError
        For what cannot be simulated.
    """

    seed: int
    age_years: float
    sex: Literal["M", "F"]
    deformation_mm: float = 4.0
    lesions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 2 <= self.age_years <= 100:
            raise PhantomError(f"an age of {self.age_years} years cannot be simulated", "give one from 2 to 100 years")
        if self.sex not in ("M", "F"):
            raise PhantomError(f"sex {self.sex!r} cannot be simulated", "give M or F")
        if not 0 <= self.deformation_mm <= 10:
            raise PhantomError(f"a deformation of {self.deformation_mm} mm folds space", "give one from 0 to 10 mm")
        if unknown := set(self.lesions) - set(LESIONS):
            raise PhantomError(f"no such lesions: {sorted(unknown)}", f"choose from {', '.join(LESIONS)}")
