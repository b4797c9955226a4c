"""Whether the contrast of a real T1w follows the numbers of a prompt in the right direction.

    python -m benchmarks.real_curves --home HOME [--model shipped] [--split val] [--people N] [--points 3]
                                    [--slab-mm 60]

Nobody knows the relaxation times of a real person, so only direction and order are judged: as on digital people
(`model.evaluation.fidelity`), GM/WM and CSF/WM of what is made are held against the independent simulator, here by
relaxation times of the textbook at 3 T. Tissues are segmented on the T1w (`warehouse.quality.tissues`); fluid and white
matter are thinned by a voxel. A tumour is not known and counts as the tissue that it looks like. The brain is asked for
in an axial slab around its middle, since a ratio of tissues does not need all of it. Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.peers import CONTRASTS
from model.data.catalogue import CatalogueImages
from model.data.digital_people import FIELD_T, DigitalPerson, Relaxation, Tissue, relaxation_of
from model.evaluation.fidelity import FLAT, RATIOS, measure, true_ratios
from model.evaluation.sweeps import SWEEPS, Sweep
from model.inference.synthesize import load_synthesizer
from model.physics.tissue import properties
from warehouse.imaging.brain_scale import harden
from warehouse.imaging.geometry import Image
from warehouse.lake.home import Home
from warehouse.quality.tissues import CSF, GM, WM, segment

LABELS: dict[Tissue, int] = {"csf": CSF, "gm": GM, "wm": WM}
THINNED = ("csf", "wm")  # cortex is too thin for it
MARGIN_VOXELS = 4


def main() -> None:
    """Ask for every sweep of every person and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--model", default="shipped")
    parser.add_argument("--recipe", default="standard", help="of the home's volumes")
    parser.add_argument("--split", default="val", choices=("train", "val", "test_internal"))
    parser.add_argument("--people", type=int, help="at most")
    parser.add_argument("--points", type=int, default=3, help="of each sweep, its ends among them")
    parser.add_argument("--slab-mm", type=float, default=60.0, help="thickness of the axial slab that is made")
    given = parser.parse_args()
    home = Home(given.home.resolve())
    synthesizer = load_synthesizer(home, given.model)
    images = CatalogueImages.open(home, given.recipe, [given.split])
    sweeps = [fewer(sweep, given.points) for sweep in SWEEPS if sweep.contrast in CONTRASTS]
    table = relaxation_of(properties(FIELD_T))
    truth, rows = true_ratios(table, sweeps), []
    chosen = [index for index, item in enumerate(images.items) if item.contrast_label == "T1w"][: given.people]
    for index in chosen:
        person = in_slab(real_person(images, index, table), given.slab_mm)
        for sweep in sweeps:
            rows += measure(synthesizer, person, truth, [sweep])
            print(f"{person.label}: {sweep.name}, {sweep.field}", flush=True)
    print(shown(rows))


def fewer(sweep: Sweep, n_points: int) -> Sweep:
    """Return a sweep over so many of its values, evenly chosen, its ends among them."""
    picked = np.linspace(0, len(sweep.values) - 1, n_points).round().astype(int)
    return replace(sweep, values=tuple(sweep.values[index] for index in picked))


def real_person(images: CatalogueImages, index: int, relaxation: dict[Tissue, Relaxation]) -> DigitalPerson:
    """Return a real T1w with the tissues that are found in it, in the form of a digital person."""
    sample, item = images.volume(index), images.items[index]
    signal = (1 + sample.scale.relative_spread * harden(sample.voxels.astype(np.float64))).astype(np.float32)
    labels = segment(Image(signal, sample.affine), sample.mask, np.eye(4))
    shares = {name: _pure(labels == label, name in THINNED) for name, label in LABELS.items()}
    return DigitalPerson(item.person_id, images.source(index), sample.affine, sample.scale, shares, relaxation)


def in_slab(person: DigitalPerson, thickness_mm: float) -> DigitalPerson:
    """Return what lies in an axial slab around the middle of the brain, and in its bounds along i and j."""
    found = np.argwhere(person.source.mask)
    middle, half = int(found[:, 2].mean()), round(thickness_mm / 2 / float(np.linalg.norm(person.affine[:3, 2])))
    low, high = np.maximum(found.min(0) - MARGIN_VOXELS, 0), found.max(0) + MARGIN_VOXELS + 1
    low[2], high[2] = max(middle - half, 0), middle + half
    box = tuple(slice(int(first), int(last)) for first, last in zip(low, high, strict=True))
    affine, source = person.affine.copy(), person.source
    affine[:3, 3] += affine[:3, :3] @ low
    seen = None if source.seen is None else source.seen[box]
    cut = replace(source, voxels=source.voxels[box], mask=source.mask[box], seen=seen)
    shares = {name: share[box] for name, share in person.shares.items()}
    return replace(person, source=cut, affine=affine, shares=shares)


def _pure(mask: NDArray[np.bool_], is_thinned: bool) -> NDArray[np.float32]:
    thin = ndimage.binary_erosion(mask) if is_thinned else mask
    return (thin if thin.any() else mask).astype(np.float32)


def shown(rows: Iterable[dict[str, Any]]) -> str:
    """Return a line for each person, sweep and tissue, and what was right among all, as Markdown."""
    lines = ["", "| person | sweep | tissue | true | made | direction | order |", "|---|---|---|---:|---:|---|---:|"]
    right = {"direction": [0, 0], "order": [0, 0]}

    def place(row: dict[str, Any]) -> tuple[str, str, str]:
        return row["person"], row["sweep"], row["field"]

    for (person, sweep, field), found in groupby(sorted(rows, key=place), key=place):
        block = list(found)
        ordered = _ordered(block)
        right["order"][0] += sum(ordered)
        right["order"][1] += len(ordered)
        for tissue in RATIOS:
            points = sorted(
                (row for row in block if row["tissue"] == tissue), key=lambda row: float(row["field_value"])
            )
            true, made = ([row[name] for row in points] for name in ("true_ratio", "made_ratio"))
            verdict = "flat"
            if abs(true[-1] - true[0]) >= FLAT:
                is_right = np.sign(made[-1] - made[0]) == np.sign(true[-1] - true[0])
                right["direction"][0] += int(is_right)
                right["direction"][1] += 1
                verdict = "right" if is_right else "wrong"
            true_shown, made_shown = (" … ".join(f"{value:.2f}" for value in one) for one in (true, made))
            order = f"{sum(ordered)} of {len(ordered)}"
            lines.append(
                f"| {person} | {sweep}, {field} | {tissue} | {true_shown} | {made_shown} | {verdict} | {order} |"
            )
    said = ", ".join(f"{name} right in {hits} of {total}" for name, (hits, total) in right.items())
    return "\n".join([*lines, "", said])


def _ordered(block: list[dict[str, Any]]) -> list[bool]:
    """Return for each point whether fluid, grey and white matter stand in the true order of brightness."""
    points: dict[float, dict[str, tuple[float, float]]] = {}
    for row in block:
        points.setdefault(float(row["field_value"]), {})[row["tissue"]] = (row["true_ratio"], row["made_ratio"])

    def order(one: dict[str, tuple[float, float]], which: int) -> list[str]:
        return sorted(["wm", *RATIOS], key=lambda tissue: 1.0 if tissue == "wm" else one[tissue][which])

    return [order(one, 0) == order(one, 1) for one in points.values()]


if __name__ == "__main__":
    main()
