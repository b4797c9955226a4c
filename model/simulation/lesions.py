"""Lesions: plaques of multiple sclerosis, lacunes, white matter disease of small vessels, a malignant glioma.

All are bodies in the template's space, so that they follow a subject's anatomy. They replace the tissue that they grow
in and never the fluid beside it. Places and shapes follow how radiologists describe them: ovoid plaques that
touch the ventricles and plaques below the cortex (Filippi et al. 2019, Brain 142, 1858), lacunes of 3 to 15 mm
and confluent hyperintensities around ventricles and in deep white matter (Wardlaw et al. 2013, Lancet
Neurology 12, 822). Numbers and sizes are construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.simulation.ageing import age_effects
from model.simulation.deform import VELOCITY_STEP_MM
from model.simulation.people import Subject
from model.simulation.seeds import stream
from model.simulation.structures import NUCLEI, nuclei
from model.simulation.template import brain_levels, intracranial_level, template_grid

OUTLINE_NOISE = 0.16  # amplitude of the irregularity of outlines, as a share of the width
SITE_STEP_MM = 3.0  # of the grid of places
OEDEMA_EDGE_MM = 1.5  # width of the border of oedema
N_PLAQUES, FEWEST_PLAQUES, N_ACTIVE = 60, 14, 3
SMALL_VESSEL_LOAD = 3.5  # least load of a confluent disease, relative to a healthy person of 75
PARENCHYMA = ("white_matter", "cortex", "thalamus", "striatum", "pallidum", "nigra", "hyperintensity")


@dataclass(frozen=True)
class Body:
    """An ovoid in the template.

    Parameters
    ----------
    center_mm : (x, y, z)
        RAS+.
    along : (x, y, z)
        Unit vector of its long axis.
    length_mm, width_mm : float
        Half axes.
    """

    center_mm: tuple[float, ...]
    along: tuple[float, ...]
    length_mm: float
    width_mm: float


def body_shares(
    bodies: Sequence[Body], points_mm: Tensor, noise: Tensor, edge_mm: float, wider_mm: float = 0.0
) -> Tensor:
    """Return the share of each point's voxel that lies in any of the bodies, (n,).

    Parameters
    ----------
    points_mm : (3, n) tensor
    noise : (at least 2, n) tensor
        Makes outlines irregular.
    edge_mm : float
        Size of a voxel in the template's space.
    wider_mm : float
        Added to the half axes.
    """
    result = torch.zeros(points_mm.shape[1])
    if not points_mm.shape[1]:
        return result
    lowest, highest = points_mm.min(dim=1).values, points_mm.max(dim=1).values
    for body in bodies:
        center, reach = torch.tensor(body.center_mm), 1.6 * (body.length_mm + wider_mm) + edge_mm
        if bool(((center + reach < lowest) | (center - reach > highest)).any()):
            continue
        at = ((points_mm - center[:, None]).abs() < reach).all(dim=0).nonzero()[:, 0]
        if at.numel():
            part = _share(body, points_mm[:, at] - center[:, None], noise[:, at], edge_mm, wider_mm)
            result[at] = torch.maximum(result[at], part)
    return result


def _share(body: Body, offset_mm: Tensor, noise: Tensor, edge_mm: float, wider_mm: float) -> Tensor:
    axis = torch.tensor(body.along)
    along = axis @ offset_mm
    across = (offset_mm - axis[:, None] * along).norm(dim=0)
    width = body.width_mm + wider_mm
    level = width * (1.0 - torch.hypot(along / (body.length_mm + wider_mm), across / width) + OUTLINE_NOISE * noise[1])
    return (0.5 + level / edge_mm).clamp(0.0, 1.0)


@dataclass(frozen=True)
class Sites:
    """Possible places of lesions of one kind in MNI space, RAS+, mm.

    Parameters
    ----------
    points_mm : (n, 3) array
    away : (n, 3) array
        Unit vectors away from the ventricles.
    """

    points_mm: NDArray[np.float64]
    away: NDArray[np.float64]

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return a random place and the direction away from the ventricles there."""
        one = int(rng.integers(len(self.points_mm)))
        return self.points_mm[one] + rng.uniform(-SITE_STEP_MM / 2, SITE_STEP_MM / 2, 3), self.away[one]


@lru_cache(maxsize=1)
def lesion_sites() -> dict[str, Sites]:
    """Return the places of each kind: periventricular, juxtacortical, infratentorial, deep, nuclear, hemispheric."""
    grid, levels = template_grid(SITE_STEP_MM), brain_levels(SITE_STEP_MM)
    points = grid.points_mm().astype(np.float64)
    x, y, z = points
    white = levels.white > 1.0
    above = z > -4
    deep = white & above & (levels.white > 2.5) & (np.abs(x) > 14)
    lateral = (levels.ventricle > -8) & (np.abs(x) > 9) & above
    grey = nuclei(SITE_STEP_MM)[[NUCLEI.index(name) for name in ("thalamus", "striatum", "pallidum")]].sum(axis=0)
    kinds = {
        "periventricular": white & lateral & (levels.ventricle < -2.5),
        "juxtacortical": (np.abs(levels.white - 0.4) < 0.6) & (levels.inner > 5) & (levels.inner < 22) & (z > 0),
        "infratentorial": white & (z < -18) & (z > -48) & (y < -20) & (y > -70) & (np.abs(x) < 30),
        "deep": deep & (levels.ventricle < -5),
        "nuclear": (grey > 0.6) & (levels.ventricle < -2.5),
        "hemispheric": deep & (levels.inner > 26) & (np.abs(x) > 24) & (y > -62) & (y < 48) & (z > 4),
    }
    away = -np.moveaxis(np.asarray(np.gradient(levels.ventricle)), 0, -1)
    away /= np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-6)
    places = np.moveaxis(points, 0, -1)
    return {name: Sites(places[mask], away[mask].astype(np.float64)) for name, mask in kinds.items()}


@dataclass(frozen=True)
class Tumour:
    """A malignant glioma in the template: a solid rim that enhances, a necrotic core, and oedema of white matter.

    Parameters
    ----------
    center_mm : (x, y, z)
        RAS+.
    radius_mm, rim_mm, oedema_mm, push_mm : float
        Radius of the solid part; thickness of its viable rim; reach of the oedema beyond it; displacement at its edge.
    """

    center_mm: tuple[float, ...]
    radius_mm: float
    rim_mm: float
    oedema_mm: float
    push_mm: float

    def levels(self, points_mm: Tensor, noise: Tensor, maps: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the distances to the surfaces of solid part and core, mm, positive inside, and the share of oedema."""
        away = (points_mm - torch.tensor(self.center_mm)[:, None]).norm(dim=0)
        lobes = 0.13 * self.radius_mm * noise[2] + 0.06 * self.radius_mm * noise[1]
        solid = self.radius_mm + lobes - away
        core = solid - self.rim_mm * (1.0 + 0.35 * noise[1].clamp(-2, 2))
        # Oedema spreads along fibres: it fills white matter irregularly and ends at the cortex.
        fingers = self.oedema_mm * (0.55 + 0.25 * maps["white"].clamp(-1, 3) + 0.2 * noise[2])
        return solid, core, torch.sigmoid((solid + fingers) / OEDEMA_EDGE_MM)

    def push(self) -> NDArray[np.float32]:
        """Return the velocity of the mass effect; it points inwards, since sampling nearer displaces outwards."""
        grid = template_grid(VELOCITY_STEP_MM)
        offset = grid.points_mm() - np.array(self.center_mm, np.float32)[:, None, None, None]
        away = np.sqrt((offset**2).sum(axis=0))
        speed = self.push_mm * np.exp(-(((away - self.radius_mm) / 20.0) ** 2)) * np.clip(away / self.radius_mm, 0, 1)
        room = np.clip(intracranial_level(VELOCITY_STEP_MM) / 10.0, 0, 1)  # no displacement at the skull
        return np.asarray(-offset / np.maximum(away, 1e-3) * speed * room, np.float32)


def tumour_of(subject: Subject) -> Tumour:
    """Return the tumour of a subject, in one hemisphere."""
    rng = stream(subject.seed, "tumour")
    center, _ = lesion_sites()["hemispheric"].draw(rng)
    sizes = (float(rng.uniform(*bounds)) for bounds in ((12, 20), (3.5, 5.5), (12, 22), (4, 8)))
    return Tumour(tuple(center.tolist()), *sizes)


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
        """Return the velocity of the mass effect of a tumour, mm, on the grid of velocities; None without one."""
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
        """Replace tissue by lesions, in place, and return the share of each of `kinds`.

        Parameters
        ----------
        shares : dict of (n,) tensors
            Of tissues at the points.
        points_mm : (3, n) tensor
            In the template.
        maps, noise
            As in `Drawing.channels`.
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
    """Return the lesions of a subject; those of an earlier visit persist."""
    load = age_effects(subject).hyperintense
    if "small_vessel" in subject.lesions:
        load = SMALL_VESSEL_LOAD + 2.0 * load
    plaques, active = _plaques(subject) if "ms" in subject.lesions else ((), ())
    lacunes = _lacunes(subject) if "lacunes" in subject.lesions else ()
    return Lesions(load, plaques, active, lacunes, tumour_of(subject) if "tumour" in subject.lesions else None)


def hyperintense(load: float, points_mm: Tensor, maps: dict[str, Tensor], noise: Tensor) -> Tensor:
    """Return the share of hyperintensities of ageing and small vessels: caps, bands and confluent spots."""
    x, _, z = points_mm
    beside = -maps["ventricle"]
    reach_mm = 3.0 * load**0.55 - 1.3 + 0.8 * noise[1] + 0.6 * min(load, 2.0) * noise[2]
    band = torch.sigmoid((reach_mm - beside) / 0.5)
    threshold = 4.6 - 1.25 * np.log1p(1.5 * load)
    spots = torch.sigmoid((noise[2] + 0.7 * noise[1] - threshold) * 3.0) * ((maps["white"] - 1.0) / 1.5).clamp(0, 1)
    # Corpus callosum, capsules and infratentorial white matter are spared.
    spared = ((x.abs() - 9.0) / 5.0).clamp(0, 1) * ((z + 6.0) / 6.0).clamp(0, 1)
    share: Tensor = torch.maximum(band * (z > -12), spots) * spared
    return share


def _take(shares: dict[str, Tensor], tissue: str, cover: Tensor, sources: tuple[str, ...]) -> Tensor:
    """Replace a share of source tissues by a tissue, in place, and return the replaced share."""
    taken = torch.zeros_like(cover)
    for name in sources:
        if name in shares and name != tissue:
            part = shares[name] * cover
            shares[name] = shares[name] - part
            taken = taken + part
    shares[tissue] = shares[tissue] + taken if tissue in shares else taken
    return taken


def _plaques(subject: Subject) -> tuple[tuple[Body, ...], tuple[Body, ...]]:
    """Return old and active plaques: each has an age of onset, and the latest ones are active."""
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
