"""The scanners of each simulated centre: vendors, models and fields as the real datasets have them.

Signal-to-noise ratios and biases are ours: higher noise at 1.5 T, more transmit bias at 3 T (dielectric effects grow
with the field), and as wide a spread as head coils of 8 to 64 channels have. External centres are noisier and less
uniform than internal ones, on models of which most are seen nowhere else.
"""

from __future__ import annotations

from model.simulation.scanner import Scanner

FLEET: dict[str, tuple[Scanner, ...]] = {
    "adni": (  # three vendors over some sixty sites; ADNI 1 at 1.5 T, later phases at 3 T
        Scanner("Siemens", "Trio", 3.0, 28, 0.45, 0.20),
        Scanner("GE", "Signa HDx", 1.5, 20, 0.35, 0.06),
        Scanner("Philips", "Achieva", 3.0, 26, 0.45, 0.22),
    ),
    "aibl": (Scanner("Siemens", "Avanto", 1.5, 16, 0.50, 0.08), Scanner("Siemens", "Verio", 3.0, 22, 0.60, 0.25)),
    "camcan": (Scanner("Siemens", "Trio", 3.0, 30, 0.50, 0.18),),
    "hcp_aging": (Scanner("Siemens", "Prisma", 3.0, 36, 0.40, 0.18),),
    "hcp_development": (Scanner("Siemens", "Prisma", 3.0, 36, 0.40, 0.18),),
    "hcp_young_adult": (Scanner("Siemens", "Skyra", 3.0, 34, 0.40, 0.20),),
    "ixi": (  # in the order of `layouts.cohorts.SITES`
        Scanner("Philips", "Intera", 3.0, 26, 0.40, 0.20),
        Scanner("Philips", "Gyroscan Intera", 1.5, 20, 0.30, 0.06),
        Scanner("GE", "Genesis Signa", 1.5, 18, 0.35, 0.06),
    ),
    "lemon": (Scanner("Siemens", "Verio", 3.0, 30, 0.45, 0.20),),
    "nki_rockland": (Scanner("Siemens", "Trio", 3.0, 30, 0.50, 0.18),),
    "oasis3": (  # a PET-MR, and two generations at two fields
        Scanner("Siemens", "Biograph mMR", 3.0, 20, 0.60, 0.26),
        Scanner("Siemens", "Sonata", 1.5, 14, 0.45, 0.08),
        Scanner("Siemens", "Trio", 3.0, 24, 0.55, 0.22),
    ),
    "open_ms": (Scanner("Siemens", "Trio", 3.0, 28, 0.45, 0.20),),
    "ucsf_pdgm": (Scanner("GE", "Discovery MR750", 3.0, 24, 0.60, 0.28),),
    "ukb": (Scanner("Siemens", "Skyra", 3.0, 30, 0.45, 0.20),),
}


def scanner_of(center_id: str, number: int) -> Scanner:
    """Return the scanner that a participant is sent to, by number: the same at every visit."""
    scanners = FLEET[center_id]
    return scanners[(number - 1) % len(scanners)]
