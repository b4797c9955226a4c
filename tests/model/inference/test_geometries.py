"""What lies on a person's left stays there, whatever grid a scan has and however its file says so."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from model.inference.from_scans import make, synthesize
from model.inference.scans import read, read_grid
from model.inference.synthesize import Synthesizer, load_synthesizer
from model.networks.synthesis import build, describe
from model.networks.synthesis.compact import CompactConfig
from tests.model.inference.awkward_scans import (
    ACCEPTED,
    BASE,
    HEAD,
    REFUSED,
    SHAPE,
    TURNED,
    File,
    Matrix,
    affine_of,
    assert_left_is_left,
    axes,
    head,
    middle_of,
)
from tests.model.inference.test_from_scans import Averaging
from tests.model.tiny_models import save_synthesis
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import BrainScale
from warehouse.lake.home import Home

ASKED = "Modality: T2w; TE: 90 ms"
GRID_MM = 4.5  # of the networks, whose cost is less so
SPREADS = dict.fromkeys(("T1w", "T2w"), BrainScale.of(HEAD, HEAD > 100).relative_spread)
ORIENTATIONS = ["".join(letters) for order in permutations(("LR", "PA", "IS")) for letters in product(*order)]
SAGITTAL = (26, 92, 92)


def loaded(folder: Path, **changes: Any) -> Synthesizer:
    home = Home(folder / "home")
    return load_synthesizer(home, save_synthesis(home, grid_mm=GRID_MM, relative_spread=SPREADS, **changes), "cpu")


@pytest.fixture(scope="module")
def averaging(tmp_path_factory: pytest.TempPathFactory) -> Averaging:
    tiny = loaded(tmp_path_factory.mktemp("averaging"))
    return Averaging(**{name: getattr(tiny, name) for name in tiny.__dataclass_fields__})


@pytest.fixture(scope="module")
def compact(tmp_path_factory: pytest.TempPathFactory) -> Synthesizer:
    """An untrained network, which begins as an intensity map: what is bright stays bright."""
    return loaded(tmp_path_factory.mktemp("compact"))


def scan_of(affine: Matrix, shape: Any = SHAPE) -> nib.Nifti1Image:
    return nib.Nifti1Image(head(affine, shape).astype(np.float32), affine)


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_each_of_the_48_orders_of_axes_keeps_the_left_on_the_left(codes: str, averaging: Averaging) -> None:
    shape, sizes = (46, 42, 38), (4.2, 4.5, 4.9)
    affine = affine_of(axes(codes), sizes, shape)
    assert_left_is_left(synthesize(scan_of(affine, shape), ASKED, model=averaging), affine, shape)


GRIDS: dict[str, tuple[Matrix, tuple[int, int, int]]] = {
    "oblique, permuted and mirrored": (affine_of(TURNED @ axes("SLP")), SHAPE),
    "oblique by nearly 45 degrees": (affine_of(nib.eulerangles.euler2mat(0.78, -0.3, -0.7) @ axes("LAS")), SHAPE),
    "oblique thick sagittal": (affine_of(TURNED @ axes("RPI"), (6.5, 2.0, 2.0), SAGITTAL), SAGITTAL),
    "sheared": (affine_of([[-1, 0.1, 0.1], [0.1, 0.9, 0], [0.05, 0.1, 1]]), SHAPE),
    "axial slices of 4 mm, voxels that are no integer": (
        affine_of(axes("LPS"), (1.796875, 1.796875, 4.0), (88, 100, 40)),
        (88, 100, 40),
    ),
    "coronal slices with gaps": (affine_of(axes("LIA"), (2.3, 2.3, 7.7), (64, 64, 22)), (64, 64, 22)),
    "sides of 20 to 30 voxels": (affine_of(axes("LAS"), (6.0, 6.6, 6.0), (24, 26, 30)), (24, 26, 30)),
    "12 slices of the head's middle": (affine_of(TURNED @ axes("LAS"), (3, 3, 5), (50, 56, 12)), (50, 56, 12)),
    "300 mm from the origin": (affine_of(axes("LPI"), middle=(0, 0, 300.0)), SHAPE),
    "3 m from the origin": (affine_of(TURNED @ axes("ARI"), middle=(-900.0, 1200.0, -3000.0)), SHAPE),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", GRIDS)
def test_an_awkward_grid_is_kept_with_its_sides(what: str, averaging: Averaging) -> None:
    affine, shape = GRIDS[what]
    assert_left_is_left(synthesize(scan_of(affine, shape), ASKED, model=averaging), affine, shape)


REPRESENTATIVE = {
    "mirrored": (affine_of(axes("LAS")), SHAPE),
    "oblique thick sagittal": GRIDS["oblique thick sagittal"],
    "sides of 20 to 30 voxels": GRIDS["sides of 20 to 30 voxels"],
    "permuted": (affine_of(axes("PIL")), SHAPE),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", REPRESENTATIVE)
def test_a_network_keeps_awkward_grids_and_sides(what: str, compact: Synthesizer) -> None:
    affine, shape = REPRESENTATIVE[what]
    assert_left_is_left(synthesize(scan_of(affine, shape), ASKED, model=compact), affine, shape)


@pytest.mark.slow
@pytest.mark.parametrize("what", REPRESENTATIVE)
def test_a_network_of_full_size_keeps_awkward_grids_and_sides(what: str, compact: Synthesizer) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build(describe("compact", CompactConfig(embedding_width=16)))
    affine, shape = REPRESENTATIVE[what]
    whole = replace(compact, network=network.eval())
    assert_left_is_left(synthesize(scan_of(affine, shape), ASKED, model=whole), affine, shape)


@pytest.mark.slow
@pytest.mark.parametrize("what", GRIDS)
def test_an_awkward_reference_gets_the_left_of_the_scan(what: str, averaging: Averaging) -> None:
    affine, shape = GRIDS[what]
    own = affine_of(TURNED.T @ axes("SPR"), middle=middle_of(affine, shape))
    reference = nib.Nifti1Image(np.zeros(shape, np.uint8), affine)
    assert_left_is_left(synthesize(scan_of(own), ASKED, like=reference, model=averaging), affine, shape)


@pytest.mark.slow
@pytest.mark.parametrize("what", GRIDS)
def test_a_further_scan_of_another_geometry_shows_the_same_left(what: str, averaging: Averaging) -> None:
    affine, shape = GRIDS[what]
    first = scan_of(affine_of(TURNED.T @ axes("RAS"), middle=middle_of(affine, shape)))
    blank = nib.Nifti1Image(np.minimum(first.get_fdata(), 800).astype(np.float32), first.affine)  # without the marker
    Averaging.given.clear()
    made = make([blank, scan_of(affine, shape)], ASKED, model=averaging, is_harmonised=True)
    assert made.image.shape == SHAPE
    [[_, further]] = Averaging.given
    grid = read(first).grid.turned().with_voxels((GRID_MM,) * 3)
    shown = nib.Nifti1Image(further.voxels - further.voxels.min(), grid.affine)
    assert_left_is_left(shown, grid.affine, grid.shape)


@pytest.mark.slow
@pytest.mark.parametrize(
    "middle",
    [
        pytest.param((3.0, -7.0, 5.0), id="at the origin"),
        pytest.param((0.0, 0.0, 300.0), id="300 mm away"),
        pytest.param((-900.0, 1200.0, -3000.0), id="3 m away"),
    ],
)
def test_a_further_scan_is_aligned_however_far_the_origin_is(middle: tuple[float, ...], averaging: Averaging) -> None:
    first, shape = scan_of(affine_of(axes("LAS"), middle=middle)), (56, 24, 60)
    after = np.add(middle, (4.0, -3.0, 2.0))  # the head moved between the scans
    further = scan_of(affine_of(axes("RAI"), (3.0, 7.0, 3.0), shape, after), shape)
    Averaging.given.clear()
    made = make([first, further], ASKED, model=averaging)
    assert any("image 2 was aligned with the first scan" in warning for warning in made.warnings)
    assert_left_is_left(made.image, first.affine)
    [[_, moved]] = Averaging.given
    grid = read(first).grid.turned().with_voxels((GRID_MM,) * 3)
    assert_left_is_left(nib.Nifti1Image(moved.voxels - moved.voxels.min(), grid.affine), grid.affine, grid.shape)


IN_MEMORY = (
    "both forms",
    "qform alone",
    "qform of a permuted grid",
    "a sheared sform",
    "forms 9 mm apart",
    "forms half a turn about x apart",
    "nonsense for a quaternion beside a sform",
    "pixdim negative, qform alone",
    "pixdim 1 beside a sform",
    "metres",
    "microns",
    "no unit",
    "slope and intercept",
    "big-endian",
    "NIfTI-2",
    "a fourth axis of one",
    "NaN around a brain",
)
REFUSED_IN_MEMORY = (
    "no form",
    "a mirror",
    "half a turn about z",
    "half a turn about y",
    "a sform of zeros",
    "a sform of NaN",
    "metres stated, millimetres meant",
    "metres meant, no unit",
    "complex",
    "colours",
    "20 volumes",
    "two axes",
    "one value",
    "NaN alone",
)


def in_memory(file: File) -> nib.Nifti1Image:
    """Return a file as nibabel reads it, which repairs some headers and refuses others by itself."""
    kind = nib.Nifti2Image if file.content[:4] == (540).to_bytes(4, "little") else nib.Nifti1Image
    return kind.from_bytes(file.content)


@pytest.mark.slow
@pytest.mark.parametrize("what", IN_MEMORY)
def test_an_image_in_memory_is_judged_as_its_file(what: str, averaging: Averaging) -> None:
    file = ACCEPTED[what]
    made = make([in_memory(file)], ASKED, model=averaging)
    assert_left_is_left(made.image, file.affine)
    assert file.said in " ".join(made.warnings)


@pytest.mark.parametrize("what", REFUSED_IN_MEMORY)
def test_an_image_in_memory_is_refused_as_its_file(what: str, averaging: Averaging) -> None:
    with pytest.raises(ModelError) as refusal:
        synthesize(in_memory(REFUSED[what]), ASKED, model=averaging)
    assert REFUSED[what].said in refusal.value.what
    assert refusal.value.remedy


@pytest.mark.parametrize("what", IN_MEMORY)
def test_a_reference_in_memory_places_as_its_file_does(what: str, tmp_path: Path) -> None:
    path = tmp_path / ACCEPTED[what].name
    path.write_bytes(ACCEPTED[what].content)
    (grid, code), (here, own) = read_grid(path), read_grid(in_memory(ACCEPTED[what]))
    assert (grid.shape, code) == (here.shape, own)
    np.testing.assert_allclose(here.affine, grid.affine, atol=1e-3)
    np.testing.assert_allclose(grid.affine, ACCEPTED[what].affine, atol=1e-3)


def test_a_reference_in_memory_whose_forms_are_mirrors_is_refused(averaging: Averaging) -> None:
    with pytest.raises(ModelError, match="disagree about left and right"):
        synthesize(scan_of(BASE), ASKED, like=in_memory(REFUSED["a mirror"]), model=averaging)


def test_an_affine_that_was_changed_in_memory_is_the_one_that_counts(averaging: Averaging) -> None:
    given = in_memory(ACCEPTED["both forms"])
    given.affine[:3, 3] += (40.0, 0.0, -25.0)
    made = synthesize(given, ASKED, model=averaging)
    assert_left_is_left(made, given.affine)
