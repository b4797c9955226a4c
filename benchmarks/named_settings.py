"""Whether naming TR, TE, TI and flip angle costs similarity to real scans, and whether training people are made better.

    python -m benchmarks.named_settings --home HOME [--settings drawn|own] [--splits val train] [--people N]

The real scans at hand say nothing of their settings. So every volume is asked for twice: by what the catalogue knows of
the target, and with settings beside it. These are the usual values of its contrast (`model.physics.expected`; a T1w as
MPRAGE), or those of a random protocol, which are hardly those of the scan. Simulated scans, and those of other centres,
state their settings: with `own` a volume is asked for without and with them, which tells what naming is worth. Both are
compared with the real scan in the brain, on its own voxels, beside the map of intensities that was fitted on that very
scan, for every direction among T1w, T2w and FLAIR. Prints Markdown: a line for each person, then the means over people.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peer_table import by_person
from benchmarks.peers import directions
from benchmarks.whole_volumes import whole
from model.data.catalogue import CatalogueImages
from model.data.changes import with_drawn_settings
from model.data.natives import NativeScans
from model.inference.synthesize import load_synthesizer
from model.physics.expected import with_usual_settings, without_settings
from warehouse.lake.home import Home

HEADS = ("weights", "settings named", "fitted map")
MEASURES = (("psnr_db", "ssim"), ("named_psnr_db", "named_ssim"), ("map_psnr_db", "map_ssim"))


def main() -> None:
    """Measure the people of some splits and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--model", default="shipped")
    parser.add_argument("--recipe", default="standard", help="of the home's volumes")
    parser.add_argument("--settings", choices=("usual", "drawn", "own"), default="usual", help="which are named")
    parser.add_argument("--splits", nargs="+", default=["val"], choices=("train", "val", "test_internal"))
    parser.add_argument("--people", type=int, help="of each split, at most")
    given = parser.parse_args()
    home = Home(given.home.resolve())
    synthesizer = load_synthesizer(home, given.model)
    for split in given.splits:
        images = CatalogueImages.open(home, given.recipe, [split])
        chosen = sorted({item.person_id for item in images.items})[: given.people]
        scans, rows = NativeScans(images.items), []
        for number, pair in enumerate(directions(images)):
            source, target = (images.items[index] for index in pair)
            if source.person_id not in chosen:
                continue
            silent = without_settings(target.record)
            without = whole(synthesizer, scans, pair, asked=silent)
            asked = with_usual_settings(silent)
            if given.settings == "drawn":
                asked = with_drawn_settings(silent, 1.0, np.random.default_rng(number))
            if given.settings == "own":
                asked = target.record
            named = without if asked == silent else whole(synthesizer, scans, pair, asked=asked)
            direction = f"{source.contrast_label} → {target.contrast_label}"
            row = {"person": source.person_id, "direction": direction, **asdict(without)}
            rows.append(row | {"named_psnr_db": named.psnr_db, "named_ssim": named.ssim})
            print(
                f"{split}: {row['person']}, {direction}: {without.psnr_db:.1f} dB, {named.psnr_db:.1f} named",
                flush=True,
            )
        print(table(split, rows), flush=True)


def table(split: str, rows: Sequence[dict[str, Any]]) -> str:
    """Return the lines of each person and direction, and the means over people, as Markdown."""
    lines = ["", f"| {split} | " + " | ".join(f"{head}, dB / SSIM" for head in HEADS) + " |", "|---|---:|---:|---:|"]
    for kind in ("direction", "person"):
        lines += [_line(str(one), [row for row in rows if row[kind] == one]) for one in sorted({r[kind] for r in rows})]
    return "\n".join([*lines, _line("all", rows), ""])


def _line(name: str, rows: Sequence[dict[str, Any]]) -> str:
    """Return the mean over people of each person's mean."""
    people = by_person(rows, [name for pair in MEASURES for name in pair])

    def mean(measure: str) -> float:
        return float(np.mean([figures[measure] for figures in people.values()]))

    cells = [f"{mean(psnr_db):.2f} / {mean(ssim):.3f}" for psnr_db, ssim in MEASURES]
    return f"| {name} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
