"""How well a network fits: the curve of a training on one person or on all, and whole brains at its end.

    python -m benchmarks.fitting --home HOME --text-encoder MODEL [--config compact] [--people 1] [--pair T1w T2w]
                                 [--steps 300] [--set compact.widths=[48,96,128]] [--state FOLDER]

A network that cannot fit one person cannot fit many: this is where to look first. Scans are those of the home's split
train, by the recipe of the configuration, on their own grids; nothing is put into the home. At the end, each direction
of the first training people, and of validation people, is made for the whole brain and measured against the real scan
on its own voxels, beside the intensity map that was fitted on that very volume. With --state, an interrupted training
goes on. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.whole_volumes import synthesizer_of, whole
from model.data.catalogue import CatalogueImages
from model.data.natives import NativeScans
from model.networks.checkpoint import read_model
from model.networks.pair_encoder import FrozenTextEncoder
from model.networks.weights import resolve
from model.training.config import SynthesisTraining, load_config
from model.training.loop import fit
from model.training.synthesis import SynthesisTask
from warehouse.lake.home import Home

LAST = 50  # steps over which losses are averaged
Pairs = Sequence[tuple[int, int]]


def main() -> None:
    """Train and print a curve and a table of whole brains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--text-encoder", required=True)
    parser.add_argument("--config", default="compact")
    parser.add_argument("--people", type=int, default=0, help="first so many people of the split; 0: all")
    parser.add_argument("--pair", nargs=2, metavar="CONTRAST", help="one direction alone; default: all there are")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=JSON", help="another value of a setting")
    parser.add_argument("--measured", type=int, default=2, help="people of each split whose whole brains are made")
    parser.add_argument("--state", type=Path, help="folder of the training's state")
    given = parser.parse_args()
    home = Home(given.home.resolve())
    config = changed(load_config("synthesis", given.config), given.set, given.steps)
    training = CatalogueImages.open(home, config.recipe, ["train"])
    validation = CatalogueImages.open(home, config.recipe, ["val"])
    encoder = FrozenTextEncoder.from_checkpoint(*read_model(resolve(home, given.text_encoder, "text_encoder")))
    people = sorted({item.person_id for item in training.items})
    pairs = chosen(training, people[: given.people or len(people)], given.pair)
    others = chosen(validation, sorted({item.person_id for item in validation.items}), given.pair)
    scans, unseen = NativeScans(training.items), NativeScans(validation.items)
    task = SynthesisTask(
        config, (scans, pairs), (unseen, others), encoder.embed, encoder.width, training.grid_mm,
        fits_in_memory=training.fits_in_memory,
    )  # fmt: skip
    print(f"{len({training.items[one].person_id for one, _ in pairs})} people, {len(pairs)} ordered pairs, "
          f"{sum(one.numel() for one in task.network.parameters()):,} parameters\n")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, task.loader:
        curve = Curve(config)
        fitted = fit(task, config.fit_settings("cpu", "fp32"), given.state or Path(folder), curve)
    print(f"\n{fitted.n_steps} steps in {fitted.seconds / 60:.0f} minutes\n")
    print("| split | person | direction | dB | SSIM | fitted map: dB | SSIM |\n|---|---|---|---:|---:|---:|---:|")
    synthesizer = synthesizer_of(task.network, encoder, training)
    for split, sources, kept in (("train", scans, pairs), ("val", unseen, others)):
        measured = list(dict.fromkeys(sources.items[one].person_id for one, _ in kept))[: given.measured]
        shown = [pair for pair in kept if sources.items[pair[0]].person_id in measured]
        rows = [astuple(whole(synthesizer, sources, pair)) for pair in shown]
        for (one, other), row in zip(shown, rows, strict=True):
            names = sources.items[one].contrast_label, sources.items[other].contrast_label
            print(f"| {split} | {sources.items[one].person_id[-14:]} | {' → '.join(names)} | {figures(row)} |")
        if rows:
            print(f"| {split} | mean | | {figures(np.mean(rows, axis=0))} |", flush=True)


class Curve:
    """Prints the means of the last steps now and then."""

    def __init__(self, config: SynthesisTraining) -> None:
        self.kept: list[tuple[float, float]] = []
        self.every = max(1, LAST // 10)
        print("| step | L1 | SSIM | validation: dB | SSIM |\n|---:|---:|---:|---:|---:|")

    def __call__(self, step: int, n_steps: int, split: str, measures: dict[str, float]) -> None:
        """Take what the training reports."""
        if split == "train":
            self.kept = [*self.kept, (measures["l1"], measures["ssim"])][-self.every :]
            return
        l1, ssim = np.mean(self.kept, axis=0) if self.kept else (np.nan, np.nan)
        print(f"| {step} | {l1:.4f} | {ssim:.3f} | {measures['psnr_db']:.2f} | {measures['ssim']:.3f} |", flush=True)


def changed(config: SynthesisTraining, settings: Sequence[str], n_steps: int | None) -> SynthesisTraining:
    """Return the configuration with other values."""
    values: dict[str, Any] = config.model_dump()
    for setting in [*settings, *([f"n_steps={n_steps}"] if n_steps else [])]:
        key, value = setting.split("=", 1)
        *groups, name = key.split(".")
        place = values
        for group in groups:
            place = place[group]
        place[name] = json.loads(value)
    return SynthesisTraining.model_validate(values)


def chosen(images: CatalogueImages, people: Sequence[str], pair: Sequence[str] | None) -> Pairs:
    """Return pairs of these people, of one direction or of all between different contrasts."""
    labels = [item.contrast_label for item in images.items]
    return [
        (one, other)
        for one, other in images.pairs
        if images.items[one].person_id in people
        and labels[one] != labels[other]
        and (pair is None or [labels[one], labels[other]] == list(pair))
    ]


def figures(row: Sequence[float]) -> str:
    """Return figures as cells of a row, in the order of `Whole`."""
    return f"{row[0]:.1f} | {row[1]:.2f} | {row[2]:.1f} | {row[3]:.2f}"


if __name__ == "__main__":
    main()
