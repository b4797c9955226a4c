"""The tissues of the phantom: relaxation values at a field strength, and the effect of gadolinium on them.

The order of `TISSUES` is the order of channels in every array of fractions. Air is what is missing to a sum of 1 and
gives no signal. The values and their sources are in `relaxation.csv`.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from warehouse.errors import PhysicsError

TISSUES = (
    *("csf", "cortex", "white_matter", "thalamus", "striatum", "pallidum", "nigra"),
    *("fat", "muscle", "skin", "bone", "marrow", "vitreous", "artery", "vein", "dura"),
    *("plaque", "hyperintensity", "lacune", "oedema", "tumour", "necrosis"),
)

N_TISSUES = len(TISSUES)
FIELD_RANGE_T = (1.0, 4.0)
"""Field strengths to which the two tabulated ones may be inter- or extrapolated, tesla."""

TABLE = Path(__file__).with_name("relaxation.csv")


@dataclass(frozen=True)
class Properties:
    """Relaxation times, proton density and susceptibility; (..., n_tissues) float64 each, in the order of `TISSUES`.

    Parameters
    ----------
    t1_s, t2_s, t2star_s : (..., n_tissues) Tensor
        Relaxation times, seconds.
    pd : (..., n_tissues) Tensor
        Proton density, 1 for cerebrospinal fluid.
    chi_ppm : (..., n_tissues) Tensor
        Magnetic susceptibility relative to cerebrospinal fluid, ppm (SI).

    Raises
    ------
    PhysicsError
        For a value that is not finite or not positive (susceptibility may be negative).
    """

    t1_s: Tensor
    t2_s: Tensor
    t2star_s: Tensor
    pd: Tensor
    chi_ppm: Tensor

    def __post_init__(self) -> None:
        for name in ("t1_s", "t2_s", "t2star_s", "pd"):
            values = getattr(self, name)
            if not bool(((values > 0) & torch.isfinite(values)).all()):
                raise PhysicsError(f"{name} holds a value that is not positive", "give finite times and densities > 0")
        if not bool(torch.isfinite(self.chi_ppm).all()):
            raise PhysicsError("chi_ppm holds a value that is not finite", "give susceptibilities in ppm")


class HasRelaxation(Protocol):
    """What the signal equations take, of tissues or of voxels: `Properties` without the susceptibility, unchecked."""

    @property
    def t1_s(self) -> Tensor:
        """Longitudinal relaxation time, seconds."""

    @property
    def t2_s(self) -> Tensor:
        """Transverse relaxation time of an echo that is refocused, seconds."""

    @property
    def t2star_s(self) -> Tensor:
        """Transverse relaxation time of one that is not, seconds."""

    @property
    def pd(self) -> Tensor:
        """Proton density, 1 for cerebrospinal fluid."""


@lru_cache(maxsize=1)
def rows() -> tuple[dict[str, str], ...]:
    """Return the rows of `relaxation.csv` as text, sources included."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def column(name: str, field_strength_t: float) -> Tensor:
    """Return one column of the table at a tabulated field, (n_tissues,) float64 in the order of `TISSUES`."""
    found = {row["tissue"]: float(row[name]) for row in rows() if float(row["field_strength_t"]) == field_strength_t}
    return torch.tensor([found[tissue] for tissue in TISSUES], dtype=torch.float64, device="cpu")  # of any default


def spread() -> Tensor:
    """Return the standard deviation between people as a share of the value, (n_tissues,) float64."""
    return column("sd_relative", 3.0)


@lru_cache(maxsize=64)
def properties(field_strength_t: float) -> Properties:
    """Return the properties of all tissues at a field strength.

    1.5 T and 3 T are tabulated. Between and slightly beyond them each time follows the power law of the field through
    its two values (as T1 does: Bottomley 1984 Med Phys 11:425, Rooney 2007 MRM 57:308; for T2 and T2* it is an
    assumption).

    Parameters
    ----------
    field_strength_t : float
        1 to 4 T.

    Raises
    ------
    PhysicsError
        For a field outside that range.

    Examples
    --------
    >>> properties(3.0).t1_s[TISSUES.index("white_matter")].item()
    0.83
    """
    low, high = FIELD_RANGE_T
    if not low <= field_strength_t <= high:
        raise PhysicsError(
            f"no relaxation values at {field_strength_t} T",
            f"choose a field from {low:g} to {high:g} T; 1.5 and 3 are best",
        )
    if field_strength_t in (1.5, 3.0):
        return Properties(*(column(field.name, field_strength_t) for field in fields(Properties)))
    share = math.log(field_strength_t / 1.5) / math.log(2.0)
    return Properties(*(_between(field.name, share) for field in fields(Properties)))


def stack(properties_of: Sequence[Properties]) -> Properties:
    """Return properties with one row per element, (n, n_tissues)."""
    return Properties(
        *(torch.stack([getattr(one, field.name) for one in properties_of]) for field in fields(Properties))
    )


def _between(name: str, share: float) -> Tensor:
    low, high = column(name, 1.5), column(name, 3.0)
    if name == "chi_ppm":
        return low + share * (high - low)
    return low * (high / low) ** share


R1_PER_MM_S, R2_PER_MM_S = 3.9, 5.0
"""Relaxivities in plasma at 37 °C, 1/(mM s): gadopentetate, between 1.5 T (4.1; 4.6) and 3 T (3.7; 5.2).
Rohrer 2005 Invest Radiol 40:715."""

CHI_PPM_PER_MM = 0.33
"""Molar susceptibility, ppm (SI) per mM: Weisskoff and Kiihne 1992 MRM 24:375."""

CONCENTRATION_MM = {
    "artery": 0.8,
    "vein": 0.8,
    "dura": 0.35,
    "tumour": 0.6,
    "plaque": 0.3,
    "necrosis": 0.05,
    "skin": 0.10,
    "muscle": 0.08,
    "marrow": 0.08,
}
"""Concentration in tissue some minutes after a single dose, mM (0.1 mmol/kg in about 12 l of extracellular fluid is
0.6 mM). Constructed values, in order: blood, tissue without a barrier (dura, solid tumour), a leaky barrier (active
plaque), little interstitium. Tissues behind an intact barrier have none."""


def concentration_mm() -> Tensor:
    """Return the concentration of gadolinium in each tissue, (n_tissues,) float64, millimolar."""
    return torch.tensor([CONCENTRATION_MM.get(name, 0.0) for name in TISSUES], dtype=torch.float64)


def with_gadolinium(tissue: Properties, dose: Tensor | float = 1.0) -> Properties:
    """Return properties after injection: R1, R2 and R2* grow in proportion to the concentration.

    Parameters
    ----------
    tissue : Properties
    dose : Tensor or float
        Share of the single dose, broadcast against (..., n_tissues); 0 changes nothing.
    """
    amount = concentration_mm() * dose
    return Properties(
        t1_s=1 / (1 / tissue.t1_s + R1_PER_MM_S * amount),
        t2_s=1 / (1 / tissue.t2_s + R2_PER_MM_S * amount),
        t2star_s=1 / (1 / tissue.t2star_s + R2_PER_MM_S * amount),
        pd=tissue.pd.expand_as(tissue.pd * amount),
        chi_ppm=tissue.chi_ppm + CHI_PPM_PER_MM * amount,
    )
