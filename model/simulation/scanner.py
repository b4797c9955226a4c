"""The scanners of the simulated centres, and the image that each stores of a head.

Vendors, models and field strengths are those of the real datasets. Signal-to-noise ratios and biases are assumptions:
more noise at 1.5 T, more transmit bias at 3 T (dielectric effects grow with the field), and the spread of head coils of
8 to 64 channels. External centres are noisier and less uniform than internal ones; most of their models occur nowhere
else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.simulation.rendering import average_over_voxels, grid_over, render, rotation
from model.simulation.seeds import stream
from warehouse.errors import PhantomError

if TYPE_CHECKING:
    from model.physics.protocol import SequenceProtocol
    from model.simulation.head import Head

FIELD_ORDER = 3  # half waves along an axis: fields of head coils at 1.5 and 3 T vary over centimetres
FIELD_POINTS = 16  # along an axis, at which the waves are evaluated before interpolation


def smooth_field(shape: Sequence[int], random: np.random.Generator, share: float) -> Tensor:
    """Return a smooth positive field around 1, as coils make it, (i, j, k) float32.

    Parameters
    ----------
    shape : (3,) ints
        Of the grid.
    share : float
        Peak to peak: the field ranges from 1 - share / 2 to 1 + share / 2.
    """
    if not 0 <= share < 2:
        raise PhantomError(f"a field that varies by {share} of its mean changes sign", "give a share from 0 to below 2")
    orders = np.indices([FIELD_ORDER] * 3).reshape(3, -1)
    weights = (random.normal(size=orders.shape[1]) / (1 + (orders**2).sum(0))).reshape([FIELD_ORDER] * 3)
    weights[0, 0, 0] = 0.0
    waves = np.cos(np.pi * np.arange(FIELD_ORDER)[:, None] * np.linspace(0, 1, FIELD_POINTS))
    coarse = np.einsum("abc,ai,bj,ck->ijk", weights, waves, waves, waves)
    coarse = (coarse - coarse.min()) / (coarse.max() - coarse.min()) - 0.5
    field = torch.from_numpy((1 + share * coarse).astype(np.float32))
    grown = torch.nn.functional.interpolate(field[None, None], tuple(shape), mode="trilinear", align_corners=True)
    return grown[0, 0]


Manufacturer = Literal["Siemens", "GE", "Philips"]
NECK_MM = 40.0  # more than any pose and tilt image below the grid of a head
PEAK_PERCENTILE = 99.9  # of the image, which is stored as the peak of the vendor


@dataclass(frozen=True)
class Storage:
    """The conversion of magnitudes to int16 by a vendor.

    Parameters
    ----------
    peak : tuple of 2 float
        Range from which the stored number of the brightest voxels is drawn for each scan.
    largest : int
        Brighter values are clipped: 12 bits, or 15.
    has_slope : bool
        Whether the header scales the stored numbers, as in converted Philips files.
    """

    peak: tuple[float, float]
    largest: int
    has_slope: bool = False


STORAGE: dict[str, Storage] = {
    "Siemens": Storage((500.0, 2000.0), 4095),
    "GE": Storage((3000.0, 15000.0), 32767),
    "Philips": Storage((1500.0, 3500.0), 4095, has_slope=True),
}


@dataclass(frozen=True)
class Scanner:
    """One scanner.

    Parameters
    ----------
    manufacturer, model : str
        Canonical spelling.
    field_strength_t : float
        Tesla.
    snr : float
        Mean signal of cortex and white matter without receive bias, over the standard deviation of the noise in one
        channel.
    receive_bias, transmit_bias : float
        Peak to peak as a share of the mean, over the field of view and over the grid of the head.
    """

    manufacturer: Manufacturer
    model: str
    field_strength_t: float
    snr: float = 30.0
    receive_bias: float = 0.4
    transmit_bias: float = 0.15

    def __post_init__(self) -> None:
        if self.manufacturer not in STORAGE:
            raise PhantomError(f"no vendor {self.manufacturer!r} can be simulated", f"choose from {sorted(STORAGE)}")
        if not self.snr > 0:
            raise PhantomError(f"a signal-to-noise ratio of {self.snr} is not positive", "give one above 0, e.g. 30")
        for name, share in (("receive_bias", self.receive_bias), ("transmit_bias", self.transmit_bias)):
            if not 0 <= share < 2:
                raise PhantomError(f"{name} of {share} would make signal negative", "give a share from 0 to below 2")


@dataclass(frozen=True)
class Acquired:
    """One image as stored.

    Parameters
    ----------
    voxels : (i, j, k) array of int16
        Stored numbers; the header scales them by `slope`.
    affine : (4, 4) array
        Voxel to scanner, RAS+, mm.
    noise_sd : float
        Standard deviation of the noise in one channel, in stored numbers.
    """

    voxels: NDArray[np.int16]
    affine: NDArray[np.float64]
    slope: float = 1.0
    noise_sd: float = 0.0


def acquire(
    head: Head,
    protocol: SequenceProtocol,
    scanner: Scanner,
    *,
    voxel_size_mm: tuple[float, float, float],
    axcodes: str,
    pose: NDArray[np.float64] | None = None,
    tilt_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    seed: int,
) -> Acquired:
    """Return the image that a scanner stores of a head.

    Signals are mixed on the head's grid under the transmit field, averaged over each voxel of the acquisition,
    weighted by the receive field, and stored as integer magnitudes after complex noise is added.

    Parameters
    ----------
    voxel_size_mm : tuple of 3 float
        Along the first, second and third voxel axis.
    axcodes : str
        Direction of the voxel axes, e.g. LPS.
    pose : (4, 4) array, optional
        Head to scanner, RAS+, mm, rigid; identity by default.
    tilt_deg : tuple of 3 float
        Rotation of the acquisition's axes about x, y and z of the scanner: an oblique acquisition.
    seed : int
        Determines fields, noise and stored peak.

    Raises
    ------
    PhantomError
        For an impossible voxel size, orientation or pose.
    """
    placed = np.eye(4) if pose is None else _rigid(pose)
    transmit = smooth_field(head.fractions.shape[1:], stream(seed, "transmit"), scanner.transmit_bias)
    rendered = render(head, protocol, transmit)
    grid = grid_over(rendered.image.shape, head.affine, placed, voxel_size_mm, axcodes, tilt_deg)
    image = average_over_voxels(*with_neck(rendered.image, head.affine), placed, grid)
    image = image * smooth_field(image.shape, stream(seed, "receive"), scanner.receive_bias)
    sigma = rendered.brain_signal / scanner.snr
    noisy = add_noise(image.numpy(), sigma, stream(seed, "noise"))
    voxels, scale, slope = store(noisy, scanner.manufacturer, stream(seed, "peak"))
    return Acquired(voxels, grid.affine, slope, sigma * scale)


def with_neck(image: Tensor, affine: NDArray[np.float64]) -> tuple[Tensor, NDArray[np.float64]]:
    """Return an image whose lowest layer is repeated downwards as a neck, and its affine.

    Parameters
    ----------
    image : (i, j, k) tensor
        Its third axis points upwards.
    """
    n_layers = int(np.ceil(NECK_MM / np.linalg.norm(affine[:3, 2])))
    lowest = image[:, :, :1].expand(-1, -1, n_layers)
    lowered = affine.copy()
    lowered[:3, 3] -= n_layers * affine[:3, 2]
    return torch.cat([lowest, image], dim=2), lowered


def add_noise(image: NDArray[np.float32], sigma: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Return the magnitude of an image with complex Gaussian noise: Rician, and Rayleigh in air.

    Parameters
    ----------
    sigma : float
        Standard deviation in each of the two channels.
    """
    real = image + np.float32(sigma) * random.standard_normal(image.shape, np.float32)
    imaginary = np.float32(sigma) * random.standard_normal(image.shape, np.float32)
    magnitude: NDArray[np.float32] = np.hypot(real, imaginary)
    return magnitude


def store(
    image: NDArray[np.float32], manufacturer: str, random: np.random.Generator
) -> tuple[NDArray[np.int16], float, float]:
    """Convert magnitudes to the stored numbers of a vendor.

    Returns
    -------
    voxels : (i, j, k) array of int16
    scale : float
        Stored number per unit of the image.
    slope : float
        Factor in the header; 1 where the vendor does not scale.
    """
    storage = STORAGE[manufacturer]
    brightest = float(np.percentile(image[::2, ::2, ::2], PEAK_PERCENTILE))
    if brightest <= 0:
        raise PhantomError("there is no signal in the image", "give a protocol in which some tissue has signal")
    scale = random.uniform(*storage.peak) / brightest
    voxels = np.clip(np.rint(image * np.float32(scale)), 0, storage.largest).astype(np.int16)
    slope = round(random.uniform(0.2, 3.0), 4) if storage.has_slope else 1.0
    return voxels, scale, slope


def random_pose(
    random: np.random.Generator, center_mm: NDArray[np.float64], rotation_deg: float = 5.0, shift_mm: float = 4.0
) -> NDArray[np.float64]:
    """Return a random pose of a head: normal rotations about its centre and shifts, given by standard deviations.

    Parameters
    ----------
    center_mm : (3,) array
        Centre of the head, head frame, RAS+, mm.

    Returns
    -------
    (4, 4) array
        Head to scanner, RAS+, mm.
    """
    pose = np.eye(4)
    pose[:3, :3] = rotation(np.clip(random.normal(0, rotation_deg, 3), -3 * rotation_deg, 3 * rotation_deg))
    pose[:3, 3] = center_mm - pose[:3, :3] @ center_mm + random.normal(0, shift_mm, 3)
    return pose


def center_of(shape: tuple[int, ...] | torch.Size, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the centre of a grid in world coordinates, mm, (3,)."""
    middle: NDArray[np.float64] = (affine @ [*((np.array(shape[-3:]) - 1) / 2), 1.0])[:3]
    return middle


def _rigid(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    if pose.shape != (4, 4) or not np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-6):
        raise PhantomError("the pose is not rigid", "give a rotation and a shift as a 4 × 4 matrix")
    if np.linalg.det(pose[:3, :3]) < 0:
        raise PhantomError("the pose mirrors the head", "give a rotation: left must stay left")
    return pose


CENTER_SCANNERS: dict[str, tuple[Scanner, ...]] = {
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
    "ixi": (  # in the order of `layouts.cohorts.IXI_SITES`
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
    """Return the scanner of a participant by number; it is the same at every visit."""
    scanners = CENTER_SCANNERS[center_id]
    return scanners[(number - 1) % len(scanners)]
