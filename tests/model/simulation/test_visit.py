"""A visit is a few BIDS files of one head, whole, in one world, with left on the left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from model.physics.tissue import TISSUES
from model.simulation.head import make_head
from model.simulation.visit import DEMONSTRATION, PROTOCOLS, SCANNER, demonstration_visit, write_visit

COARSE_MM = 5.0


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_visit(tmp_path_factory.mktemp("visit"), "x", DEMONSTRATION, PROTOCOLS, SCANNER, COARSE_MM)


@pytest.mark.slow
def test_each_scan_has_a_sidecar_that_says_how_it_was_acquired(files: dict[str, Path]) -> None:
    assert list(files) == ["T1w", "T2w"]
    for suffix, protocol in PROTOCOLS.items():
        said = json.loads(files[suffix].with_name(f"sub-x_{suffix}.json").read_text(encoding="utf-8"))
        assert said["EchoTime"] == protocol.echo_time_s
        assert "SIMULATED" in said["ImageType"]
        assert files[suffix].name == f"sub-x_{suffix}.nii.gz"


@pytest.mark.slow
def test_scans_lie_in_one_world_and_their_left_is_the_heads_left(files: dict[str, Path]) -> None:
    head = make_head(DEMONSTRATION, COARSE_MM)
    fluid = np.argwhere(head.fractions[TISSUES.index("csf")].numpy() > 0.95)
    images: list[Any] = [nib.load(path) for path in files.values()]
    one, two = images
    np.testing.assert_allclose(one.affine, two.affine)
    assert nib.aff2axcodes(two.affine) == ("L", "A", "S")
    np.testing.assert_allclose(two.header.get_zooms(), COARSE_MM, atol=1e-3)
    voxels = two.get_fdata()
    i, j, k = np.round(nib.affines.apply_affine(np.linalg.inv(two.affine) @ head.affine, fluid)).astype(int).T
    bright = voxels[i, j, k].mean()
    assert bright > np.percentile(voxels, 90)
    assert bright > 1.05 * voxels[::-1][i, j, k].mean()


def test_a_demonstration_is_simulated_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []

    def write(folder: Path, name: str, *_: object, voxel_mm: float = 1.0) -> None:
        made.append(voxel_mm)
        for suffix in PROTOCOLS:
            (folder / f"sub-{name}_{suffix}.nii.gz").touch()

    monkeypatch.setattr("model.simulation.visit.write_visit", write)
    first, again = demonstration_visit(tmp_path), demonstration_visit(tmp_path)
    assert first == again
    assert made == [1.0]
