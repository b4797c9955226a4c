from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from model.physics.protocol import SequenceProtocol
from model.simulation.files import LOST, acquisition_facts, compressed, nifti_bytes, sidecar_fields
from model.simulation.rendering import rotation
from model.simulation.scanner import Acquired, Scanner

PROTOCOL = SequenceProtocol("T1w", "mprage", 3.0, 2.3, 0.003, 0.9, 9.0)
SCANNER = Scanner("Siemens", "Trio", 3.0)


def oblique() -> Acquired:
    affine = np.eye(4)
    affine[:3, :3] = rotation((12, 3, 5)) @ np.diag([-1.0, 1.0, 5.0])
    affine[:3, 3] = (30, -20, 10)
    return Acquired(np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7), affine, slope=0.25)


def test_a_file_holds_voxels_affine_and_scale(tmp_path) -> None:
    made = oblique()
    (tmp_path / "a.nii.gz").write_bytes(nifti_bytes(made, "a.nii.gz"))
    image = nib.load(tmp_path / "a.nii.gz")
    assert image.affine == pytest.approx(made.affine, abs=1e-5)
    assert image.header.get_qform() == pytest.approx(made.affine, abs=1e-3)
    assert image.get_fdata() == pytest.approx(0.25 * made.voxels)
    assert image.header.get_data_dtype() == np.int16


def test_a_header_says_that_it_is_simulated(tmp_path) -> None:
    (tmp_path / "a.nii").write_bytes(nifti_bytes(oblique(), "a.nii"))
    (tmp_path / "b.nii.gz").write_bytes(compressed(np.zeros((4, 4, 4), np.uint8), np.eye(4)))
    for name in ("a.nii", "b.nii.gz"):
        assert bytes(nib.load(tmp_path / name).header["descrip"]).startswith(b"simulated phantom")


def test_the_same_image_is_the_same_bytes() -> None:
    assert nifti_bytes(oblique(), "a.nii.gz") == nifti_bytes(oblique(), "a.nii.gz")


def test_maps_are_scaled_by_their_headers(tmp_path) -> None:
    (tmp_path / "t1_s.nii.gz").write_bytes(compressed(np.full((3, 3, 3), 890, np.int16), np.eye(4), 1e-3))
    assert nib.load(tmp_path / "t1_s.nii.gz").get_fdata() == pytest.approx(0.89)


def test_a_sidecar_says_how_the_image_was_made_and_that_it_is_simulated() -> None:
    fields = sidecar_fields(PROTOCOL, SCANNER, (1.0, 1.0, 1.0), 3)
    assert fields["RepetitionTime"] == 2.3
    assert fields["EchoTime"] == 0.003
    assert fields["ManufacturersModelName"] == "TrioTim"
    assert "simulated" in str(fields["ConversionSoftware"])
    assert "SIMULATED" in fields["ImageType"]


def test_what_a_converter_loses_is_lost_at_random_and_never_the_times() -> None:
    drawn = [sidecar_fields(PROTOCOL, SCANNER, (1.0, 1.0, 1.0), seed) for seed in range(400)]
    for key, chance in LOST.items():
        assert sum(key not in fields for fields in drawn) / 400 == pytest.approx(chance, abs=0.05)
    assert all({"RepetitionTime", "EchoTime"} <= fields.keys() for fields in drawn)


def test_a_sequence_without_inversion_states_none() -> None:
    flash = SequenceProtocol("T1w", "spoiled_gradient_echo", 1.5, 0.009, 0.004, None, 10.0)
    assert "InversionTime" not in sidecar_fields(flash, SCANNER, (1.0, 1.0, 1.0), 1)


@pytest.mark.parametrize(("size", "kind"), [((1.0, 1.0, 1.2), "3D"), ((0.9, 0.9, 5.0), "2D")])
def test_thick_voxels_are_slices(size: tuple[float, float, float], kind: str) -> None:
    assert acquisition_facts(PROTOCOL, SCANNER, size)["mr_acquisition_type"] == kind
