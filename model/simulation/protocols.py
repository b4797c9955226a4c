"""Random protocols of a contrast, from the ranges of real scans.

The ranges are those of the sidecars of eight public datasets of OpenNeuro (ds000030, ds000117, ds000221, ds003592,
ds003949, ds004199, ds004712, ds004889: 24,677 sidecars, counted by contrast) and of the protocols that the shipped
centres' definitions cite; each variant names its source. They are the same for every centre, anatomy and age: within a
contrast a parameter can only be inferred from its effect on the image.

Echo trains with variable flip angles (SPACE, VISTA) are recognised there by their echo time: 1,828 of 2,852 sidecars
of T2w and FLAIR have one of 275 to 409 ms. Those of GE (CUBE) are not: GE states the equivalent echo time, near 0.1 s.
Not included: partial k-space, parallel imaging and preparation pulses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.physics.protocol import LONGEST_TRAIN, SequenceProtocol, fitting_train
from warehouse.errors import PhantomError

Range = tuple[float, float]


@dataclass(frozen=True)
class Variant:
    """One way to acquire a contrast.

    Parameters
    ----------
    sequence : str
        As `model.physics.protocol` names it.
    share : float
        Relative probability among the variants of its contrast.
    repetition_time_s, echo_time_s : tuple of 2 float
    flip_angle_deg : tuple of 2 float
        Of the refocusing pulses for echo trains; the nominal one where it is variable.
    inversion_time_s : tuple of 2 float, optional
    inversion_share : tuple of 2 float, optional
        Inversion time as a share of the usual one at the repetition time (`NULLING`).
    source : str
        Source of the range.
    flip_angle_variable : bool
        Whether the refocusing angle varies along the echo train.
    """

    sequence: str
    share: float
    repetition_time_s: Range
    echo_time_s: Range
    flip_angle_deg: Range
    source: str
    inversion_time_s: Range | None = None
    inversion_share: Range | None = None
    flip_angle_variable: bool = False


VARIANTS: dict[str, tuple[Variant, ...]] = {
    "T1w": (
        Variant("mprage", 0.6, (1.57, 2.53), (0.0020, 0.0035), (7.0, 15.0), inversion_time_s=(0.8, 1.1),
                source="ds000030, ds000117, ds003592, ds004199, ds004712 (565 with TI); HCP, OASIS-3, UK Biobank"),
        Variant("spoiled_gradient_echo", 0.25, (0.0066, 0.0100), (0.0029, 0.0046), (8.0, 25.0),
                source="ds004889, ds004712, ds003949 (1,434: GE SPGR, Philips T1-TFE); IXI"),
        Variant("spin_echo", 0.15, (0.375, 0.705), (0.0075, 0.015), (69.0, 90.0),
                source="ds004889, ds003949 (240)"),
    ),
    "T2w": (
        Variant("fast_spin_echo", 0.8, (3.2, 12.0), (0.083, 0.110), (120.0, 180.0),
                source="TE, TR: ds004712 (50), ds000221, IXI, NKI; refocusing angle: ds000221, ds003592"),
        Variant("fast_spin_echo", 0.2, (2.5, 3.2), (0.400, 0.570), (120.0, 120.0), flip_angle_variable=True,
                source="ds000221 (226 SPACE: TR 3.2 s, TE 409 ms, 120°); HCP: TR 3.2 s, TE 563 to 565 ms; TR widened"),
    ),
    "PDw": (
        Variant("fast_spin_echo", 1.0, (2.7, 8.2), (0.008, 0.020), (120.0, 180.0),
                source="IXI: TR 5.73 and 8.18 s, TE 8 ms; widened here to shorter TR and longer TE, for want of "
                "public sidecars of the contrast"),
    ),
    "FLAIR": (
        Variant("inversion_recovery", 0.8, (4.8, 12.0), (0.085, 0.140), (120.0, 180.0), inversion_share=(0.95, 1.05),
                source="TE: ds000221, ds003592, ds004199, ds004712, ds004889 (974); TR and TI: 534 that state both"),
        Variant("inversion_recovery", 0.2, (4.8, 7.0), (0.275, 0.400), (90.0, 120.0), inversion_share=(0.95, 1.05),
                flip_angle_variable=True,
                source="ds000221, ds004199, ds004712, ds004889 (1,602 SPACE and VISTA: TR 4.8 to 8 s)"),
    ),
    "T2starw": (
        Variant("t2star", 0.6, (0.5, 0.8), (0.015, 0.030), (15.0, 30.0),
                source="OASIS-3 and ADNI: TR 650 ms, TE 20 ms, 20°; widened here"),
        Variant("t2star", 0.4, (0.030, 0.0426), (0.0167, 0.025), (12.0, 15.0),
                source="ds000221, ds004712 (13,663 gradient echoes)"),
    ),
    "SWI": (
        Variant("swi", 1.0, (0.027, 0.0426), (0.0167, 0.0230), (12.0, 20.0),
                source="ds000221, ds004712 (second echo); UK Biobank: TR 27 ms, TE 20 ms"),
    ),
    "angio": (
        Variant("time_of_flight", 1.0, (0.0175, 0.039), (0.0033, 0.0070), (18.0, 25.0),
                source="ds003949 (296); IXI: TR 20 ms, TE 6.9 ms, 25°"),
    ),
}  # fmt: skip

_MUGLER = "Mugler 2014 JMRI 39:745: trains of variable angle"
_BOOK = "Bernstein, King, Zhou: Handbook of MRI Pulse Sequences (2004), chapters 14 and 16"
# What clinics and studies use at all: a network that knows the law of a contrast has to see more than its usual values.
CLINICAL: dict[str, tuple[Variant, ...]] = {
    "T1w": (
        Variant("mprage", 0.5, (1.4, 3.0), (0.0018, 0.006), (5.0, 16.0), _BOOK, inversion_time_s=(0.6, 1.3)),
        Variant("spoiled_gradient_echo", 0.25, (0.005, 0.03), (0.0015, 0.0045), (5.0, 40.0), _BOOK),
        Variant("spin_echo", 0.25, (0.3, 1.0), (0.007, 0.025), (60.0, 90.0), _BOOK),
    ),
    "T2w": (
        Variant("fast_spin_echo", 0.75, (2.0, 12.0), (0.03, 0.2), (90.0, 180.0), _BOOK),
        Variant("fast_spin_echo", 0.25, (2.0, 5.0), (0.25, 0.65), (90.0, 140.0), _MUGLER, flip_angle_variable=True),
    ),
    "PDw": (Variant("fast_spin_echo", 1.0, (1.8, 9.0), (0.007, 0.035), (90.0, 180.0), _BOOK),),
    "FLAIR": (
        Variant("inversion_recovery", 0.75, (4.5, 13.0), (0.07, 0.17), (90.0, 180.0), _BOOK,
                inversion_share=(0.7, 1.2)),
        Variant("inversion_recovery", 0.25, (4.5, 9.0), (0.25, 0.5), (90.0, 140.0), _MUGLER,
                inversion_share=(0.7, 1.2), flip_angle_variable=True),
    ),
    "T2starw": (
        Variant("t2star", 0.6, (0.2, 1.2), (0.004, 0.045), (8.0, 65.0), "Chavhan 2009 RadioGraphics 29:1433"),
        Variant("t2star", 0.4, (0.02, 0.06), (0.004, 0.03), (8.0, 30.0), "Chavhan 2009 RadioGraphics 29:1433"),
    ),
    "SWI": (Variant("swi", 1.0, (0.02, 0.06), (0.012, 0.04), (8.0, 30.0), "Haacke 2009 AJNR 30:19"),),
    "angio": (Variant("time_of_flight", 1.0, (0.015, 0.045), (0.0025, 0.008), (12.0, 35.0), _BOOK),),
}  # fmt: skip

# TR and TI of FLAIR sidecars that give both, seconds (ds004889, ds004199, ds004712); TI nulls cerebrospinal fluid.
NULLING = ((4.8, 1.65), (5.0, 1.8), (6.0, 2.05), (7.0, 2.22), (9.5, 2.53), (10.0, 2.58), (11.0, 2.8), (12.0, 2.85))
GAP_S = 0.001  # least time between the echo and the next excitation: readout and spoiler


def draw_protocol(
    contrast: str,
    random: np.random.Generator,
    field_strength_t: float = 3.0,
    is_post_contrast: bool = False,
    *,
    is_wide: bool = False,
    with_variable_angles: bool = True,
) -> SequenceProtocol:
    """Return a random protocol of a contrast: a variant by its share, then each parameter uniformly.

    Parameters
    ----------
    contrast : str
        A key of `VARIANTS`.
    random : numpy.random.Generator
        Must be independent of person and centre.
    field_strength_t : float
        Part of the protocol; no other parameter depends on it.
    is_post_contrast : bool
        Gadolinium, for T1w.
    is_wide : bool
        Draw from `CLINICAL` instead of `VARIANTS`.
    with_variable_angles : bool
        Whether variants with a variable flip angle are drawn.

    Raises
    ------
    PhantomError
        For a contrast without ranges.
    """
    if contrast not in VARIANTS:
        raise PhantomError(f"no protocols of {contrast!r} are known", f"choose from {', '.join(VARIANTS)}")
    if is_post_contrast and contrast != "T1w":
        raise PhantomError(f"post-contrast {contrast} is not simulated", "draw T1w")
    known = (CLINICAL if is_wide else VARIANTS)[contrast]
    variants = [one for one in known if with_variable_angles or not one.flip_angle_variable]
    shares = np.array([variant.share for variant in variants])
    variant = variants[int(random.choice(len(variants), p=shares / shares.sum()))]
    tr_s = _within(random, variant.repetition_time_s, 6)
    te_s = _within(random, (variant.echo_time_s[0], min(variant.echo_time_s[1], tr_s - GAP_S)), 6)
    ti_s = _inversion_time(random, variant, tr_s)
    return SequenceProtocol(
        contrast=contrast,
        sequence=variant.sequence,
        field_strength_t=field_strength_t,
        repetition_time_s=tr_s,
        echo_time_s=te_s,
        inversion_time_s=ti_s,
        flip_angle_deg=_within(random, variant.flip_angle_deg, 1),
        is_post_contrast=is_post_contrast,
        n_readouts=fitting_train(tr_s, ti_s) if variant.sequence == "mprage" and ti_s else LONGEST_TRAIN,
        flip_angle_variable=variant.flip_angle_variable,
    )


def _inversion_time(random: np.random.Generator, variant: Variant, tr_s: float) -> float | None:
    if variant.inversion_time_s:
        return _within(random, variant.inversion_time_s, 4)
    if variant.inversion_share:
        usual = float(np.interp(tr_s, *np.array(NULLING).T))
        return round(usual * _within(random, variant.inversion_share, 6), 4)
    return None


def _within(random: np.random.Generator, bounds: Range, decimals: int) -> float:
    return round(float(random.uniform(*bounds)), decimals)
