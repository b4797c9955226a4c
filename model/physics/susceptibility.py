"""The field of a susceptibility map, its phase, and the mask that SWI makes of the phase."""

from __future__ import annotations

import math

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from warehouse.errors import PhysicsError

GAMMA_HZ_PER_T = 42.577478518e6
"""Gyromagnetic ratio of the proton over 2π (CODATA 2018)."""


def dipole_kernel(shape: tuple[int, int, int], voxel_mm: tuple[float, float, float], b0_axis: int) -> Tensor:
    """Return the dipole kernel 1/3 − k_z²/k² on the grid of `rfftn`, 0 at k = 0, float32.

    Source: Salomir 2003 Concepts Magn Reson B 19B:26; Marques and Bowtell 2005 Concepts Magn Reson B 25B:65.
    """
    axes = [torch.fft.fftfreq(n, d=step) for n, step in zip(shape, voxel_mm, strict=True)]
    axes[2] = torch.fft.rfftfreq(shape[2], d=voxel_mm[2])
    squares = [axis**2 for axis in axes]
    total = squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :]
    along = squares[b0_axis].reshape([-1 if axis == b0_axis else 1 for axis in range(3)])
    kernel: Tensor = 1 / 3 - along / total.clamp(min=1e-30)
    kernel[0, 0, 0] = 0.0
    return kernel


def susceptibility_field_t(
    chi_ppm: Tensor, voxel_mm: tuple[float, float, float], field_strength_t: float, b0_axis: int = 2
) -> Tensor:
    """Return the field along B0 that a susceptibility map adds, tesla.

    Parameters
    ----------
    chi_ppm : (i, j, k) Tensor
        Relative to the surroundings, ppm (SI).
    voxel_mm : (3,) tuple
    field_strength_t : float
    b0_axis : {0, 1, 2}
        Grid axis along B0; 2 for a head in RAS+.

    Returns
    -------
    (i, j, k) Tensor
        float32. The map is padded by half of each extent to avoid wrap-around.
    """
    _check(chi_ppm, voxel_mm, b0_axis)
    shape = tuple(_good_size(n + n // 2) for n in chi_ppm.shape)
    kernel = dipole_kernel((shape[0], shape[1], shape[2]), voxel_mm, b0_axis)
    spectrum = torch.fft.rfftn(chi_ppm.to(torch.float32), s=shape)
    field_ppm: Tensor = torch.fft.irfftn(spectrum * kernel, s=shape)
    i, j, k = chi_ppm.shape
    return field_ppm[:i, :j, :k] * (field_strength_t * 1e-6)


def phase_rad(field_t: Tensor, echo_time_s: float) -> Tensor:
    """Return the phase at the echo, 2π γ ΔB TE, radians; positive in a field above B0."""
    return 2 * math.pi * GAMMA_HZ_PER_T * echo_time_s * field_t


def high_pass(
    phase: Tensor, voxel_mm: tuple[float, float, float], magnitude: Tensor | None = None, width_mm: float = 8.0
) -> Tensor:
    """Return the phase minus its Gaussian-smoothed copy, wrapped to (−π, π].

    As scanners do (homodyne: Noll 1991 IEEE TMI 10:154), the complex image is filtered, so that phase wraps have no
    effect: the result is the angle of exp(i phase) × conj(smooth(magnitude × exp(i phase))). `width_mm` is the standard
    deviation. The magnitude weights the voxels, so that air has no influence; without it all weigh the same.
    """
    wave = torch.exp(1j * phase.to(torch.float32))
    axes = [torch.fft.fftfreq(n, d=step) for n, step in zip(phase.shape, voxel_mm, strict=True)]
    gauss = [torch.exp(-2 * (math.pi * width_mm * axis) ** 2) for axis in axes]
    seen = wave if magnitude is None else wave * magnitude
    smooth = torch.fft.ifftn(torch.fft.fftn(seen) * gauss[0][:, None, None] * gauss[1][None, :, None] * gauss[2])
    return torch.angle(wave * smooth.conj())


def phase_mask(phase: Tensor, power: int = 4) -> Tensor:
    """Return the mask (π − φ)/π for 0 < φ ≤ π, 1 elsewhere, to a power. Source: Haacke 2004 MRM 52:612."""
    return (1 - phase.clamp(min=0) / math.pi) ** power


def swi_weight(
    chi_map_ppm: Tensor,
    voxel_mm: tuple[float, float, float],
    field_strength_t: float,
    echo_time_s: float,
    b0_axis: int = 2,
    magnitude: Tensor | None = None,
) -> Tensor:
    """Return the phase mask that SWI multiplies its magnitude by, (i, j, k) float32 in [0, 1].

    Positive phase, as in iron and in paramagnetic veins along B0, is darkened. `magnitude` is the image that the phase
    belongs to, (i, j, k), and weights the filter (`high_pass`).

    Raises
    ------
    PhysicsError
        For a map that is not 3-D or not finite, or an impossible voxel size, axis, echo time or field strength.
    """
    for name, value in (("an echo time", echo_time_s), ("a field strength", field_strength_t)):
        if not (math.isfinite(value) and value > 0):
            raise PhysicsError(f"{name} of {value} is not positive", "give seconds and tesla above 0")
    field_t = susceptibility_field_t(chi_map_ppm, voxel_mm, field_strength_t, b0_axis)
    return phase_mask(high_pass(phase_rad(field_t, echo_time_s), voxel_mm, magnitude))


def _check(chi_ppm: Tensor, voxel_mm: tuple[float, float, float], b0_axis: int) -> None:
    if chi_ppm.ndim != 3 or not bool(torch.isfinite(chi_ppm).all()):
        raise PhysicsError(
            f"a susceptibility map of shape {tuple(chi_ppm.shape)}", "give a finite map (i, j, k) in ppm"
        )
    if len(voxel_mm) != 3 or not all(step > 0 for step in voxel_mm):
        raise PhysicsError(f"voxels of {voxel_mm} mm are not possible", "give three sizes above 0 mm")
    if b0_axis not in (0, 1, 2):
        raise PhysicsError(f"no axis {b0_axis} of a volume", "give 0, 1 or 2")


def _good_size(n: int) -> int:
    """Return the next even number that factors into 2, 3 and 5, for which FFTs are fast."""
    return 2 * int(next_fast_len(-(-n // 2), real=True))
