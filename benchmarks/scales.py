"""Which intensity scale lets one map of intensities serve unseen people? The table behind `BrainScale`.

For each scale, source and target of every pair are brought to it by their own brain alone. A map of intensities (the
mean target of each step of the source) is pooled over all people but one, and judged on the one that was left out: PSNR
in the brain on the target's own 0.5-99.5 percentile range, as made, and after one gain and offset. The map that is
fitted on the person itself is the same on all scales, up to its steps.

    python -m benchmarks.scales --home HOME [--recipe standard]

The home holds real people, harmonised; every split takes part, as no network is trained here.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.data.catalogue import CatalogueImages
from model.evaluation.metrics import fit_gain_offset
from warehouse.lake.home import Home
from warehouse.tables.out import SPLITS
from warehouse.volumes import open_store

Values = NDArray[np.float64]
Affine = tuple[float, float]  # what becomes 0, and what is then 1 wide

CONTRASTS = ("T1w", "T2w", "FLAIR")
QUANTILES = np.linspace(0, 1, 65)[1:-1]
N_VOXELS = 120_000


def percentiles(low: float, high: float) -> Callable[[Values], Affine]:
    """Return a scale by two percentiles."""

    def scale(values: Values) -> Affine:
        first, last = np.percentile(values, (low, high))
        return float(first), float(last - first)

    return scale


def centred(middle: Callable[[Values], float], low: float, high: float) -> Callable[[Values], Affine]:
    """Return a scale by a middle and the distance of two percentiles."""

    def scale(values: Values) -> Affine:
        first, last = np.percentile(values, (low, high))
        return middle(values), float(last - first)

    return scale


def median(values: Values) -> float:
    """Return the median."""
    return float(np.median(values))


def mode(values: Values) -> float:
    """Return the most frequent intensity, of a smoothed histogram."""
    low, high = np.percentile(values, (1, 99))
    counts, edges = np.histogram(values, 200, (low, high))
    smooth = np.convolve(counts, np.hanning(15), "same")
    return float(edges[smooth.argmax()] + (edges[1] - edges[0]) / 2)


def z_score(values: Values) -> Affine:
    """Return mean and standard deviation."""
    return float(values.mean()), float(values.std())


def gain_alone(values: Values) -> Affine:
    """Return no offset, and the median."""
    return 0.0, float(np.median(values))


def class_means(values: Values) -> Affine:
    """Return centre and spread of the means of three classes, found in the scan by itself (k-means)."""
    means = np.percentile(values, (10, 50, 90))
    for _ in range(30):
        nearest = np.abs(values[:, None] - means).argmin(1)
        means = np.array([values[nearest == k].mean() if (nearest == k).any() else means[k] for k in range(3)])
    return float(means.mean()), float(means.std())


SCALES: dict[str, Callable[[Values], Affine]] = {
    "0.01–99.9 percentiles of the head": lambda values: (0.0, 1.0),  # stores are scaled by them
    "0.5–99.5 percentiles": percentiles(0.5, 99.5),
    "2–98 percentiles": percentiles(2, 98),
    "signal over its median": gain_alone,
    "median, 10th–90th": centred(median, 10, 90),
    "median, 25th–75th": centred(median, 25, 75),
    "median, 5th–95th": centred(median, 5, 95),
    "mode, 10th–90th": centred(mode, 10, 90),
    "z-score": z_score,
    "means of three classes": class_means,
}


@dataclass(frozen=True)
class Pair:
    """Voxels of the target's brain in two scans of a person, and what each scale makes of the two scans' own brains."""

    person: str
    source: Values
    target: Values
    source_scales: dict[str, Affine]
    target_scales: dict[str, Affine]

    def scaled(self, name: str) -> tuple[Values, Values]:
        """Return source and target on a scale."""
        (zero, wide), (other_zero, other_wide) = self.source_scales[name], self.target_scales[name]
        return (self.source - zero) / wide, (self.target - other_zero) / other_wide


def read(images: CatalogueImages) -> dict[tuple[str, str], list[Pair]]:
    """Return the pairs of real people in each direction."""
    found, random = defaultdict(list), np.random.default_rng(0)
    scales: dict[int, dict[str, Affine]] = {}
    for first, second in images.pairs:
        source, target = images.items[first], images.items[second]
        direction = source.contrast_label, target.contrast_label
        if source.is_simulated or set(direction) - set(CONTRASTS) or len(set(direction)) == 1:
            continue
        voxels, masks = [], []
        for index in (first, second):
            store = open_store(images.items[index].path)
            assert store.mask is not None
            voxels.append(store[...].astype(np.float64))
            masks.append(store.mask[...] > 0)
            if index not in scales:
                own = voxels[-1][masks[-1]]
                own = random.choice(own, min(N_VOXELS, len(own)), replace=False)
                scales[index] = {name: scale(own) for name, scale in SCALES.items()}
        inside = np.flatnonzero(masks[1])
        chosen = np.sort(random.choice(inside, min(N_VOXELS, len(inside)), replace=False))
        given, wanted = (one.ravel()[chosen] for one in voxels)
        found[direction].append(Pair(target.person_id, given, wanted, scales[first], scales[second]))
    return found


@dataclass(frozen=True)
class Map:
    """The mean target between quantiles of the source, which are as fine on any scale."""

    edges: Values
    means: Values

    @classmethod
    def fit(cls, pairs: list[tuple[Values, Values]]) -> Map:
        """Fit on all pairs; every one counts as much as any other."""
        edges = np.quantile(np.concatenate([source[:: len(pairs)] for source, _ in pairs]), QUANTILES)
        sums, counts = np.zeros(len(edges) + 1), np.zeros(len(edges) + 1)
        for source, target in pairs:
            steps = np.searchsorted(edges, source)
            counts += np.bincount(steps, minlength=len(counts)) / len(steps)
            sums += np.bincount(steps, target, len(counts)) / len(steps)
        known = np.flatnonzero(counts)
        return cls(edges, np.interp(np.arange(len(counts)), known, sums[known] / counts[known]))

    def apply(self, source: Values) -> Values:
        """Return what the map makes of a source."""
        return self.means[np.searchsorted(self.edges, source)]


def psnr(made: Values, truth: Values) -> float:
    """Return the PSNR on the range of the truth, dB."""
    low, high = np.percentile(truth, (0.5, 99.5))
    return float(-10 * np.log10(np.mean((made - truth) ** 2) / (high - low) ** 2))


def judge(pairs: list[Pair], name: str) -> dict[str, tuple[float, float]]:
    """Return the PSNR of each person who was left out, as made and after gain and offset."""
    scaled = [(pair.person, *pair.scaled(name)) for pair in pairs]
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for left_out in sorted({person for person, *_ in scaled}):
        others = [(source, target) for person, source, target in scaled if person != left_out]
        if not others:
            continue
        pooled = Map.fit(others)
        for person, source, target in scaled:
            if person == left_out:
                made = pooled.apply(source)
                gain, offset = fit_gain_offset(made, target, np.ones(target.shape, bool))
                found[person].append((psnr(made, target), psnr(gain * made + offset, target)))
    return {person: tuple(np.mean(values, 0)) for person, values in found.items()}


def own_map(pairs: list[Pair]) -> dict[str, tuple[float, float]]:
    """Return the PSNR of the map that is fitted on the test volume itself."""
    found: dict[str, list[float]] = defaultdict(list)
    for pair in pairs:
        made = Map.fit([(pair.source, pair.target)]).apply(pair.source)
        found[pair.person].append(psnr(made, pair.target))
    return {person: (float(np.mean(values)),) * 2 for person, values in found.items()}


def main() -> None:
    """Print one table for all people, and one for each centre."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--recipe", default="standard")
    chosen = parser.parse_args()
    images = CatalogueImages.open(Home(chosen.home), chosen.recipe, SPLITS)
    found = read(images)
    directions = [(one, other) for one in CONTRASTS for other in CONTRASTS if one != other and found[one, other]]
    print(f"data {images.data_id}, recipe {images.recipe_id}; dB as made → after gain and offset, means over people")
    for group in (
        "all people",
        *sorted({person.split("/")[0] for pairs in found.values() for person in (pair.person for pair in pairs)}),
    ):
        rows = {name: {d: judge(found[d], name) for d in directions} for name in SCALES}
        rows["fitted on the test volume itself"] = {d: own_map(found[d]) for d in directions}
        print(f"\n{group}\n\n| scale of the brain | " + " | ".join(f"{a}→{b}" for a, b in directions) + " | mean |")
        print("|---" * (len(directions) + 2) + "|")
        for name, by_direction in rows.items():
            cells, made = [], []
            for direction in directions:
                people = [v for who, v in by_direction[direction].items() if group in ("all people", who.split("/")[0])]
                one, other = np.mean(people, 0) if people else (np.nan, np.nan)
                made.append((one, other))
                cells.append(f"{one:.1f} → {other:.1f} ({len(people)})")
            one, other = np.nanmean(made, 0)
            print(f"| {name} | " + " | ".join(cells) + f" | **{one:.2f}** → {other:.2f} |")


if __name__ == "__main__":
    main()
