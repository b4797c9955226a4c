"""Slices of what went in, what the model made, what it was to make, and where the two differ.

Neurological convention: the left of a picture is the person's left; both sides are marked. Volumes come as network
intensities and are drawn linear, not compressed. The 0.5th and 99.5th percentile of the real target in its brain are
black and white, for the made image as well; the source has another contrast, and a window of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from warehouse.errors import ModelError
from warehouse.lake import atomic
from warehouse.quality.slices import GROUND, INK, PLANES, QUIET, View, mark_sides, show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

from numpy.typing import NDArray

from model.data.catalogue import CatalogueImages, Source
from model.evaluation.evaluate import SynthesisModel
from warehouse.imaging.brain_scale import harden
from warehouse.imaging.geometry import turn

DIFFERENCE_RANGE = 0.4  # of black to white; what differs more has the end's colour
DIFFERENCE_COLOURS = (
    "berlin"  # dark where nothing differs, blue and red for less and more, and safe for the colour-blind
)
WINDOW = (0.5, 99.5)  # percentiles of a brain that are drawn black and white
COLUMNS = 4
TITLES = ("source", "made by the model", "target", "made − target")
MARGIN_MM = 12.0
DPI = 100
OVERVIEW_WIDTH_PX, PAGE_WIDTH_PX = 1200, 880  # in the page two stand side by side, so that letters must be larger
GAP_PX, HEAD_PX, FOOT_PX, NAME_PX = 6.0, 34.0, 34.0, 30.0


def draw_example(example: Example) -> bytes:
    """Draw one task: source, made, real and difference, in an axial and a coronal slice; return the PNG."""
    return _png(_figure([example], (PLANES[0], PLANES[1]), PAGE_WIDTH_PX))


def draw_overview(examples: Sequence[Example], path: Path) -> Path:
    """Draw several tasks below each other, an axial slice each, for a README.

    Parameters
    ----------
    examples : sequence of Example
        At least one.
    path : Path
        Of the PNG; replaced atomically.
    """
    if not examples:
        raise ModelError("there is no example to draw", "evaluate on data that have a pair of some task")
    is_simulated = any(example.is_simulated for example in examples)
    note = "simulated heads, nobody's data;  " if is_simulated else ""
    figure = _figure(examples, (PLANES[0],), OVERVIEW_WIDTH_PX, f"{note}L, R: the person's left and right")
    temporary = atomic.temporary_beside(path)
    temporary.write_bytes(_png(figure))
    atomic.move(temporary, path)
    return path


def _figure(
    examples: Sequence[Example], planes: Sequence[tuple[int, int, int]], width_px: int, note: str = ""
) -> Figure:
    """Draw a grid: one row per example and plane, one column per volume; with a note, a name above each example."""
    from matplotlib.figure import Figure

    views = [View.around([e.mask], e.mask.shape, e.voxel_size_mm, MARGIN_MM) for e in examples]
    column = (width_px - (COLUMNS + 1) * GAP_PX) / COLUMNS
    heights = [[column * view.size_mm(plane[2]) / view.size_mm(plane[1]) for plane in planes] for view in views]
    name_px = NAME_PX if note else 0.0
    height_px = HEAD_PX + FOOT_PX + sum(sum(each) + GAP_PX * len(each) + name_px for each in heights)
    figure = Figure(figsize=(width_px / DPI, height_px / DPI), dpi=DPI, facecolor=GROUND)
    canvas = _Canvas(figure, width_px, height_px)
    for number, title in enumerate(TITLES):
        middle = GAP_PX + number * (column + GAP_PX) + column / 2
        canvas.write(middle, height_px - 23, title, size=12, ha="center")
    top = height_px - HEAD_PX
    for example, view, tall in zip(examples, views, heights, strict=True):
        if note:
            caption = f"{example.title}    {example.psnr_db:.1f} dB, SSIM {example.ssim:.2f}"
            canvas.write(GAP_PX + 4, top - 20, caption, size=13, weight="bold")
            top -= name_px
        for plane, plane_px in zip(planes, tall, strict=True):
            top -= plane_px
            _row(canvas, example, view, plane, (column, top, plane_px))
            top -= GAP_PX
    _key(canvas, note)
    return figure


@dataclass(frozen=True)
class _Canvas:
    """A figure whose places are pixels, from the lower left corner."""

    figure: Figure
    width_px: float
    height_px: float

    def write(self, x: float, y: float, text: str, **style: Any) -> None:
        style = {"color": INK, "fontsize": style.pop("size", 11), "parse_math": False} | style
        self.figure.text(x / self.width_px, y / self.height_px, text, **style)

    def axes(self, x: float, y: float, width: float, height: float) -> Any:
        place = (x / self.width_px, y / self.height_px, width / self.width_px, height / self.height_px)
        return self.figure.add_axes(place)


def _row(
    canvas: _Canvas,
    example: Example,
    view: View,
    plane: tuple[int, int, int],
    place: tuple[float, float, float],
) -> None:
    column, bottom, height = place
    grey = {"cmap": "gray", "vmin": 0.0, "vmax": 1.0}
    ends = {"cmap": DIFFERENCE_COLOURS, "vmin": -DIFFERENCE_RANGE, "vmax": DIFFERENCE_RANGE}
    drawn = (
        (example.source, grey),
        (example.made, grey),
        (example.target, grey),
        (example.made - example.target, ends),
    )
    for number, (volume, style) in enumerate(drawn):
        axes = canvas.axes(GAP_PX + number * (column + GAP_PX), bottom, column, height)
        show(axes, volume, view, plane, **style)
        mark_sides(axes, plane, size=12)


def _key(canvas: _Canvas, note: str) -> None:
    """Write the note, and what the colours of the difference mean, below everything."""
    canvas.write(10, 12, note, size=10.5, color=QUIET)
    width, right = 120.0, canvas.width_px - 138
    ramp = canvas.axes(right - width, 12, width, 10)
    ramp.imshow(np.linspace(-1, 1, 256)[None], aspect="auto", cmap=DIFFERENCE_COLOURS)
    ramp.set_axis_off()
    canvas.write(right - width - 8, 12, f"too dark −{DIFFERENCE_RANGE:g}", size=10.5, color=QUIET, ha="right")
    canvas.write(right + 8, 12, f"+{DIFFERENCE_RANGE:g} too bright", size=10.5, color=QUIET)


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI, facecolor=GROUND, metadata={"Software": None})
    return file.getvalue()


@dataclass(frozen=True)
class Example:
    """One pair of a task with what the model made of it.

    Parameters
    ----------
    task, split, center_id, prompt : str
        Prompt is the sentence that the model was given, in the paper's words.
    source, made, target : (i, j, k) float64 array
        RAS; 0 is drawn black and 1 white, what lies beyond is clipped. The source, the first of several, has its own
        window, the others have the target's.
    mask : (i, j, k) bool array
        Brain of the target.
    voxel_size_mm : (3,) float64 array
    psnr_db, ssim : float
        In the brain, as the catalogue has them.
    is_simulated : bool
    """

    task: str
    split: str
    center_id: str
    prompt: str
    source: NDArray[np.float64]
    made: NDArray[np.float64]
    target: NDArray[np.float64]
    mask: NDArray[np.bool_]
    voxel_size_mm: NDArray[np.float64]
    psnr_db: float
    ssim: float
    is_simulated: bool

    @property
    def title(self) -> str:
        """The task as people write it, e.g. T1w → T2w."""
        return self.task.replace("_to_", " → ").replace("+", " + ")


def in_order(rows: Sequence[dict[str, Any]], tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows of ``examples.sql`` as a page shows them: real people first, then by task."""
    return sorted(rows, key=lambda row: (row["is_simulated"], tasks.index(row["task"])))


def make_examples(
    images: CatalogueImages, synthesizer: SynthesisModel, rows: Sequence[dict[str, Any]], recipe: str
) -> list[Example]:
    """Make the pictures' volumes: the model is asked again for each pair.

    Parameters
    ----------
    images : CatalogueImages
        Holding the splits of the rows.
    synthesizer : SynthesisModel
    rows : sequence of dict
        Of ``examples.sql``.
    recipe : str
        By which the images were harmonised.

    Raises
    ------
    ModelError
        When an image is not there any more, or the model makes another shape.
    """
    index = {item.image_id: number for number, item in enumerate(images.items)}
    made = []
    for row in rows:
        wanted = [*row["source_image_ids"], row["target_image_id"]]
        if missing := [image_id for image_id in wanted if image_id not in index]:
            what = f"images {' and '.join(missing)} of task {row['task']} are not among the harmonised ones"
            raise ModelError(what, f"harmonise them by recipe {recipe}, or evaluate again")
        *sources, target = (index[image_id] for image_id in wanted)
        made.append(_example(images, synthesizer, sources, target, row))
    return made


def _example(
    images: CatalogueImages, synthesizer: SynthesisModel, sources: Sequence[int], wanted: int, row: dict[str, Any]
) -> Example:
    target, first = images.volume(wanted), images.volume(sources[0])
    given = [
        Source(sample.voxels, sample.mask, images.items[index].record)
        for index, sample in ((index, images.volume(index)) for index in sources)
    ]
    made = np.asarray(synthesizer.volume(given, images.items[wanted].record))
    if made.shape != target.voxels.shape:
        what = f"the model made {made.shape} for a target of {target.voxels.shape}"
        raise ModelError(f"{row['task']}: {what}", "train it again")
    low, high = _window(target.voxels, target.mask)
    own_low, own_high = _window(first.voxels, target.mask)
    shown = (
        (harden(first.voxels.astype(np.float64)) - own_low) / (own_high - own_low),
        (harden(made.astype(np.float64)) - low) / (high - low),
        (harden(target.voxels.astype(np.float64)) - low) / (high - low),
    )
    turned = [turn(np.clip(volume, 0.0, 1.0), target.affine) for volume in shown]
    facts = {key: row[key] for key in ("task", "split", "center_id", "prompt", "psnr_db", "ssim", "is_simulated")}
    return Example(
        source=turned[0],
        made=turned[1],
        target=turned[2],
        mask=turn(target.mask, target.affine),
        voxel_size_mm=target.grid.turned().voxel_size_mm,
        **facts,
    )


def _window(network: NDArray[np.float32], brain: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the linear intensities that are black and white: percentiles of a brain in network intensities."""
    low, high = np.percentile(harden(network[brain].astype(np.float64)), WINDOW)
    return float(low), float(high) if high > low else float(low) + 1.0
