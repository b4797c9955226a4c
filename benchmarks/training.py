"""What a training step costs: precision, memory layout, a busy machine, two trainings at once, and reading patches.

    python -m benchmarks.training [--steps 6] [--volumes 12]

Steps are of the demonstration's synthesis network on random patches, forward and backward, in processes of their own.
The loader is measured at 1 mm on random stores with a cache that holds a third of them, with two scans in half of the
patches. Prints Markdown. With
ONEDNN_MAX_CPU_ISA=AVX2 in the environment oneDNN behaves as on a processor without AVX-512 and bfloat16.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import model  # noqa: F401 - before torch is imported below: it says how OpenMP threads wait

ROOT = Path(__file__).resolve().parent.parent
BYTES_PER_VOXEL = 3  # float16 voxels and a mask, as `NativeScans` keeps them
BUSY = [sys.executable, "-c", "while True: pass"]


def main() -> None:
    """Measure everything and print one table each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6, help="steps of each measurement, after two that do not count")
    parser.add_argument("--volumes", type=int, default=12, help="volumes of 1 mm that patches are read from")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(step_cost(given.steps, **json.loads(given.child))))
        return
    isa = os.environ.get("ONEDNN_MAX_CPU_ISA", "all that the processor has")
    print(f"{platform.machine()}, {os.cpu_count()} cores, oneDNN with {isa}\n")
    report_steps(given.steps)
    report_loader(given.steps, given.volumes)


def report_steps(n_steps: int) -> None:
    """Print seconds a step by precision, on an idle machine, beside a busy core, and of two trainings at once."""
    print("| precision | machine | s a step | CPU s a step | GFLOP/s |\n|---|---|---:|---:|---:|")
    chosen = measured(n_steps, precision="auto")
    for precision in ("fp32", "bf16"):
        if precision == "bf16" and chosen["precision"] == "fp32":
            n_steps = 1  # emulated: once is enough to see it
        alone = measured(n_steps, precision=precision)
        print_row(precision, "idle", alone)
        with subprocess.Popen(BUSY) as busy:
            print_row(precision, "one core kept busy", measured(n_steps, precision=precision))
            busy.kill()
    first, second = (started(n_steps, precision="auto") for _ in range(2))
    pair = [finished(one) for one in (first, second)]
    slower = max(one["seconds"] for one in pair)
    print_row(f"auto ({chosen['precision']})", "two trainings at once", {**pair[0], "seconds": slower})
    print(f"\nTwo at once take {slower / chosen['seconds']:.2f} times one alone; auto chose {chosen['precision']}.\n")


def print_row(precision: str, machine: str, found: dict[str, Any]) -> None:
    """Print a line of the table of steps."""
    speed = found["gflop"] / found["seconds"]
    print(f"| {precision} | {machine} | {found['seconds']:.2f} | {found['cpu_seconds']:.2f} | {speed:.0f} |")


def measured(n_steps: int, **what: Any) -> dict[str, Any]:
    """Return what steps cost in a process of their own."""
    return finished(started(n_steps, **what))


def started(n_steps: int, **what: Any) -> subprocess.Popen[str]:
    """Start a process that measures steps."""
    words = [sys.executable, "-m", "benchmarks.training", "--steps", str(n_steps), "--child", json.dumps(what)]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what a process measured."""
    out, _ = process.communicate()
    if process.returncode:
        sys.exit(f"a measurement ended with status {process.returncode}")
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def step_cost(n_steps: int, precision: str) -> dict[str, Any]:
    """Return the median cost of a training step of the demonstration's network."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from model.networks.device import choose_precision, in_fast_layout
    from model.networks.synthesis import Scans, Wanted, build
    from model.training.config import load_config

    config = load_config("synthesis", "demo")
    chosen = choose_precision(precision, "cpu")  # type: ignore[arg-type]
    network = in_fast_layout(build(config.sizes(128)))
    rows = config.batch_size
    voxels = torch.rand(rows, 1, *[config.patch_voxels] * 3)
    scans = Scans(voxels, torch.ones_like(voxels), torch.ones(rows, 1, 3), torch.rand(rows, 1, 128))
    wanted = Wanted(torch.rand(rows, 128), torch.ones(rows, 3))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=chosen == "bf16"):
            made = network(scans, wanted)
        (made.float() - voxels).abs().mean().backward()

    with FlopCounterMode(display=False) as counter:
        step()
    seconds, cpu = [], []
    for number in range(n_steps + 1):
        wall, used = time.perf_counter(), time.process_time()
        step()
        if number:
            seconds.append(time.perf_counter() - wall)
            cpu.append(time.process_time() - used)
    return {
        "precision": chosen,
        "seconds": float(np.median(seconds)),
        "cpu_seconds": float(np.median(cpu)),
        "gflop": counter.get_total_flops() / 1e9,
    }


def report_loader(n_steps: int, n_volumes: int) -> None:
    """Print how long a step waits for its batch at 1 mm, with whole volumes read in the step and with workers."""
    from model.data.changes import Changes
    from model.data.loader import BatchLoader
    from model.data.natives import NativeScans
    from model.data.patches import Patches

    step_s, changes = 2.0, Changes(several_share=0.5)  # seconds a step of a network of 1 mm takes on two cores
    with tempfile.TemporaryDirectory() as folder:
        items, pairs, size = stores(Path(folder), n_volumes)
        print("| patches of 64³ at 1 mm, two a step | s a step waits | share of a step of 2 s |\n|---|---:|---:|")
        for name, n_workers in (("read in the step", 0), ("read ahead by one worker", 1)):
            scans = NativeScans(items, cache_bytes=size // 3)
            patches = Patches(scans, pairs, seed=0, batch_size=2, side=64, voxel_mm=1.0, max_scans=2, changes=changes)
            with BatchLoader(patches, 10_000, n_workers) as loader:
                loader.batch(0)
                waits = []
                for step in range(1, n_steps + n_volumes):
                    if n_workers:
                        time.sleep(step_s)  # the network computes meanwhile
                    start = time.perf_counter()
                    loader.batch(step)
                    waits.append(time.perf_counter() - start)
            print(f"| {name} | {np.mean(waits):.3f} | {np.mean(waits) / step_s:.1%} |")


def stores(folder: Path, n_volumes: int) -> tuple[list[Any], list[tuple[int, int]], int]:
    """Return images of 1 mm, three of each head and each turned otherwise, their pairs, and the bytes of all."""
    from model.data.catalogue import Item
    from model.simulation.rendering import rotation
    from warehouse.imaging.brain_scale import BrainScale
    from warehouse.prompts.record import PromptRecord
    from warehouse.volumes import Payload, write

    shape, random = (182, 218, 182), np.random.default_rng(0)
    at = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    brain, affine = (at**2).sum(0) < 0.5, np.eye(4)
    affine[:3, 3] = [-(n - 1) / 2 for n in shape]
    items = []
    for number in range(n_volumes):
        voxels = np.where(brain, random.random(shape, np.float32), 0).astype(np.float16)
        matrix = np.eye(4)
        matrix[:3, :3] = rotation(random.uniform(-5, 5, 3))
        steps = [{"kind": "native_to_session", "matrix": matrix.tolist()}]
        attributes = {"image_id": str(number), "form": "native", "transforms": steps}
        contrast = ("T1w", "T2w", "FLAIR")[number % 3]
        names = str(number), "c", f"s{number // 3}", f"p{number // 3}", "train", contrast
        path, scale = folder / str(number) / "session.zarr", BrainScale.of(voxels, brain)
        items.append(Item(*names, record=PromptRecord(), is_simulated=True, path=path, scale=scale))
        payload = Payload(voxels, affine, brain.astype(np.uint8), attributes, b"")
        write(items[-1].native_path, payload, name=str(number))
    pairs = [
        (one, other)
        for one in range(n_volumes)
        for other in range(n_volumes)
        if one != other and items[one].session_id == items[other].session_id
    ]
    return items, pairs, n_volumes * int(np.prod(shape)) * BYTES_PER_VOXEL


if __name__ == "__main__":
    main()
