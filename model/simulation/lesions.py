"""Lesions: plaques of multiple sclerosis, lacunes, white matter disease of small vessels, a tumour.

All are bodies in the template's space, so that they move with a subject's anatomy. They take over the tissue they
grow in and never the fluid beside it. Places and shapes follow how radiologists describe them: ovoid plaques that
stand on the ventricles and plaques below the cortex (Filippi et al. 2019, Brain 142, 1858), lacunes of 3 to 15 mm
and hyperintensities around ventricles and in deep white matter that grow together (Wardlaw et al. 2013, Lancet
Neurology 12, 822). Numbers and sizes are construction.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.simulation.ageing import age_effects
from model.simulation.bodies import Body, body_shares
from model.simulation.seeds import stream
from model.simulation.sites import lesion_sites
from model.simulation.subject import Subject
from model.simulation.tumour import Tumour, tumour_of

N_PLAQUES, FEWEST_PLAQUES, N_ACTIVE = 60, 14, 3
SMALL_VESSEL_LOAD = 3.5  # a confluent disease is so many times the load of a healthy person of 75, at least
PARENCHYMA = ("white_matter", "cortex", "thalamus", "striatum", "pallidum", "nigra", "hyperintensity")


@dataclass(frozen=True)
class Lesions:
    """The lesions of one subject.

    Parameters
    ----------
    plaques, active, lacunes : tuple of Body
        In the template.
    load : float
        Of white matter hyperintensities, 1 for a healthy person of 75.
    tumour : Tumour, optional
    """

    load: float
    plaques: tuple[Body, ...] = ()
    active: tuple[Body, ...] = ()
    lacunes: tuple[Body, ...] = ()
    tumour: Tumour | None = None
    kinds: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        kinds = ["hyperintensities"]
        kinds += ["ms", "ms_active"] if self.plaques else []
        kinds += ["lacunes"] if self.lacunes else []
        kinds += ["tumour", "necrosis", "oedema"] if self.tumour else []
        object.__setattr__(self, "kinds", tuple(kinds))

    @property
    def push(self) -> NDArray[np.float32] | None:
        """Velocity by which a tumour pushes the brain aside, mm, on the grid of velocities."""
        return self.tumour.push() if self.tumour else None

    def paint(
        self,
        shares: dict[str, Tensor],
        points_mm: Tensor,
        maps: dict[str, Tensor],
        noise: Tensor,
        step_mm: float,
        size: float,
    ) -> list[Tensor]:
        """Let lesions take over tissue, in place; return the share of each of `kinds`.

        Parameters
        ----------
        shares : dict of (n,) tensors
            Of tissues at the points.
        points_mm : (3, n) tensor
            In the template.
        maps, noise
            As `Drawing.channels` has them.
        step_mm : float
            Size of a voxel of the subject, whose head is `size` times the template.
        """
        edge = step_mm / size
        masks = [_take(shares, "hyperintensity", hyperintense(self.load, points_mm, maps, noise), ("white_matter",))]
        if self.plaques:
            old = body_shares(self.plaques, points_mm, noise, edge)
            new = body_shares(self.active, points_mm, noise, edge)
            chronic = _take(shares, "hyperintensity", old, PARENCHYMA)
            masks += [chronic, _take(shares, "plaque", new, PARENCHYMA)]
            masks[1] = torch.maximum(masks[1], masks[2])
        if self.lacunes:
            rim = body_shares(self.lacunes, points_mm, noise, edge, wider_mm=1.4)
            _take(shares, "hyperintensity", 0.8 * rim, ("white_matter",))
            masks.append(_take(shares, "lacune", body_shares(self.lacunes, points_mm, noise, edge), PARENCHYMA))
        if self.tumour:
            solid, core, oedema = self.tumour.levels(points_mm, noise, maps)
            oedema_mask = _take(shares, "oedema", oedema, ("white_matter", "hyperintensity"))
            whole = _take(shares, "tumour", (0.5 + solid / edge).clamp(0, 1), (*PARENCHYMA, "oedema", "plaque", "csf"))
            necrosis = _take(shares, "necrosis", (0.5 + core / edge).clamp(0, 1), ("tumour",))
            masks += [whole - necrosis, necrosis, torch.minimum(oedema_mask, 1.0 - whole)]
        return masks


def lesions_of(subject: Subject) -> Lesions:
    """Return the lesions of a subject; a later visit keeps those of an earlier one."""
    load = age_effects(subject).hyperintense
    if "small_vessel" in subject.lesions:
        load = SMALL_VESSEL_LOAD + 2.0 * load
    plaques, active = _plaques(subject) if "ms" in subject.lesions else ((), ())
    lacunes = _lacunes(subject) if "lacunes" in subject.lesions else ()
    return Lesions(load, plaques, active, lacunes, tumour_of(subject) if "tumour" in subject.lesions else None)


def hyperintense(load: float, points_mm: Tensor, maps: dict[str, Tensor], noise: Tensor) -> Tensor:
    """Return the share of white matter that ageing and small vessels have changed: caps, bands and spots that merge."""
    x, _, z = points_mm
    beside = -maps["ventricle"]
    reach_mm = 3.0 * load**0.55 - 1.3 + 0.8 * noise[1] + 0.6 * min(load, 2.0) * noise[2]
    band = torch.sigmoid((reach_mm - beside) / 0.5)
    threshold = 4.6 - 1.25 * np.log1p(1.5 * load)
    spots = torch.sigmoid((noise[2] + 0.7 * noise[1] - threshold) * 3.0) * ((maps["white"] - 1.0) / 1.5).clamp(0, 1)
    # Corpus callosum, capsules and what lies below the tentorium are spared.
    spared = ((x.abs() - 9.0) / 5.0).clamp(0, 1) * ((z + 6.0) / 6.0).clamp(0, 1)
    share: Tensor = torch.maximum(band * (z > -12), spots) * spared
    return share


def _take(shares: dict[str, Tensor], tissue: str, cover: Tensor, sources: tuple[str, ...]) -> Tensor:
    taken = torch.zeros_like(cover)
    for name in sources:
        if name in shares and name != tissue:
            part = shares[name] * cover
            shares[name] = shares[name] - part
            taken = taken + part
    shares[tissue] = shares[tissue] + taken if tissue in shares else taken
    return taken


def _plaques(subject: Subject) -> tuple[tuple[Body, ...], tuple[Body, ...]]:
    """Return old and active plaques: each arises at an age, the latest that have arisen are active."""
    rng, sites = stream(subject.seed, "plaques"), lesion_sites()
    begin = float(rng.uniform(18, 38))
    arisen = []
    for number in range(N_PLAQUES):
        onset = -1.0 if number < FEWEST_PLAQUES else begin + float(rng.uniform(0, 35))
        kind = str(rng.choice(["periventricular", "juxtacortical", "infratentorial", "deep"], p=[0.5, 0.25, 0.1, 0.15]))
        center, away = sites[kind].draw(rng)
        width = float(np.clip(rng.lognormal(1.1, 0.32), 1.8, 6.5))
        length = width * float(rng.uniform(1.5, 2.6) if kind == "periventricular" else rng.uniform(1.0, 1.5))
        arisen.append((onset, Body(tuple(center.tolist()), tuple(away.tolist()), length, width)))
    present = sorted((item for item in arisen if item[0] <= subject.age_years), key=lambda item: item[0])
    bodies = [body for _, body in present]
    return tuple(bodies[:-N_ACTIVE]), tuple(bodies[-N_ACTIVE:])


def _lacunes(subject: Subject) -> tuple[Body, ...]:
    rng, sites = stream(subject.seed, "lacunes"), lesion_sites()
    bodies = []
    for _ in range(int(rng.integers(5, 11))):
        center, away = sites[str(rng.choice(["nuclear", "deep"], p=[0.6, 0.4]))].draw(rng)
        width = float(rng.uniform(1.6, 3.6))
        bodies.append(Body(tuple(center.tolist()), tuple(away.tolist()), width * float(rng.uniform(1.1, 1.7)), width))
    return tuple(bodies)
