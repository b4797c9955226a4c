"""Draw the pictures of README.md and docs/weights.md: `python docs/make_weights_pictures.py HOME MODEL [SPLIT]`.

HOME holds an evaluation of MODEL from file to file on people whom it never saw. Drawn are, of each direction, the pair
of the median SSIM in the brain, and the worst pair of all; and what four protocols make of one scan. Neurological
convention: the left of a head is on the left.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from model.data.catalogue import CatalogueImages
from model.evaluation.comparison import Compared, compare, shades
from model.evaluation.pairs import TestPair
from model.evaluation.scenes import native_scene, synthesise
from model.inference.named_settings import signals
from model.inference.synthesize import Synthesizer, load_synthesizer
from warehouse.catalog.query import Catalogue
from warehouse.harmonize.intensity import find_head
from warehouse.imaging.brain_scale import soften
from warehouse.imaging.geometry import Image, turn
from warehouse.lake import atomic
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord
from warehouse.quality.planes import Shown, row_figure
from warehouse.quality.slices import PLANES, View, png

PICTURES = Path(__file__).parent / "pictures"
WIDTH_PX, MARGIN_MM, DPI = 1200, 10.0, 90
SCORES = """
SELECT task, source_image_ids, target_image_id,
    max(value) FILTER (metric = 'ssim') AS ssim, max(value) FILTER (metric = 'psnr_db') AS psnr_db
FROM core.evaluation_score
WHERE model_id = $model AND split = $split AND form = 'native' AND mask = 'brain' AND len(source_image_ids) = 1
GROUP BY ALL ORDER BY task, ssim
"""


STEERED_CENTER = "open_ms"
PROTOCOLS = {
    "T2w, TE 30 ms": PromptRecord("T2w", repetition_time_s=5.0, echo_time_s=0.03),
    "T2w, TE 150 ms": PromptRecord("T2w", repetition_time_s=5.0, echo_time_s=0.15),
    "FLAIR, TI 1,600 ms": PromptRecord("FLAIR", repetition_time_s=9.0, echo_time_s=0.12, inversion_time_s=1.6),
    "FLAIR, TI 2,500 ms": PromptRecord("FLAIR", repetition_time_s=9.0, echo_time_s=0.12, inversion_time_s=2.5),
}
STEERED_WINDOW = (0.0, 2.2)  # of signals, where the median of the brain has 1


def main(home: Home, model_id: str, split: str = "val") -> None:
    """Draw all pictures."""
    with Catalogue(home).connect() as connection:
        rows = connection.execute(SCORES, {"model": model_id, "split": split}).fetchall()
    if not rows:
        sys.exit(f"{home.root} has no figures of model {model_id} on {split}: run tumsyn evaluate, and publish")
    images, model = CatalogueImages.open(home, "standard", [split]), load_synthesizer(home, model_id)
    by_task: dict[str, list[Any]] = {}
    for row in rows:
        by_task.setdefault(row[0], []).append(row)
    medians = [found[(len(found) - 1) // 2] for found in by_task.values()]
    worst = min(rows, key=lambda row: row[3])
    draw("weights_median.png", [compared(images, model, row, split) for row in medians])
    first = [compared(images, model, row, split) for row in medians if row[0] == "T1w_to_T2w"]
    draw("readme.png", first)
    draw("weights_worst.png", [compared(images, model, worst, split)])
    steered(images, model)


def compared(images: CatalogueImages, model: Synthesizer, row: Any, split: str) -> Compared:
    """Return a pair as the picture shows it: on the grid of the real target's file, axes near R, A and S."""
    task, [source_id], target_id, ssim, psnr_db = row
    index = {item.image_id: number for number, item in enumerate(images.items)}
    pair = TestPair(task, split, (index[source_id],), index[target_id])
    scene = native_scene(images, pair)
    made = synthesise(model, scene, images.items[pair.target].record)
    real, given, network = (soften(one).astype(np.float32) for one in (scene.truth, scene.sources[0], made))
    if images.items[pair.target].is_stripped:  # nothing is made there, which on the scale of a dull brain is not black
        network = np.where(scene.brain, network, real)
    shown = shades(given, network, real, scene.brain)
    brain = turn(scene.brain, scene.grid.affine)
    source, synthetic, target = (turn(volume, scene.grid.affine) for volume in shown)
    view = View.around([brain], brain.shape, scene.grid.turned().voxel_size_mm, MARGIN_MM)
    title = task.replace("_to_", " → ")
    center = images.items[pair.target].center_id
    return Compared(source, synthetic, target, view, f"{title}, {center}    {psnr_db:.1f} dB, SSIM {ssim:.2f}")


def steered(images: CatalogueImages, model: Synthesizer) -> None:
    """Draw what settings of a prompt make of one T1w."""
    index = next(
        n for n, one in enumerate(images.items) if (one.center_id, one.contrast_label) == (STEERED_CENTER, "T1w")
    )
    source, sample = images.source(index), images.volume(index)
    given = Image(signals(source.voxels, source.relative_spread).astype(np.float32), sample.affine)
    head = find_head(given) | source.mask
    row = [Shown("the scan: T1w", given, source.mask, STEERED_WINDOW)]
    for title, asked in PROTOCOLS.items():
        made = np.where(head, model.signal([source], asked), 0.0).astype(np.float32)  # air has no signal, as in files
        row.append(Shown(title, given.like(made), source.mask, STEERED_WINDOW))
    figure = row_figure(row, "one real T1w, four prompts")
    figure.savefig(PICTURES / "weights_steering.png", dpi=DPI)


def draw(name: str, rows: list[Compared]) -> None:
    """Write one picture."""
    note = "real people whom the weights never saw;  L, R: the person's left and right"
    atomic.write_bytes(PICTURES / name, png(compare(rows, (PLANES[0],), WIDTH_PX, note)))


if __name__ == "__main__":
    main(Home(Path(sys.argv[1]).resolve()), *sys.argv[2:])
