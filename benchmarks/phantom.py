"""How fast the simulator is: `python -m benchmarks.phantom`.

Protocols a second for one anatomy (all tissues, mixed sequences and one sequence), volumes a minute by resolution,
random pairs a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from model.data.random_pairs import Ranges, make_pair, random_subject
from model.physics.contrast import signals_of, tissue_signals
from model.physics.protocol import SequenceSettings
from model.physics.tissue import properties
from model.simulation.head import make_head
from model.simulation.protocols import VARIANTS, draw_protocol
from model.simulation.scanner import Scanner, acquire

N_PROTOCOLS = 20_000
RESOLUTIONS_MM = (1.0, 2.0, 3.0)
SCANNER = Scanner("Siemens", "Prisma", 3.0)


def main() -> None:
    """Print one table after another."""
    print("| what | threads | a second |\n|---|---:|---:|")
    for n_threads in (1, 2):
        torch.set_num_threads(n_threads)
        for sequence in ("fast_spin_echo", "mprage"):
            print(f"| {sequence}, tensors | {n_threads} | {per_second(sequence):,.0f} |")
        print(f"| mixed protocols, objects | {n_threads} | {mixed_per_second():,.0f} |")
    torch.set_num_threads(1)
    print(
        "\n| grid | head, CPU s | scan, CPU s | volumes a minute, ten scans a head | random pairs a minute |\n|---:|"
        + "---:|" * 4
    )
    for resolution_mm in RESOLUTIONS_MM:
        head_s, scan_s, pair_s = anatomy(resolution_mm)
        volumes, pairs = 60 / (head_s / 10 + scan_s), 60 / (head_s / 8 + pair_s)
        print(f"| {resolution_mm:g} mm | {head_s:.1f} | {scan_s:.2f} | {volumes:.0f} | {pairs:.0f} |")


def per_second(sequence: str) -> float:
    """Return how many settings of one sequence are computed a second, all tissues."""
    spread = torch.linspace(0, 1, N_PROTOCOLS, dtype=torch.float64)
    settings = SequenceSettings.of(5 + spread, 0.003 + 0.001 * spread, 8.0 + spread, 1.0 + 0.1 * spread)
    tissue = properties(3.0)
    return N_PROTOCOLS / best(lambda: tissue_signals(sequence, tissue, settings))


def mixed_per_second() -> float:
    """Return how many protocols of all contrasts and both fields are computed a second."""
    random = np.random.default_rng(0)
    protocols = [
        draw_protocol(contrast, random, field) for contrast in VARIANTS for field in (1.5, 3.0) for _ in range(150)
    ]
    return len(protocols) / best(lambda: signals_of(protocols))


def anatomy(resolution_mm: float) -> tuple[float, float, float]:
    """Return CPU seconds of a head, of a scan of it on a grid of its own, and of a random pair of it."""
    ranges, random = Ranges(), np.random.default_rng(0)
    head = make_head(random_subject(ranges, 1, 0), resolution_mm)  # the template is read once
    start = time.process_time()
    for number in (1, 2):
        head = make_head(random_subject(ranges, 1, number), resolution_mm)
    head_s = (time.process_time() - start) / 2
    start = time.process_time()
    for seed, contrast in enumerate(VARIANTS):
        protocol = replace(draw_protocol(contrast, random), field_strength_t=3.0)
        acquire(head, protocol, SCANNER, voxel_size_mm=(resolution_mm,) * 3, axcodes="RAS", seed=seed)
    scan_s = (time.process_time() - start) / len(VARIANTS)
    start = time.process_time()
    for number in range(6):
        make_pair(head, ranges, (1, 2, number))
    return head_s, scan_s, (time.process_time() - start) / 6


def best(run: Callable[[], object], repeats: int = 7) -> float:
    """Return the least wall time of several runs, s."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
