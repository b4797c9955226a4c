"""What every test may use: an empty home, a tiny BIDS dataset, and the real samples where they are."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pytest

from warehouse.lake.home import Home

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An installation without anything in it."""
    return Home(tmp_path / "home")


@pytest.fixture
def bids(tmp_path: Path) -> Path:
    """Two people with a T1w and a FLAIR each, one table, one sidecar for all T1w, one zero-byte image.

    bids/
      dataset_description.json  participants.tsv  T1w.json
      sub-01/anat/sub-01_{T1w,FLAIR}.nii.gz
      sub-02/anat/sub-02_{T1w,FLAIR}.nii.gz   sub-02_T2w.nii.gz (empty)
    """
    return write_bids(tmp_path / "bids")


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real samples."""
    folder = Path(os.environ.get("TUMSYN_SAMPLES") or ROOT.parent / "shared" / "data")
    if not (folder / "metadata").is_dir():
        pytest.skip(f"no real samples in {folder}; TUMSYN_SAMPLES names their folder")
    return folder


def write_bids(root: Path) -> Path:
    root.mkdir(parents=True)
    (root / "dataset_description.json").write_text('{"Name": "tiny", "BIDSVersion": "1.9.0"}')
    (root / "participants.tsv").write_text("participant_id\tsex\tage\nsub-01\tF\t31\nsub-02\tM\t45\n")
    (root / "T1w.json").write_text(json.dumps({"RepetitionTime": 2.3, "EchoTime": 0.003, "Manufacturer": "SIEMENS"}))
    for sub in ("01", "02"):
        for suffix in ("T1w", "FLAIR"):
            write_image(root / f"sub-{sub}" / "anat" / f"sub-{sub}_{suffix}.nii.gz")
    (root / "sub-02" / "anat" / "sub-02_T2w.nii.gz").touch()
    return root


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    value = zlib.crc32(path.name.encode()) % 30_000  # every image has a content of its own
    nibabel.save(nibabel.Nifti1Image(np.full((5, 6, 7), value, np.int16), affine), path)
