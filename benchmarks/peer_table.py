"""The table and the curves of `benchmarks.peers`, in Markdown.

People are the units: a figure of a peer is the mean over people of each person's mean over directions, and two peers
differ by the mean of each person's difference. Seeds are averaged for each person first: they are no further people.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.evaluation.statistics import MIN_PEOPLE, estimate

RESULT = "result.json"
PEERS = {
    "compact": "the default network",
    "no_physics": "compact without signal equations",
    "untrained_text": "compact with a frozen text encoder of random weights",
    "joint_text": "compact, its text encoder learning on from the weights of stage 1",
    "reference": "the paper's network, narrower",
    "basic_unet": "BasicUNet of MONAI with the conditioning of compact",
    "brats_only": "compact, learned from people of brats2021 alone",
}
BASE = "compact"  # that all others are compared with
FIGURES = ("psnr_db", "ssim", "map_psnr_db", "map_ssim")
Result = dict[str, Any]
ByPerson = dict[str, dict[str, float]]  # figures by person and name


def table(folder: Path, *, has_monai: bool) -> str:
    """Return all that is known of the peers whose results lie in a folder, as Markdown.

    Parameters
    ----------
    folder : Path
    has_monai : bool
        Whether MONAI is installed; else that is why there is no row of its network.
    """
    results = [json.loads(file.read_text()) for file in sorted(folder.glob(f"*/{RESULT}"))]
    by_peer = {peer: [one for one in results if one["peer"] == peer] for peer in PEERS}
    absent = {"basic_unet": "MONAI is not installed"} if not has_monai else {}
    return "\n".join(
        [*_figures(by_peer, absent), "", *_differences(by_peer), "", *_zero_shot(by_peer), "", *_curves(results)]
    )


def by_person(rows: Iterable[Mapping[str, Any]], figures: Sequence[str] = FIGURES) -> ByPerson:
    """Return each person's mean over volumes of every figure."""
    collected: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        collected.setdefault(row["person"], []).append(row)
    return {
        person: {name: float(np.mean([row[name] for row in found])) for name in figures}
        for person, found in sorted(collected.items())
    }


def validated(result: Result) -> ByPerson:
    """Return the figures of the whole volumes of validation people."""
    return by_person(row for row in result["volumes"] if row["split"] == "val")


def over_seeds(results: Sequence[Result]) -> ByPerson:
    """Return the figures of validation people, averaged over trainings of the same peer."""
    return by_person({"person": person, **row} for result in results for person, row in validated(result).items())


def differences(one: ByPerson, other: ByPerson, name: str) -> dict[str, float]:
    """Return by how much a figure of each person is higher in the first, for people who are in both."""
    return {person: one[person][name] - other[person][name] for person in sorted(one.keys() & other.keys())}


def _figures(by_peer: Mapping[str, Sequence[Result]], absent: Mapping[str, str]) -> list[str]:
    """Return the table: a row for each training, and an empty one for a peer without any."""
    people = sorted({person for found in by_peer.values() for one in found for person in validated(one)})
    heads = ["peer", "seed", "parameters", "steps", "PFLOP", "CPU h", "mean", "above the map", *people, "weights"]
    rows = []
    for peer, words in PEERS.items():
        if not by_peer[peer]:
            rows.append([f"`{peer}`: {absent.get(peer, 'not trained')}", *[""] * (len(heads) - 1)])
        for one in sorted(by_peer[peer], key=lambda result: int(result["seed"])):
            found = validated(one)
            mean = {name: float(np.mean([row[name] for row in found.values()])) for name in FIGURES}
            above = f"{mean['psnr_db'] - mean['map_psnr_db']:+.2f} / {mean['ssim'] - mean['map_ssim']:+.3f}"
            spent = [f"{one['steps']:,}", f"{one['petaflop']:.3g}", f"{one['cpu_seconds'] / 3600:.2f}"]
            figures = [_cell(mean), above, *(_cell(found.get(person)) for person in people)]
            what = [f"`{peer}`: {words}", str(one["seed"]), f"{one['n_parameters']:,}"]
            rows.append([*what, *spent, *figures, f"`{one['weights_sha256'][:12]}`"])
    caption = (
        "Whole volumes of validation people, in the brain, dB / SSIM: mean over people, the same above the map of "
        "intensities that is fitted on each volume, and every person's mean over directions."
    )
    return _table(caption, heads, rows)


def _differences(by_peer: Mapping[str, Sequence[Result]]) -> list[str]:
    """Return how far each peer is from the default network, paired by seed and person."""
    rows = []
    for peer in (one for one in PEERS if one != BASE):
        seeds = sorted({one["seed"] for one in by_peer[peer]} & {one["seed"] for one in by_peer[BASE]})
        own, base = (over_seeds([one for one in by_peer[name] if one["seed"] in seeds]) for name in (peer, BASE))
        psnr_db, ssim = (differences(own, base, name) for name in ("psnr_db", "ssim"))
        found = [one for one in (estimate(list(one.values())) for one in (psnr_db, ssim)) if one is not None]
        if not found:
            rows.append([f"`{peer}`", *[""] * 4])
            continue
        bounds = [f"{one.low:+.2f} to {one.high:+.2f}" for one in found if one.low is not None and one.high is not None]
        interval = " / ".join(bounds) or f"none: {len(psnr_db)} people, fewer than {MIN_PEOPLE}"
        each = ", ".join(f"{person}: {psnr_db[person]:+.2f} / {ssim[person]:+.3f}" for person in psnr_db)
        mean = f"{found[0].mean:+.2f} / {found[1].mean:+.3f}"
        rows.append([f"`{peer}`", ", ".join(map(str, seeds)), mean, interval, each])
    caption = f"Difference from `{BASE}` of the same seeds, paired by person, dB / SSIM."
    return _table(caption, ["peer", "seeds", "mean", "interval of 95 %", "each person"], rows)


def _zero_shot(by_peer: Mapping[str, Sequence[Result]]) -> list[str]:
    """Return the figures of people of a centre that `brats_only` never saw, beside the default network's."""
    unseen = [row for one in by_peer["brats_only"] for row in one["volumes"] if row["center"] not in _centers(one)]
    beside, rows = over_seeds(by_peer[BASE]), []
    for person, found in by_person(unseen).items():
        fitted = {"psnr_db": found["map_psnr_db"], "ssim": found["map_ssim"]}
        n_volumes = len({(row["source"], row["target"]) for row in unseen if row["person"] == person})
        rows.append([person, str(n_volumes), _cell(found), _cell(fitted), _cell(beside.get(person))])
    caption = (
        f"People of a centre of which `brats_only` saw nobody, dB / SSIM; `{BASE}` where it did not see the person."
    )
    return _table(caption, ["person", "volumes", "`brats_only`", "fitted map", f"`{BASE}`"], rows)


def _centers(result: Result) -> Sequence[str]:
    centers: Sequence[str] = result["config"]["centers"]
    return centers


def _curves(results: Sequence[Result]) -> list[str]:
    """Return the curves of all trainings: validation people's patches over steps and operations."""
    people = sorted({person for one in results for point in one["curve"] for person in point["people"]})
    rows = []
    for one in results:
        for point in one["curve"]:
            found = point["people"]
            mean = {name: float(np.mean([row[name] for row in found.values()])) for name in ("psnr_db", "ssim")}
            at = [f"`{one['peer']}`", str(one["seed"]), f"{point['step']:,}", f"{point['petaflop']:.3g}"]
            rows.append([*at, _cell(mean), *(_cell(found.get(person)) for person in people)])
    caption = "Patches of validation people over the training, in the brain, dB / SSIM."
    return _table(caption, ["peer", "seed", "step", "PFLOP", "mean", *people], rows)


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    return [f"{caption}\n", *(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))]


def _cell(figures: Mapping[str, float] | None) -> str:
    return f"{figures['psnr_db']:.2f} / {figures['ssim']:.3f}" if figures else ""
