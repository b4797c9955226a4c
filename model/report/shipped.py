"""What the weights that ship make of scans that they never saw, beside the real ones: files, and a picture of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.evaluation.comparison import Compared, compare, shades
from model.evaluation.metrics import measure
from model.inference.from_scans import Made, Report, make
from model.inference.outputs import write
from model.inference.placing import place
from model.inference.scans import clean, read
from model.inference.synthesize import Synthesizer
from model.networks.checkpoint import read_config
from warehouse.errors import ModelError
from warehouse.imaging.brain_scale import BrainScale
from warehouse.imaging.geometry import turn
from warehouse.ingest.sidecars import stem
from warehouse.lake.atomic import sha256
from warehouse.lake.home import Home
from warehouse.quality.slices import PLANES, View, png

WIDTH_PX, MARGIN_MM = 1200, 12.0
NOTE = "each scan on the scale of its own brain;  L, R: the person's left and right"


@dataclass(frozen=True)
class Wish:
    """A scan, what is wanted of it, and the real scan of that contrast, which is not shown to the model.

    Parameters
    ----------
    source : Path
    contrast : str
        As a prompt names it, e.g. T2w.
    real : Path
        In the world of the source; the result gets its grid.
    whose : str
        Whose head, as the picture says it.
    """

    source: Path
    contrast: str
    real: Path
    whose: str


def was_seen(weights: Path, scan: Path) -> bool:
    """Return whether weights have learned from a file, by its content.

    Parameters
    ----------
    weights : Path
        Folder of a checkpoint.
    scan : Path
    """
    trained_on: Mapping[str, Sequence[str]] = read_config(weights).get("trained_on") or {}
    return sha256(scan) in trained_on.get("scans", ())


def make_examples(
    home: Home,
    model: Synthesizer,
    wishes: Sequence[Wish],
    folder: Path,
    progress: Callable[[str], Report] = lambda name: lambda done, total, item: None,
) -> list[Compared]:
    """Synthesise what is wished, write it with its sidecar into a folder, and return what a picture shows of it.

    Parameters
    ----------
    home : Home
    model : Synthesizer
    wishes : sequence of Wish
    folder : Path
        Made where absent; files of the same names are replaced.
    progress : callable, optional
        As `model.inference.from_scans.make` takes it.

    Raises
    ------
    ModelError
        When a scan cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for wish in wishes:
        asked = f"Modality: {wish.contrast}"
        made = make([wish.source], asked, model=model, home=home, like=wish.real, progress=progress)
        write(made, folder / f"{wish.source.parent.name}_{stem(wish.source.name)}_to_{wish.contrast}.nii.gz")
        found.append(_compared(model, wish, made))
    return found


def draw(rows: Sequence[Compared]) -> bytes:
    """Return the PNG: an axial slice of each row.

    Raises
    ------
    ModelError
        When there is no row.
    """
    if not rows:
        raise ModelError("there is no example to draw", "name a scan and the real scan of the wanted contrast")
    return png(compare(rows, (PLANES[0],), WIDTH_PX, NOTE))


def _compared(model: Synthesizer, wish: Wish, made: Made) -> Compared:
    real = clean(read(wish.real), model.preparation)
    brain, grid = real.mask, real.image.grid
    source = read(wish.source).image
    given = place(source.voxels, source.grid, grid)
    voxels = turn(np.asarray(made.image.dataobj, np.float32), made.image.affine)
    given_scale, own = BrainScale.of(given, brain), BrainScale.of(voxels, brain)
    found = measure(own.linear(voxels), real.scale.linear(real.image.voxels), brain, list(real.image.voxel_size_mm))
    truth = real.scale.to_network(real.image.voxels)
    contrast = made.inputs[0].known.record.contrast or "?"
    figures = f"{found['psnr_db', 'brain']:.1f} dB, SSIM {found['ssim', 'brain']:.2f} in the brain"
    return Compared(
        *shades(given_scale.to_network(given), own.to_network(voxels), truth, brain),
        view=View.around([brain], brain.shape, real.image.voxel_size_mm, MARGIN_MM),
        caption=f"{contrast} → {wish.contrast}, {wish.whose}    {figures}",
    )
