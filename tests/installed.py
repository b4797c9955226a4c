"""Use an installed TUMSyn as a user would; run by the interpreter of an environment that holds the wheel alone.

    PYTHON -I tests/installed.py

It imports nothing of the checkout, and works in a folder of its own. Any failure ends it with a status other than 0.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

SIDE = 40  # voxels of 1 mm: the whole path in a few seconds
PACKAGES = ("warehouse", "model", "pipelines")


def main() -> None:
    for name in PACKAGES:
        place = importlib.import_module(name).__file__ or ""
        assert Path(place).is_relative_to(sys.prefix), f"{name} was imported from {place}, not from {sys.prefix}"
    with tempfile.TemporaryDirectory() as folder:
        home, made = Path(folder) / "home", Path(folder) / "made.nii.gz"
        source = write_dataset(Path(folder) / "bids")
        tumsyn(home, "centers", "add", "lab", "--layout", "bids", "--root", Path(folder) / "bids")
        tumsyn(home, "ingest")
        rows = tumsyn(home, "sql", "SELECT count(*) AS n FROM out.image_catalog", "--format", "csv").splitlines()
        assert rows[-1] == "1", rows
        tumsyn(home, "synthesize", source, "--already-harmonised", "--prompt", "Modality: T2w", "--out", made)
        image, scan = nib.load(made), nib.load(source)
        voxels = np.asanyarray(image.dataobj)
        assert voxels.shape == scan.shape
        assert np.allclose(image.affine, scan.affine, atol=1e-4)
        assert np.isfinite(voxels).all()
        assert voxels.std() > 0
        assert b"synthetic" in bytes(image.header["descrip"]).lower()
        assert json.loads(made.with_name("made.json").read_text())["Synthetic"] is True
    sys.stdout.write(f"the wheel works by itself on Python {sys.version.split()[0]}: ingest, SQL, synthesis\n")


def write_dataset(root: Path) -> Path:
    """Write a BIDS dataset with one scan, a small ellipsoid in two intensities, and return the scan."""
    scan = root / "sub-01" / "anat" / "sub-01_T1w.nii.gz"
    scan.parent.mkdir(parents=True)
    (root / "dataset_description.json").write_text('{"Name": "lab", "BIDSVersion": "1.9.0"}')
    grid = np.meshgrid(*(np.linspace(-1, 1, SIDE),) * 3, indexing="ij")
    distance = sum(axis**2 for axis in grid)
    nib.save(nib.Nifti1Image(np.where(distance < 0.3, 0.8, 0.5 * (distance < 0.8)).astype(np.float32), np.eye(4)), scan)
    return scan


def tumsyn(home: Path, *words: str | Path) -> str:
    """Run the installed command in the home's folder, and return what it printed."""
    command = [Path(sys.prefix) / "bin" / "tumsyn", "--home", home, *words]
    done = subprocess.run(command, cwd=home.parent, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, f"`tumsyn {' '.join(map(str, words))}` ended with status {done.returncode}"
    return done.stdout


if __name__ == "__main__":
    main()
