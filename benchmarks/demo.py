"""What the demonstration takes: seconds and peak memory of each stage, all processes together.

    python -m benchmarks.demo [--profile full|quick] [--home DIR] [--until STAGE]

Memory is the sum of proportional set sizes (what processes share counts once), read from /proc four times a second. A
home that is there already shows what an unchanged demonstration takes.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAGE = re.compile(r"^\[(.+): \d+ s\]$")
EVERY_S = 0.25


class Peak:
    """Highest memory of a process and all that it started, since the last look."""

    def __init__(self, pid: int) -> None:
        self.pid, self.highest_kb = pid, 0
        threading.Thread(target=self._watch, daemon=True).start()

    def taken(self) -> float:
        """Return the peak in GB, and begin anew."""
        found, self.highest_kb = self.highest_kb, 0
        return found / 1e6

    def _watch(self) -> None:
        while tree := family(self.pid):
            self.highest_kb = max(self.highest_kb, sum(map(proportional_kb, tree)))
            time.sleep(EVERY_S)


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it; nothing once it is gone."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(found for child in children for found in family(child))]


def proportional_kb(pid: int) -> int:
    """Return the proportional set size of a process; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def measure(home: Path, profile: str, until: str) -> tuple[list[tuple[str, float, float]], float]:
    """Run the demonstration; return stage, seconds and GB of each, and CPU seconds of all."""
    command = [sys.executable, "-m", "pipelines.cli", "--home", str(home), "demo", "--profile", profile]
    stages = []
    before, start = os.times(), time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as running:
        assert running.stderr is not None
        peak, last = Peak(running.pid), start
        for line in running.stderr:
            print(line, end="", file=sys.stderr, flush=True)
            if found := STAGE.match(line.strip()):
                now = time.perf_counter()
                stages.append((found[1], now - last, peak.taken()))
                last = now
                if found[1] == until:
                    running.terminate()
                    break
    if not stages or stages[-1][0] != until:
        if running.returncode:
            sys.exit(running.returncode)
        stages.append(("to the end", time.perf_counter() - last, peak.taken()))
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return stages, cpu_s


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="full", choices=("full", "quick"))
    parser.add_argument("--home", type=Path, help="default: an empty one that goes with the benchmark")
    parser.add_argument("--until", default="", help="end after this stage, e.g. harmonise")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as empty:
        stages, cpu_s = measure(arguments.home or Path(empty) / "home", arguments.profile, arguments.until)
    print("| stage | wall s | peak GB |\n|---|---:|---:|")
    for name, seconds, peak_gb in stages:
        print(f"| {name} | {seconds:.0f} | {peak_gb:.2f} |")
    total_s, highest_gb = sum(stage[1] for stage in stages), max(stage[2] for stage in stages)
    print(f"| **all** ({cpu_s:.0f} CPU s) | **{total_s:.0f}** | **{highest_gb:.2f}** |")


if __name__ == "__main__":
    main()
