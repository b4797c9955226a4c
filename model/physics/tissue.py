"""The tissues of the phantom. Their order is the order of channels in every array of fractions."""

from __future__ import annotations

TISSUES = (
    "csf",
    "cortex",
    "white_matter",
    "thalamus",
    "striatum",
    "pallidum",
    "nigra",
    "fat",
    "muscle",
    "skin",
    "bone",
    "marrow",
    "vitreous",
    "artery",
    "vein",
    "dura",
    "plaque",
    "hyperintensity",
    "lacune",
    "oedema",
    "tumour",
    "necrosis",
)
