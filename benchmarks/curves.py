"""Whether the contrast of a T1w, real or simulated, follows the numbers of a prompt in the right direction.

    python -m benchmarks.curves --home HOME [--model shipped] [--split val | --digital] [--people N] [--points 3]
                                [--slab-mm 60]

Nobody knows the relaxation times of a real person, so only direction and order are judged: as on digital people
(`model.evaluation.fidelity`), GM/WM and CSF/WM of what is made are held against the independent simulator, here by
relaxation times of the textbook at 3 T. Tissues are segmented on the T1w (`warehouse.quality.tissues`); fluid and white
matter are thinned by a voxel. A tumour is not known and counts as the tissue that it looks like. The brain is asked for
in an axial slab around its middle, since a ratio of tissues does not need all of it. Of digital people, whose T1 and T2
are off by up to 15 %, the mean error of each curve stands beside that of the look-up in the textbook. Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.peers import CONTRASTS
from model.data.catalogue import CatalogueImages
from model.data.digital_people import FIELD_T, DigitalCohort, DigitalPerson, Relaxation, Tissue, relaxation_of
from model.evaluation.fidelity import FLAT, RATIOS, measure, true_ratios
from model.evaluation.sweeps import SWEEPS, Sweep
from model.evaluation.textbook import textbook
from model.inference.synthesize import load_synthesizer
from model.physics.tissue import properties
from warehouse.imaging.brain_scale import harden
from warehouse.imaging.geometry import Image
from warehouse.lake.home import Home
from warehouse.quality.tissues import CSF, GM, WM, segment

LABELS: dict[Tissue, int] = {"csf": CSF, "gm": GM, "wm": WM}
THINNED = ("csf", "wm")  # cortex is too thin for it
MARGIN_VOXELS = 4
SPREAD = 0.15  # of the relaxation times of digital people, as protocols have it


def main() -> None:
    """Ask for every sweep of every person and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--model", default="shipped")
    parser.add_argument("--recipe", default="standard", help="of the home's volumes")
    parser.add_argument("--split", default="val", choices=("train", "val", "test_internal"))
    parser.add_argument("--digital", action="store_true", help="digital people in place of real ones")
    parser.add_argument("--people", type=int, default=1, help="at most")
    parser.add_argument("--points", type=int, default=3, help="of each sweep, its ends among them")
    parser.add_argument("--slab-mm", type=float, default=60.0, help="thickness of the axial slab that is made")
    given = parser.parse_args()
    home = Home(given.home.resolve())
    synthesizer = load_synthesizer(home, given.model)
    sweeps = [fewer(sweep, given.points) for sweep in SWEEPS if sweep.contrast in CONTRASTS]
    rows, beside = [], []
    for person in digital(given.people) if given.digital else real(home, given.recipe, given.split, given.people):
        truth, part = true_ratios(person.relaxation, sweeps), in_slab(person, given.slab_mm)
        for sweep in sweeps:
            rows += measure(synthesizer, part, truth, [sweep])
            print(f"{person.label}: {sweep.name}, {sweep.field}", flush=True)
        beside += measure(textbook(part), part, truth, sweeps) if given.digital else []
    print(shown(rows, beside))


def digital(n_people: int) -> Iterator[DigitalPerson]:
    """Yield the digital people of an evaluation, with voxels of 1 mm."""
    yield from DigitalCohort(n_people, 0, 1.0, SPREAD).people()


def real(home: Home, recipe: str, split: str, n_people: int) -> Iterator[DigitalPerson]:
    """Yield real people with a T1w, in the form of digital ones."""
    images = CatalogueImages.open(home, recipe, [split])
    chosen = [index for index, item in enumerate(images.items) if item.contrast_label == "T1w"][:n_people]
    for index in chosen:
        yield real_person(images, index, relaxation_of(properties(FIELD_T)))


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
    cut = replace(source, voxels=source.voxels[box], mask=source.mask[box], seen=seen, affine=affine)
    shares = {name: share[box] for name, share in person.shares.items()}
    return replace(person, source=cut, affine=affine, shares=shares)


def _pure(mask: NDArray[np.bool_], is_thinned: bool) -> NDArray[np.float32]:
    thin = ndimage.binary_erosion(mask) if is_thinned else mask
    return (thin if thin.any() else mask).astype(np.float32)


def shown(rows: Iterable[dict[str, Any]], beside: Iterable[dict[str, Any]] = ()) -> str:
    """Return a line for each person, sweep and tissue, and what was right among all, as Markdown.

    Parameters
    ----------
    rows : iterable of dict
        Of the model, as `measure` returns them.
    beside : iterable of dict
        Of the look-up, for the same people and sweeps; its error is shown where there is any.
    """
    heads = ["person", "sweep", "tissue", "true", "made", "direction", "order", "error", "look-up"]
    lines = ["", f"| {' | '.join(heads)} |", "|---|---|---|---:|---:|---|---:|---:|---:|"]
    right = {"direction": [0, 0], "order": [0, 0], "nearer than the look-up": [0, 0]}
    looked_up: dict[tuple[str, ...], list[float]] = {}
    for row in beside:
        looked_up.setdefault((*place(row), row["tissue"]), []).append(_error(row))

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
            error = float(np.mean([_error(row) for row in points]))
            other = looked_up.get((person, sweep, field, tissue))
            if other:
                right["nearer than the look-up"][0] += int(error < np.mean(other))
                right["nearer than the look-up"][1] += 1
            cells = [person, f"{sweep}, {field}", tissue, true_shown, made_shown, verdict, order, f"{error:.2f}"]
            lines.append(f"| {' | '.join([*cells, f'{np.mean(other):.2f}' if other else ''])} |")
    said = ", ".join(f"{name}: {hits} of {total}" for name, (hits, total) in right.items() if total)
    return "\n".join([*lines, "", said])


def place(row: dict[str, Any]) -> tuple[str, str, str]:
    """Return the curve that a row belongs to."""
    return row["person"], row["sweep"], row["field"]


def _error(row: dict[str, Any]) -> float:
    return abs(float(row["made_ratio"]) - float(row["true_ratio"]))


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
