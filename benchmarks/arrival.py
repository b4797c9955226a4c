"""How long a tick of the sensor of arriving data works: `python -m benchmarks.arrival [--people 20000]`.

One centre, five empty files a person. A tick of 30 s walks all folders; one of 0.1 s walks a slice of them, and the
next goes on there. The last row is what each tick would do without a cursor: list every file. Prints Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from pipelines.runtime import arrivals
from pipelines.runtime.operations import Arrival
from warehouse.centers.registry import register, registered, shipped
from warehouse.ingest import pending
from warehouse.lake.home import Home

CENTER = "open_ms"  # any centre: its patterns decide what is an image, and here every file is looked at
NAMES = ("T1w.nii.gz", "T1w.json", "T2w.nii.gz", "T2w.json", "FLAIR.nii.gz")


def made(root: Path, n_people: int) -> Path:
    """Make the folders and empty files of so many people, and return their root."""
    for number in range(n_people):
        place = root / f"sub-{number:05}" / "anat"
        place.mkdir(parents=True)
        for name in NAMES:
            (place / f"sub-{number:05}_{name}").touch()
    return root


def ticks(home: Home, seconds_per_tick: float) -> list[tuple[float, float]]:
    """Return wall and CPU seconds of each tick of a walk from its beginning to its end."""
    settings = Arrival(seconds_per_tick=seconds_per_tick, full_check_minutes=1e6, recipe="standard")
    seen: dict[str, arrivals.Seen] = {}
    taken = []
    while not taken or seen[CENTER].position is not None:
        wall, cpu = time.perf_counter(), time.process_time()
        seen = arrivals.look(home, arrivals.from_cursor(arrivals.to_cursor(seen)), settings, now=0.0).seen
        taken.append((time.perf_counter() - wall, time.process_time() - cpu))
    return taken


def main() -> None:
    """Make a dataset, look at it, and print what a look takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20_000)
    n_people = parser.parse_args().people
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        register(home, shipped()[CENTER], made(Path(folder) / "dataset", n_people))
        print(f"{n_people * len(NAMES):,} files in {2 * n_people + 1:,} folders\n")
        print("| what | ticks | wall s of the longest | CPU s of all |\n|---|---:|---:|---:|")
        for limit_s in (30.0, 1.0, 0.1):
            taken = ticks(home, limit_s)
            cpu_s = sum(cpu for _, cpu in taken)
            print(
                f"| a walk, {limit_s:g} s a tick | {len(taken)} | {max(wall for wall, _ in taken):.2f} | {cpu_s:.2f} |"
            )
        wall, cpu = time.perf_counter(), time.process_time()
        pending(home, registered(home)[CENTER])
        print(f"| every file listed | 1 | {time.perf_counter() - wall:.2f} | {time.process_time() - cpu:.2f} |")


if __name__ == "__main__":
    main()
