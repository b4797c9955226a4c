"""`tumsyn synthesize` writes one file that is marked as synthetic, and overwrites nothing without --force."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.model.inference.test_synthesize import one_sided
from tests.model.tiny_models import save_synthesis
from tests.pipelines.conftest import Command
from warehouse.lake.home import Home

ASKED = ("--prompt", "Modality: T2w; TE: 90 ms", "--device", "cpu")


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.nii.gz"
    nib.save(one_sided(np.diag([-2.0, 2.0, 3.0, 1.0]), (20, 18, 12)), path)
    return path


@pytest.fixture
def model_id(home: Home) -> str:
    return save_synthesis(home)


def test_a_scan_becomes_what_the_prompt_asks_for(tumsyn: Command, scan: Path, model_id: str, tmp_path: Path) -> None:
    for name in ("out.nii.gz", "out.nii"):
        done = tumsyn("synthesize", str(scan), *ASKED, "--model", model_id, "--out", str(tmp_path / name))
        assert done.exit_code == 0, done.output
        assert f"synthetic T2w by TUMSyn model {model_id}" in done.stderr
        made = nib.load(tmp_path / name)
        np.testing.assert_allclose(made.affine, nib.load(scan).affine)
        assert made.shape == (20, 18, 12)
        assert b"synthetic" in bytes(made.header["descrip"])
    assert {path.name for path in tmp_path.iterdir()} == {"scan.nii.gz", "out.nii.gz", "out.nii", "home"}


def test_affines_that_disagree_are_reported_with_the_one_that_was_used(
    tumsyn: Command, scan: Path, model_id: str, tmp_path: Path
) -> None:
    image = nib.load(scan)
    image.set_sform(image.affine, 1)
    image.set_qform(nib.affines.from_matvec(np.eye(3), [9.0, 0, 0]) @ image.affine, 1)
    nib.save(image, tmp_path / "apart.nii.gz")
    out = tmp_path / "out.nii.gz"
    done = tumsyn("synthesize", str(tmp_path / "apart.nii.gz"), *ASKED, "--model", model_id, "--out", str(out))
    assert done.exit_code == 0, done.output
    assert "place a corner 9.0 mm apart; the sform is used" in done.stderr.replace("\n", " ")


def test_nothing_is_overwritten_unless_it_is_forced(tumsyn: Command, scan: Path, model_id: str, tmp_path: Path) -> None:
    out = tmp_path / "out.nii"
    out.write_text("mine")
    words = "synthesize", str(scan), *ASKED, "--model", model_id, "--out", str(out)
    refused = tumsyn(*words)
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert out.read_text() == "mine"
    assert tumsyn(*words, "--force").exit_code == 0
    assert nib.load(out).shape == (20, 18, 12)


def test_the_scan_itself_is_never_overwritten(tumsyn: Command, scan: Path, model_id: str) -> None:
    before = scan.read_bytes()
    refused = tumsyn("synthesize", str(scan), *ASKED, "--model", model_id, "--out", str(scan), "--force")
    assert refused.exit_code == 1
    assert "the scan itself" in refused.stderr
    assert scan.read_bytes() == before


@pytest.mark.parametrize(
    ("out", "message"), [("out.png", "not the name of a NIfTI file"), ("absent/out.nii", "is not a folder")]
)
def test_an_output_that_cannot_be_is_refused(
    tumsyn: Command, scan: Path, tmp_path: Path, out: str, message: str
) -> None:
    refused = tumsyn("synthesize", str(scan), *ASKED, "--out", str(tmp_path / out))
    assert refused.exit_code == 1
    assert message in refused.stderr


def test_without_a_model_it_is_said_how_to_get_one(tumsyn: Command, scan: Path, tmp_path: Path) -> None:
    refused = tumsyn("synthesize", str(scan), *ASKED, "--out", str(tmp_path / "out.nii"))
    assert refused.exit_code == 1
    assert "tumsyn train" in refused.stderr
    assert not (tmp_path / "out.nii").exists()


def test_a_brain_mask_can_be_given_and_must_lie_on_the_scans_grid(
    tumsyn: Command, scan: Path, model_id: str, tmp_path: Path
) -> None:
    image, mask = nib.load(scan), tmp_path / "mask.nii.gz"
    words = "synthesize", str(scan), *ASKED, "--model", model_id, "--brain-mask", str(mask), "--out"
    brain = (image.get_fdata() > 100).astype(np.uint8)
    nib.save(nib.Nifti1Image(brain, image.affine), mask)
    done = tumsyn(*words, str(tmp_path / "out.nii"))
    assert done.exit_code == 0, done.output
    nib.save(nib.Nifti1Image(brain[1:], image.affine), mask)
    refused = tumsyn(*words, str(tmp_path / "other.nii"))
    assert refused.exit_code == 1
    assert "resample the mask to the scan's grid" in refused.stderr.replace("\n", " ")
    assert not (tmp_path / "other.nii").exists()
