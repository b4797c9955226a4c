"""The files of one simulated scan, NIfTI and sidecar, as converters write them; a scan always gives the same bytes."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from model.simulation.defects import spoil_file, spoil_header
from model.simulation.layouts.plan import SIMULATED
from model.simulation.seeds import stream

if TYPE_CHECKING:
    from model.physics.protocol import SequenceProtocol
    from model.simulation.scanner import Acquired, Scanner

SIDECAR_KEYS = {
    "manufacturer": "Manufacturer",
    "manufacturers_model_name": "ManufacturersModelName",
    "magnetic_field_strength_t": "MagneticFieldStrength",
    "repetition_time_s": "RepetitionTime",
    "echo_time_s": "EchoTime",
    "inversion_time_s": "InversionTime",
    "flip_angle_deg": "FlipAngle",
    "slice_thickness_mm": "SliceThickness",
    "mr_acquisition_type": "MRAcquisitionType",
}
SPELLINGS = {"Trio": "TrioTim", "Prisma fit": "Prisma_fit"}  # as converters write them
COMPRESSION = 4  # of gzip: higher levels hardly make noise smaller
SCANNING_SEQUENCES = {
    "spin_echo": "SE",
    "fast_spin_echo": "SE",
    "inversion_recovery": "SE_IR",
    "mprage": "GR_IR",
}
THICK = 1.8  # ratio of slice thickness to in-plane voxel from which an acquisition counts as 2D
# Probability that a converter or an anonymiser removed a field, by sidecar key.
LOST = {"InversionTime": 0.15, "FlipAngle": 0.06, "ManufacturersModelName": 0.06, "MagneticFieldStrength": 0.05}


def nifti_bytes(acquired: Acquired, path: str, defect: str | None = None) -> bytes:
    """Return the file of an image, compressed if its name ends in .gz, with a defect if one is given."""
    image = nib.Nifti1Image(acquired.voxels, acquired.affine)
    label(image)
    image.set_sform(acquired.affine, code=1)
    image.set_qform(acquired.affine, code=1)
    image.header.set_slope_inter(1.0, 0.0)
    content = bytearray(image.to_bytes())
    if acquired.slope != 1.0:
        content[112:116] = np.float32(acquired.slope).tobytes()  # scl_slope, which nibabel resets when it writes
    spoil_header(content, defect)
    packed = gzip.compress(bytes(content), COMPRESSION, mtime=0) if path.endswith(".gz") else bytes(content)
    return spoil_file(packed, defect)


def label(image: nib.Nifti1Image) -> None:
    """Write the units into a header, and that the image is simulated."""
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = SIMULATED.encode()


def compressed(
    voxels: NDArray[np.generic], affine: NDArray[np.float64], slope: float = 1.0, inter: float = 0.0
) -> bytes:
    """Return an array as a compressed NIfTI whose header scales the stored numbers by `slope` and `inter`."""
    image = nib.Nifti1Image(voxels, affine)
    label(image)
    content = bytearray(image.to_bytes())
    content[112:120] = np.array([slope, inter], "<f4").tobytes()
    return gzip.compress(bytes(content), COMPRESSION, mtime=0)


def sidecar_fields(
    protocol: SequenceProtocol, scanner: Scanner, voxel_size_mm: Sequence[float], seed: int
) -> dict[str, object]:
    """Return the fields of a sidecar as a converter writes it, without those that are lost.

    Parameters
    ----------
    seed : int
        Determines which fields are lost.
    """
    facts = acquisition_facts(protocol, scanner, voxel_size_mm)
    random = stream(seed, "lost")
    lost = {key for key, chance in LOST.items() if random.random() < chance}
    fields = {
        SIDECAR_KEYS[name]: SPELLINGS.get(str(value), value) for name, value in facts.items() if value is not None
    }
    return {
        "Modality": "MR",
        "ImageType": ["DERIVED", "PRIMARY", "SIMULATED"],
        "ScanningSequence": SCANNING_SEQUENCES.get(protocol.sequence, "GR"),
        **{key: value for key, value in fields.items() if key not in lost},
        "ConversionSoftware": f"tumsyn, {SIMULATED}",
    }


def acquisition_facts(
    protocol: SequenceProtocol, scanner: Scanner, voxel_size_mm: Sequence[float]
) -> dict[str, object]:
    """Return the columns of `core.acquisition` that a sidecar can give; None where one does not apply."""
    return {
        "manufacturer": scanner.manufacturer,
        "manufacturers_model_name": scanner.model,
        "magnetic_field_strength_t": scanner.field_strength_t,
        "mr_acquisition_type": "2D" if max(voxel_size_mm) >= THICK * min(voxel_size_mm) else "3D",
        "slice_thickness_mm": round(float(max(voxel_size_mm)), 4),
        "repetition_time_s": protocol.repetition_time_s,
        "echo_time_s": protocol.echo_time_s,
        "inversion_time_s": protocol.inversion_time_s,
        "flip_angle_deg": protocol.flip_angle_deg,
    }
