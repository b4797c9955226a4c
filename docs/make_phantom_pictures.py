"""Draw the pictures of docs/phantom.md: `python docs/make_phantom_pictures.py` from the root of the repository.

Real scans are read from the folder in TUMSYN_SAMPLES (default ../shared/data) and never stored; without them the
picture that needs them and the table of ratios are skipped with a message. Neurological convention: the left of a
head is on the left.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage

from model.physics.protocol import SequenceProtocol
from model.physics.tissue import TISSUES
from model.simulation.head import Head, make_head
from model.simulation.people import Subject
from model.simulation.scanner import Scanner, acquire
from warehouse.harmonize.alignment import register_to_mni
from warehouse.harmonize.mask import find_brain
from warehouse.imaging.geometry import Image
from warehouse.imaging.scan import read_scan
from warehouse.quality.slices import GROUND, INK, PLANES, View, mark_sides, show
from warehouse.quality.tissues import segment

mpl.use("Agg")
from matplotlib import pyplot as plt

PICTURES = Path(__file__).parent / "pictures"
SAMPLES = Path(os.environ.get("TUMSYN_SAMPLES", "../shared/data")) / "images"
LONGITUDINAL = SAMPLES / "open_ms_longitudinal" / "patient01"
STRIPPED = SAMPLES / "open_ms_cross_sectional_mni" / "patient07"
POST_CONTRAST = STRIPPED / "T1POST_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI.nii.gz"
SEED = 75  # a person of average size

MPRAGE = SequenceProtocol("T1w", "mprage", 3.0, 2.3, 0.003, 0.9, 9.0)
SPIN_ECHO = SequenceProtocol("T1w", "spin_echo", 1.5, 0.5, 0.012, None, 90.0)
T2W = SequenceProtocol("T2w", "fast_spin_echo", 3.0, 4.5, 0.1, None, 150.0)
FLAIR = SequenceProtocol("FLAIR", "inversion_recovery", 3.0, 9.0, 0.12, 2.5, 150.0)
PDW = SequenceProtocol("PDw", "fast_spin_echo", 3.0, 3.0, 0.015, None, 150.0)
T2STARW = SequenceProtocol("T2starw", "t2star", 3.0, 0.65, 0.02, None, 20.0)
SWI = SequenceProtocol("SWI", "swi", 3.0, 0.028, 0.02, None, 15.0)
ANGIO = SequenceProtocol("angio", "time_of_flight", 3.0, 0.022, 0.0037, None, 18.0)
POST = replace(MPRAGE, is_post_contrast=True)
GREY = ("cortex", "thalamus", "striatum", "pallidum", "nigra")
WHITE = ("white_matter", "hyperintensity")


def main() -> None:
    """Draw all pictures, or those that are named."""
    PICTURES.mkdir(exist_ok=True)
    parts = {
        "contrasts": contrasts,
        "real": beside_real,
        "ages": ages,
        "lesions": lesions,
        "volumes": volumes,
        "ratios": ratios,
    }
    for name in sys.argv[1:] or parts:
        parts[name]()


def scan(
    head: Head,
    protocol: SequenceProtocol,
    voxel_size_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    snr: float = 30.0,
) -> Image:
    """Return a scan of a head as a scanner stores it, axes towards RAS."""
    scanner = Scanner("Siemens", "Prisma", protocol.field_strength_t, snr=snr, receive_bias=0.25)
    got = acquire(head, protocol, scanner, voxel_size_mm=voxel_size_mm, axcodes="RAS", seed=SEED)
    return Image(got.voxels.astype(np.float32), got.affine)


def view_of(image: Image, point_mm: Sequence[float]) -> View:
    """Return a view of the whole grid whose slices run through a point of the world, mm."""
    at = np.linalg.inv(image.affine) @ [*point_mm, 1.0]
    i, j, k = (
        int(np.clip(round(float(value)), 0, size - 1)) for value, size in zip(at[:3], image.voxels.shape, strict=True)
    )
    shape = image.voxels.shape
    return View((0, 0, 0), (shape[0], shape[1], shape[2]), (i, j, k), image.voxel_size_mm)


def row(axes: Sequence[mpl.axes.Axes], image: Image, point_mm: Sequence[float], title: str, top: float) -> None:
    """Draw the three planes through a point."""
    view = view_of(image, point_mm)
    for axis, plane in zip(axes, PLANES, strict=True):
        show(axis, projected(image, view, plane[0], title), view, plane, cmap="gray", vmin=0, vmax=top)
        mark_sides(axis, plane, 9)
    axes[0].set_title(title, color=INK, fontsize=10, loc="left")


def projected(image: Image, view: View, across: int, title: str) -> NDArray[np.float32]:
    """Return minima of SWI over 8 mm and maxima of angiography over the head, across a plane; others as they are."""
    if "angiography" in title:
        return np.broadcast_to(image.voxels.max(axis=across, keepdims=True), image.voxels.shape)
    if "SWI" in title:
        half = round(4 / image.voxel_size_mm[across])
        slab = np.take(image.voxels, range(view.centre[across] - half, view.centre[across] + half), axis=across)
        return np.broadcast_to(slab.min(axis=across, keepdims=True), image.voxels.shape)
    return image.voxels


def top_of(image: Image, inside: NDArray[np.bool_] | None = None) -> float:
    """Return the intensity that is drawn white: a little above the brightest of the brain."""
    values = image.voxels[inside] if inside is not None else image.voxels[image.voxels > 0]
    return 1.15 * float(np.percentile(values, 99.3))


def contrasts() -> None:
    """Draw all contrasts of one subject, three planes each."""
    head = make_head(Subject(SEED, 35.0, "F"), 1.0)
    wanted = {
        "T1w, MPRAGE": MPRAGE, "T1w, MPRAGE after contrast": POST, "T2w, fast spin echo": T2W, "FLAIR": FLAIR,
        "PDw, fast spin echo": PDW, "T2*w, gradient echo": T2STARW, "SWI, minimum over 8 mm": SWI,
        "angiography, maximum": ANGIO,
    }  # fmt: skip
    figure, axes = plt.subplots(4, 6, figsize=(15.6, 11.4), facecolor=GROUND)
    for number, (title, protocol) in enumerate(wanted.items()):
        image = scan(head, protocol)
        voxels = np.where(_inside(head, image), image.voxels, 0) if protocol is ANGIO else image.voxels
        cells = axes[number // 2, 3 * (number % 2) : 3 * (number % 2) + 3]
        row(cells, Image(voxels, image.affine), (6, -8, 6), title, top_of(image, _inside(head, image)))
    save(figure, "phantom_contrasts.png")


def _inside(head: Head, image: Image) -> NDArray[np.bool_]:
    """Return the intracranial space of a head on the grid of its scan."""
    to_head = np.linalg.inv(head.affine) @ image.affine
    shape = image.voxels.shape
    values = ndimage.affine_transform(
        head.intracranial.astype(np.float32), to_head[:3, :3], to_head[:3, 3], shape, order=0
    )
    return np.asarray(values > 0.5)


def beside_real() -> None:
    """Draw simulated scans beside real ones of like voxels."""
    if not LONGITUDINAL.is_dir():
        say(f"no real scans in {SAMPLES}: phantom_real.png is skipped; set TUMSYN_SAMPLES")
        return
    head = make_head(Subject(SEED, 35.0, "F", lesions=("ms",)), 1.0)
    size = (0.9, 0.9, 3.5)
    pairs = [
        ("T1w, spin echo", SPIN_ECHO, LONGITUDINAL / "study1_T1W.nii.gz", size),
        ("T2w", T2W, LONGITUDINAL / "study1_T2W.nii.gz", size),
        ("FLAIR", FLAIR, LONGITUDINAL / "study1_FLAIR.nii.gz", size),
        ("T1w after contrast, brain only", replace(SPIN_ECHO, is_post_contrast=True), POST_CONTRAST, (1.0, 1.0, 1.0)),
    ]
    figure, axes = plt.subplots(len(pairs), 6, figsize=(15.6, 10.6), facecolor=GROUND)
    for cells, (title, protocol, path, voxel_size_mm) in zip(axes, pairs, strict=True):
        simulated, real = scan(head, protocol, voxel_size_mm), read_scan(path).image
        brain, truth = find_brain(real), _inside(head, simulated)
        if path is POST_CONTRAST:
            simulated = simulated.like(np.where(truth, simulated.voxels, 0))
        middle = real.affine[:3, :3] @ np.argwhere(brain).mean(axis=0) + real.affine[:3, 3]
        row(cells[:3], simulated, (6, -8, 6), f"{title}: simulated", top_of(simulated, truth))
        row(cells[3:], real, np.add(middle, (6, 8, 0)).tolist(), f"{title}: real", top_of(real, brain))
    save(figure, "phantom_real.png")


def ages() -> None:
    """Draw one woman at five ages."""
    years = (3.0, 10.0, 35.0, 65.0, 90.0)
    figure, axes = plt.subplots(3, len(years), figsize=(14.5, 9.4), facecolor=GROUND)
    for column, age in enumerate(years):
        head = make_head(Subject(SEED, age, "F"), 1.0)
        for cell, protocol, plane in zip(
            axes[:, column], (MPRAGE, T2W, FLAIR), (PLANES[1], PLANES[0], PLANES[0]), strict=True
        ):
            image = scan(head, protocol)
            show(
                cell,
                image.voxels,
                view_of(image, (6, -12, 12)),
                plane,
                cmap="gray",
                vmin=0,
                vmax=top_of(image, _inside(head, image)),
            )
            mark_sides(cell, plane, 9)
        axes[0, column].set_title(f"{age:.0f} years", color=INK, fontsize=12)
    save(figure, "phantom_ages.png")


def lesions() -> None:
    """Draw each lesion in four contrasts through its middle."""
    people = {
        "multiple sclerosis": (Subject(4, 38.0, "F", lesions=("ms",)), "ms_active"),
        "small vessels": (Subject(2, 76.0, "M", lesions=("small_vessel",)), "hyperintensities"),
        "lacunes": (Subject(22, 72.0, "M", lesions=("lacunes",)), "lacunes"),
        "tumour": (Subject(3, 60.0, "F", lesions=("tumour",)), "tumour"),
    }
    figure, axes = plt.subplots(len(people), 5, figsize=(13.0, 12.6), facecolor=GROUND)
    for cells, (title, (subject, kind)) in zip(axes, people.items(), strict=True):
        head = make_head(subject, 1.0)
        point = _middle(head, kind)
        for cell, (name, protocol) in zip(
            cells, {"T1w": MPRAGE, "T1w after contrast": POST, "T2w": T2W, "FLAIR": FLAIR}.items(), strict=False
        ):
            image = scan(head, protocol)
            show(
                cell,
                image.voxels,
                view_of(image, point),
                PLANES[0],
                cmap="gray",
                vmin=0,
                vmax=top_of(image, _inside(head, image)),
            )
            mark_sides(cell, PLANES[0], 9)
            cell.set_title(f"{title}: {name}", color=INK, fontsize=9)
        truth = sum((number + 1.0) * mask for number, mask in enumerate(head.lesion_masks.values()))
        show(
            cells[4],
            np.asarray(truth),
            view_of(Image(np.asarray(truth, np.float32), head.affine), point),
            PLANES[0],
            cmap="inferno",
        )
        mark_sides(cells[4], PLANES[0], 9)
        cells[4].set_title("truth", color=INK, fontsize=9)
    save(figure, "phantom_lesions.png")


def _middle(head: Head, kind: str) -> list[float]:
    """Return a point whose axial slice shows most of a lesion, mm."""
    mask = head.lesion_masks[kind]
    k = int(mask.sum(axis=(0, 1)).argmax())
    i, j = np.argwhere(mask[:, :, k]).mean(axis=0)
    return [float(value) for value in (head.affine @ [i, j, k, 1.0])[:3]]


def volumes() -> None:
    """Draw grey, white and fluid volumes over age, and print them."""
    years = (2, 4, 6, 9, 14, 20, 28, 40, 50, 60, 70, 80, 90)
    table = np.array(
        [
            np.mean([_volumes(Subject(seed, age, sex)) for seed in (75, 77) for sex in ("M", "F")], axis=0)
            for age in years
        ]
    )  # type: ignore[arg-type]
    say("| age | grey | white | fluid | intracranial |\n|---|---|---|---|---|")
    for age, values in zip(years, table, strict=True):
        say(f"| {age} | " + " | ".join(f"{value:.0f}" for value in values) + " |")
    figure, axis = plt.subplots(figsize=(7.6, 4.6))
    for values, label, colour in zip(
        table.T, ("grey matter", "white matter", "fluid"), ("#7f7f7f", "#d8a12f", "#3b82c4"), strict=False
    ):
        axis.plot(years, values, "o-", label=label, color=colour)
    axis.axvline(5.9, color="#7f7f7f", linestyle=":")
    axis.axvline(28.7, color="#d8a12f", linestyle=":")
    axis.text(6.3, 25, "peak of cortical grey, 5.9 y", fontsize=8)
    axis.text(29.1, 60, "peak of white, 28.7 y (Bethlehem 2022)", fontsize=8)
    axis.set(xlabel="age, years", ylabel="volume, ml", ylim=(0, None))
    axis.legend(frameon=False)
    save(figure, "phantom_volumes.png")


def _volumes(subject: Subject) -> list[float]:
    head = make_head(subject, 3.0)
    inside = torch.from_numpy(head.intracranial)
    ml = 27.0 / 1000

    def of(*names: str) -> float:
        return float(head.fractions[[TISSUES.index(name) for name in names]].sum(dim=0)[inside].sum()) * ml

    return [of(*GREY), of(*WHITE), of("csf"), float(inside.sum()) * ml]


def ratios() -> None:
    """Print grey matter and fluid as a share of white matter, measured alike in simulated and real scans."""
    if not LONGITUDINAL.is_dir():
        say(f"no real scans in {SAMPLES}: the table of ratios is skipped; set TUMSYN_SAMPLES")
        return
    head = make_head(Subject(SEED, 35.0, "F"), 1.0)
    say("| scan | grey/white | fluid/white |\n|---|---|---|")
    for name, protocol in {"MPRAGE": MPRAGE, "T1w spin echo 1.5 T": SPIN_ECHO, "T2w": T2W, "FLAIR": FLAIR}.items():
        _print_ratio(
            f"simulated {name}", scan(head, protocol, (0.9, 0.9, 3.0) if protocol is not MPRAGE else (1.0, 1.0, 1.0))
        )
    for path in sorted([*SAMPLES.glob("vendor_t1w/*.nii.gz"), *SAMPLES.glob("open_ms_longitudinal/*/study1_*.nii.gz")]):
        _print_ratio(f"real {path.parent.name} {path.name.removesuffix('.nii.gz')}", read_scan(path).image)


def _print_ratio(name: str, image: Image) -> None:
    mask = find_brain(image)
    labels = segment(image, mask, register_to_mni(image, mask)[1].matrix)
    fluid, grey, white = (float(np.median(image.voxels[labels == label])) for label in (1, 2, 3))
    say(f"| {name} | {grey / white:.2f} | {fluid / white:.2f} |")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def save(figure: mpl.figure.Figure, name: str) -> None:
    """Save a picture in few colours, so that it stays small."""
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.96, 0.02, 0.10) if "volumes" not in name else figure.tight_layout()
    path = PICTURES / name
    figure.savefig(path, dpi=80, facecolor=figure.get_facecolor())
    plt.close(figure)
    Pillow.open(path).convert("P", palette=Pillow.Palette.ADAPTIVE, colors=48).save(path, optimize=True)
    say(f"{path} {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
