"""Draw the data flow of docs/architecture.md, docs/pictures/data_flow.svg: `python docs/make_data_flow_picture.py`."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

PICTURE = Path(__file__).parent / "pictures" / "data_flow.svg"
WIDTH, HEIGHT = 26.0, 10.5  # of a box, in hundredths of the picture's width
COLUMNS, ROWS = (0.0, 37.0, 74.0), (54.0, 36.0, 18.0, 0.0)
STORE, STEP, OUTSIDE = "#dbe7f3", "#fdf0d5", "#f1f1f1"
INK, LINE = "#1c2733", "#5b6b7a"


class Box(NamedTuple):
    """Place in the grid, heading, explanation and colour of a box."""

    column: int
    row: int
    heading: str
    words: str
    colour: str

    @property
    def middle(self) -> tuple[float, float]:
        """Return the centre of the box."""
        return COLUMNS[self.column] + WIDTH / 2, ROWS[self.row] + HEIGHT / 2


BOXES = {
    "folder": Box(0, 0, "Folder of a centre", "BIDS, a published layout, or DICOM;\nonly read", OUTSIDE),
    "parts": Box(0, 1, "lake/", "Parquet parts and manifests\nof each centre; events", STORE),
    "volumes": Box(0, 2, "volumes/", "OME-Zarr stores: native and\nsession grid, masks, transforms", STORE),
    "scan": Box(0, 3, "A scan of yours and a prompt", "NIfTI, whole head or stripped", OUTSIDE),
    "readers": Box(1, 0, "SQL, notebooks, Dagster", "read-only, with limits of time\nand memory", OUTSIDE),
    "snapshot": Box(1, 1, "warehouse/", "snapshots: one immutable DuckDB\nfile each, and a link to one", STORE),
    "training": Box(1, 2, "Training", "text encoder, then synthesis\nnetwork; simulated scans mixed in", STEP),
    "synthesize": Box(1, 3, "tumsyn synthesize", "prepares the scan as for training,\nand makes the contrast", STEP),
    "report": Box(2, 0, "reports/", "one page: scores beside baselines,\nfidelity, gates, pictures", OUTSIDE),
    "evaluation": Box(2, 1, "Evaluation", "from file to file, on people who\nwere not trained on", STEP),
    "models": Box(2, 2, "models/", "checkpoints, named by the hash\nof their content", STORE),
    "result": Box(2, 3, "A synthetic scan", "NIfTI, and a sidecar that says\nfrom what it was made", OUTSIDE),
}
# From, side; to, side; label; shift of label: a side is a direction, with a share of the box's half side along it.
ARROWS = [
    ("folder", (0, -1), "parts", (0, 1), "tumsyn ingest", "right"),
    ("parts", (0.2, -1), "volumes", (0.2, 1), "tumsyn harmonize", "right"),
    ("volumes", (-0.2, 1), "parts", (-0.2, -1), "rows", "left"),
    ("parts", (1, 0), "snapshot", (-1, 0), "publish", "above"),
    ("volumes", (1, 0), "training", (-1, 0), "patches", "above"),
    ("snapshot", (0, 1), "readers", (0, -1), "tumsyn sql", "right"),
    ("snapshot", (0, -1), "training", (0, 1), "pairs, prompts, splits", "right"),
    ("snapshot", (1, 0.4), "evaluation", (-1, 0.4), "test pairs", "above"),
    ("evaluation", (-1, -0.4), "snapshot", (1, -0.4), "scores, gates", "below"),
    ("training", (1, 0), "models", (-1, 0), "", "above"),
    ("models", (0, 1), "evaluation", (0, -1), "tumsyn evaluate", "left"),
    ("evaluation", (0, 1), "report", (0, -1), "tumsyn report", "left"),
    ("models", (-0.5, -1), "synthesize", (0.7, 1), "champion, else the weights that ship", "corner"),
    ("scan", (1, 0), "synthesize", (-1, 0), "", "above"),
    ("synthesize", (1, 0), "result", (-1, 0), "", "above"),
]
SHIFTS = {
    "above": (0, 0.8, "center", "bottom"),
    "below": (0, -0.8, "center", "top"),
    "right": (0.8, 0, "left", "center"),
    "left": (-0.8, 0, "right", "center"),
    "corner": (2.5, -0.2, "left", "top"),
}


def main() -> None:
    """Draw the picture; the same versions of the libraries write the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "tumsyn", "svg.fonttype": "path", "font.family": "DejaVu Sans"}):
        figure, axes = plt.subplots(figsize=(10, 6.5))
        axes.set_position((0, 0, 1, 1))
        axes.set(xlim=(-1, 101), ylim=(-1, 65.5), aspect="equal")
        axes.axis("off")
        for box in BOXES.values():
            _draw_box(axes, box)
        for arrow in ARROWS:
            _draw_arrow(axes, *arrow)
        figure.savefig(PICTURE, metadata={"Date": None}, facecolor="white")
        plt.close(figure)


def _draw_box(axes: Axes, box: Box) -> None:
    corner, middle = (COLUMNS[box.column], ROWS[box.row]), box.middle
    style = "round,pad=0,rounding_size=1"
    axes.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, boxstyle=style, facecolor=box.colour, edgecolor=LINE))
    axes.text(middle[0], middle[1] + 2.6, box.heading, ha="center", va="center", weight="bold", size=9.5, color=INK)
    axes.text(middle[0], middle[1] - 1.6, box.words, ha="center", va="center", size=8, color=INK, linespacing=1.3)


def _draw_arrow(
    axes: Axes, start: str, leaves: tuple[float, float], end: str, enters: tuple[float, float], label: str, side: str
) -> None:
    a, b = _point(BOXES[start], leaves), _point(BOXES[end], enters)
    axes.add_patch(FancyArrowPatch(a, b, arrowstyle="-|>", mutation_scale=12, color=LINE, shrinkA=0, shrinkB=0, lw=1.2))
    right, up, horizontal, vertical = SHIFTS[side]
    x, y = (a[0] + b[0]) / 2 + right, (a[1] + b[1]) / 2 + up
    axes.text(x, y, label, ha=horizontal, va=vertical, size=8, style="italic", color=INK)


def _point(box: Box, side: tuple[float, float]) -> tuple[float, float]:
    return box.middle[0] + side[0] * WIDTH / 2, box.middle[1] + side[1] * HEIGHT / 2


if __name__ == "__main__":
    main()
