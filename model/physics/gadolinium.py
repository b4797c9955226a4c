"""What a chelate of gadolinium does to relaxation, some minutes after injection."""

from __future__ import annotations

import torch
from torch import Tensor

from model.physics.tissue import TISSUES, Properties

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
"""Millimolar in tissue after a single dose (0.1 mmol/kg in some 12 l of extracellular fluid is about 0.6 mM of blood
and interstitium). Constructed: blood, no barrier (dura, solid tumour), leaky (active plaque), little interstitium.
Tissues behind an intact barrier take none."""


def concentration_mm() -> Tensor:
    """Concentration by tissue, (n_tissues,) float64, millimolar."""
    return torch.tensor([CONCENTRATION_MM.get(name, 0.0) for name in TISSUES], dtype=torch.float64)


def with_gadolinium(tissue: Properties, dose: Tensor | float = 1.0) -> Properties:
    """Properties after injection: R1, R2 and R2* grow in proportion to the concentration.

    Parameters
    ----------
    tissue : Properties
    dose : Tensor or float
        Share of the single dose, broadcast against (..., n_tissues); 0 leaves all as it is.
    """
    amount = concentration_mm() * dose
    return Properties(
        t1_s=1 / (1 / tissue.t1_s + R1_PER_MM_S * amount),
        t2_s=1 / (1 / tissue.t2_s + R2_PER_MM_S * amount),
        t2star_s=1 / (1 / tissue.t2star_s + R2_PER_MM_S * amount),
        pd=tissue.pd.expand_as(tissue.pd * amount),
        chi_ppm=tissue.chi_ppm + CHI_PPM_PER_MM * amount,
    )
