"""What harmonisation costs: CPU seconds by step, volumes an hour, peak memory; and how far it lies from a reference.

    python -m benchmarks.harmonize [--samples DIR] [--recipe standard]

Each scan runs in a process of its own with one inner thread, so that its memory and time are its own. The steps are
called as `warehouse.harmonize.session` calls them. Prints Markdown.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SCANS = {
    "1 mm T1w, Philips": "vendor_t1w/sub-philips_T1w.nii.gz",
    "0.9 mm T1w, Siemens, a child": "vendor_t1w/sub-skyra_T1w.nii.gz",
    "0.7 × 0.7 × 4 mm FLAIR": "open_ms_longitudinal/patient01/study1_FLAIR.nii.gz",
    "0.5 × 0.5 × 4 mm T2w": "open_ms_longitudinal/patient01/study1_T2W.nii.gz",
}
STEPS = (
    "load",
    "brain mask",
    "bias (N4)",
    "MNI, rigid and affine",
    "align with another scan",
    "tissues and quality",
    "resample, scale",
    "write and verify",
)


def measure(path: Path, recipe_name: str, out: Path) -> dict[str, float]:
    """Run one scan through every step.

    Returns
    -------
    dict of str to float
        CPU seconds by step, and `peak_mb`.
    """
    # Here, and so in the process that measures alone: `main` limits threads first, and memory is that of one scan.
    from warehouse.harmonize.alignment import register, register_to_mni
    from warehouse.harmonize.intensity import correct_bias, find_scale
    from warehouse.harmonize.mask import find_brain
    from warehouse.harmonize.recipe import load_recipe
    from warehouse.imaging.geometry import session_grid
    from warehouse.imaging.resampling import resample, resample_mask
    from warehouse.imaging.scan import read_scan
    from warehouse.quality import measures as quality
    from warehouse.quality import tissues
    from warehouse.volumes import Payload, write

    recipe = load_recipe(recipe_name)
    seconds: dict[str, float] = {}

    def timed(step: str, work: Callable[[], Any]) -> Any:
        start = time.process_time()
        result = work()
        seconds[step] = seconds.get(step, 0.0) + time.process_time() - start
        return result

    source = timed("load", lambda: read_scan(path))
    image = timed("load", lambda: source.image)
    mask = timed("brain mask", lambda: find_brain(image, recipe.mask_network))
    corrected = timed("bias (N4)", lambda: correct_bias(image, mask)) if recipe.n4 else image
    scale = timed("resample, scale", lambda: find_scale(corrected, recipe.percentiles))
    still = corrected.like(scale.normalise(corrected.voxels))
    rigid, affine = timed(
        "MNI, rigid and affine",
        lambda: register_to_mni(still, mask, resolution_mm=recipe.mni_mm, converged_mm=recipe.converged_mm),
    )
    timed(
        "align with another scan",
        lambda: register(still, mask, still, resolution_mm=recipe.register_mm, converged_mm=recipe.converged_mm),
    )
    grid = session_grid(recipe.grid_mm)
    moved = timed("resample, scale", lambda: scale.normalise(resample(corrected, rigid.matrix, grid).voxels))
    moved_mask = timed("resample, scale", lambda: resample_mask(mask, image, rigid.matrix, grid))
    tissue = timed("tissues and quality", lambda: tissues.segment(corrected, mask, affine.matrix))
    timed(
        "tissues and quality",
        lambda: quality.measure(image, mask, tissue, tissues.has_background(image.voxels, mask)[0]),
    )
    session = Payload(moved.astype(np.float16), grid.affine, moved_mask.astype(np.uint8), {}, source.raw_header)
    native = Payload(still.voxels.astype(np.float16), image.affine, mask.astype(np.uint8), {}, source.raw_header)
    for form, payload in (("session", session), ("native", native)):
        timed(
            "write and verify",
            lambda form=form, payload=payload: write(out / path.name / f"{form}.zarr", payload, name=form),
        )
    seconds["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return seconds


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("TUMSYN_SAMPLES") or str(ROOT.parent / "shared" / "data")
    parser.add_argument("--samples", type=Path, default=Path(default), help="folder of the real samples")
    parser.add_argument("--recipe", default="standard", help="name or path of the recipe")
    arguments = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
        os.environ[name] = "1"
    with tempfile.TemporaryDirectory() as folder:
        figures = {}
        for label, scan in SCANS.items():
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                figures[label] = pool.apply(
                    measure, (arguments.samples / "images" / scan, arguments.recipe, Path(folder))
                )
    print(f"CPU seconds by step, recipe {arguments.recipe}, one inner thread:\n")
    print("| step | " + " | ".join(figures) + " |\n|---|" + "---:|" * len(figures))
    for step in STEPS:
        print(f"| {step} | " + " | ".join(f"{seconds.get(step, 0.0):.1f}" for seconds in figures.values()) + " |")
    totals = {label: sum(seconds.get(step, 0.0) for step in STEPS) for label, seconds in figures.items()}
    print("| **all** | " + " | ".join(f"**{total:.1f}**" for total in totals.values()) + " |")
    print("| peak memory, MB | " + " | ".join(f"{seconds['peak_mb']:.0f}" for seconds in figures.values()) + " |")
    mean = sum(totals.values()) / len(totals)
    print(
        f"\nAt {mean:.0f} CPU seconds a scan, two cores make {2 * 3600 / mean:.0f} scans an hour, each in both forms."
    )
    print("A reference scan does without alignment; the others of a session do without MNI.")


if __name__ == "__main__":
    main()
