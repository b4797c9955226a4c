"""What making one volume of 182 × 218 × 182 voxels costs, by network: operations, CPU time, memory.

    python -m benchmarks.synthesis [--published] [--channels 16] [--scan T1w.nii.gz --home HOME]

`compact` whole and in tiles, `reference` with some channels (and in its published size, 13 minutes of a core) by its
published windows, and MONAI's BasicUNet where MONAI is installed (`pip install monai`, no part of this project). Of the
252 windows of `reference`, one is computed and counted 252 times. Weights are random: they change no cost. With a scan
and a home, `tumsyn synthesize` is timed from file to file by the home's champion. Each row is a process of its own, so
that its peak of memory is its own. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import model  # noqa: F401 - before torch is imported below: it says how OpenMP threads wait

ROOT = Path(__file__).resolve().parent.parent
SHAPE = (182, 218, 182)
BASIC_UNET = (32, 32, 64, 128, 256, 32)  # channels, MONAI's default
STEP = 16  # of BasicUNet's lowest level
WIDTH = 128  # of embeddings


def main() -> None:
    """Measure every network in a process of its own and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published", action="store_true", help="also the paper's network in its published size")
    parser.add_argument("--channels", type=int, default=16, help="of the paper's network")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--scan", type=Path, help="scan that is turned into another, from file to file")
    parser.add_argument("--home", type=Path, help="home whose champion does it")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(cost(**json.loads(given.child))))
        return
    rows: list[tuple[str, dict[str, Any]]] = [
        ("compact, whole volume", {"network": "compact"}),
        ("compact, in tiles of 4 GB", {"network": "compact", "tiled_gb": 4.0}),
        (f"reference, {given.channels} channels, 252 windows", {"network": "reference", "channels": given.channels}),
    ]
    if given.published:
        rows.append(("reference, 256 channels (published), 252 windows", {"network": "reference", "channels": 256}))
    if find_spec("monai"):
        rows.append((f"BasicUNet of MONAI {version('monai')}", {"network": "basic_unet"}))
    print(f"{platform.machine()}, {os.cpu_count()} cores, {given.device}, float32\n")
    print("| network | parameters | operations, TFLOP | core-s | s | peak memory, GB |\n|---|---:|---:|---:|---:|---:|")
    for name, what in rows:
        found = measured(device=given.device, **what)
        print(
            f"| {name} | {found['n_parameters']:,} | {found['tflop']:.3g} | {found['cpu_s']:.3g} "
            f"| {found['wall_s']:.3g} | {found['peak_gb']:.2g} |",
            flush=True,
        )
    if not find_spec("monai"):
        print("| BasicUNet of MONAI | | | | | |")
    if given.scan and given.home:
        print(f"\nFrom file to file, preparation included: {file_to_file(given.scan, given.home):.1f} s.")


def measured(**what: Any) -> dict[str, Any]:
    """Return the cost of a network, measured in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.synthesis", "--child", json.dumps(what)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def cost(network: str, device: str, channels: int = 0, tiled_gb: float = 0.0) -> dict[str, Any]:
    """Return what one volume costs."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from model.networks.device import in_fast_layout

    made, call, n_times = _call(network, device, channels, tiled_gb)
    in_fast_layout(made.to(device).eval())
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            began, used = time.perf_counter(), time.process_time()
            call()
            if device == "cuda":
                torch.cuda.synchronize()
            wall_s, cpu_s = time.perf_counter() - began, time.process_time() - used
        if device == "cuda":  # the first call loads kernels
            began = time.perf_counter()
            call()
            torch.cuda.synchronize()
            wall_s = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if device == "cuda":
        peak = torch.cuda.max_memory_allocated()
    return {
        "n_parameters": sum(one.numel() for one in made.parameters()),
        "tflop": n_times * counter.get_total_flops() / 1e12,
        "cpu_s": n_times * cpu_s,
        "wall_s": n_times * wall_s,
        "peak_gb": peak / 1e9,
    }


def _call(network: str, device: str, channels: int, tiled_gb: float) -> tuple[Any, Any, int]:
    """Return a network, what makes a volume or a window of it, and how many of these a volume has."""
    import torch

    from model.inference.tiles import in_tiles, largest_core
    from model.networks.synthesis import Scans, Wanted, build, describe
    from model.networks.synthesis.compact import CompactConfig
    from model.networks.synthesis.reference import ReferenceConfig
    from model.networks.synthesis.windows import SIDE, windows

    if network == "basic_unet":
        from monai.networks.nets import BasicUNet

        unet = BasicUNet(3, 1, 1, BASIC_UNET)
        padded = torch.randn(1, 1, *(-(-size // STEP) * STEP for size in SHAPE), device=device)
        return unet, lambda: unet(padded), 1
    in_windows = network == "reference"
    shape = (SIDE,) * 3 if in_windows else SHAPE
    config: Any = ReferenceConfig(WIDTH, channels) if in_windows else CompactConfig(WIDTH)
    made = build(describe(network, config))
    voxels = torch.randn(1, 1, *shape)
    scans = Scans(voxels, torch.ones_like(voxels), torch.ones(1, 1, 3), torch.randn(1, 1, WIDTH)).to(device)
    wanted = Wanted(torch.randn(1, WIDTH), torch.ones(1, 3)).to(device)
    if not tiled_gb:
        return made, lambda: made(scans, wanted), len(windows(SHAPE)) if in_windows else 1

    from model.inference.synthesize import BYTES_PER_VOXEL, CORE

    sizes = {"halo": made.reach, "step": made.step}
    core = largest_core(SHAPE, BYTES_PER_VOXEL, tiled_gb * 1e9, most=CORE, **sizes)
    return made, lambda: in_tiles(lambda piece: made(piece, wanted), scans, core=core, **sizes), 1


def file_to_file(scan: Path, home: Path) -> float:
    """Return the seconds of `tumsyn synthesize`, its start included."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["synthesize", str(scan), "--prompt", "T2w", "--out", f"{folder}/made.nii.gz"]
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "pipelines.cli", "--home", str(home), *words],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
