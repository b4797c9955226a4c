"""How long a lab waits for its catalogue: eight real datasets from nothing, again unchanged, and beside pybids.

    python benchmarks/ingest.py [--samples DIR] [--dataset ds004712]

Each figure is one process of its own, measured by the system: wall seconds, CPU seconds, peak memory. Prints Markdown.
The samples are the metadata of eight OpenNeuro datasets as DataLad leaves them (images are links without content).
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYBIDS = (
    "import sys, bids; layout = bids.BIDSLayout(sys.argv[1], validate=False, derivatives=False); "
    "print(len(layout.to_df(metadata=True)))"
)
READ = (
    "import sys; from warehouse.lake.home import Home; from warehouse.ingest import ingest_center; "
    "from warehouse.centers.registry import registered; home = Home.default(); "
    "ingest_center(home, registered(home)[sys.argv[1]])"
)
OURS = ["-m", "pipelines.cli", "ingest"]


@dataclass(frozen=True)
class Cost:
    """What a process took: wall and CPU in seconds, peak memory in MB (10^6 bytes)."""

    wall_s: float
    cpu_s: float
    peak_mb: float

    def row(self, what: str) -> str:
        """Return a line of the table."""
        return f"| {what} | {self.wall_s:.1f} | {self.cpu_s:.1f} | {self.peak_mb:,.0f} |"


def measure(words: list[str], home: Path) -> Cost:
    """Run Python with these words and wait for it; its output is shown only where it fails."""
    environment = os.environ | {"TUMSYN_HOME": str(home), "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, *words], stdout=output, stderr=output, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(words)} ended with status {process.returncode}:\n{output.read().decode()}")
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


def unpacked(samples: Path, folder: Path) -> list[Path]:
    """Unpack the archives, and return the datasets."""
    subprocess.run([sys.executable, samples / "unpack.py", folder], check=True, stdout=subprocess.DEVNULL)
    return sorted(path for path in folder.iterdir() if path.is_dir())


def register(home: Path, datasets: list[Path]) -> None:
    """Register datasets in a new home."""
    sys.path.insert(0, str(ROOT))  # run as a script, it does not see the packages before
    from warehouse.centers import registry
    from warehouse.lake.home import Home

    for root in datasets:
        center = registry.Center(center_id=root.name, title=root.name, layout=registry.Layout(kind="bids"))
        registry.register(Home(home), center, root)


def count(home: Path) -> tuple[int, int]:
    """Return how many images and JSON sidecars are in a home's catalogue."""
    from warehouse.catalog.query import Catalogue  # as in `register`, which was called before
    from warehouse.lake.home import Home

    query = "SELECT (SELECT count(*) FROM core.image), (SELECT count(*) FROM raw.file WHERE path LIKE '%.json')"
    n_images, n_json = (column.to_pylist()[0] for column in Catalogue(Home(home)).query(query).columns)
    return n_images, n_json


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=Path, default=os.environ.get("TUMSYN_SAMPLES") or ROOT.parent / "shared/data")
    parser.add_argument(
        "--dataset",
        default="ds004712",
        help="the one that pybids reads too; it gives up at a sidecar that does not parse",
    )
    options = parser.parse_args()
    if not (Path(options.samples) / "unpack.py").is_file():
        sys.exit(f"no samples in {options.samples}; name their folder with --samples")
    with tempfile.TemporaryDirectory() as scratch:
        report(unpacked(Path(options.samples), Path(scratch, "real")), Path(scratch), options.dataset)


def report(datasets: list[Path], scratch: Path, chosen: str) -> None:
    """Print the table."""
    every, one, bare = scratch / "every", scratch / "one", scratch / "bare"
    register(every, datasets)
    for home in (one, bare):
        register(home, [root for root in datasets if root.name == chosen])
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}, pybids {version('pybids')}\n")
    print("| what | wall s | CPU s | peak MB |\n|---|---:|---:|---:|")

    def line(what: str, words: list[str], home: Path) -> Cost:
        cost = measure(words, home)
        print(cost.row(what), flush=True)
        return cost

    line(f"{len(datasets)} datasets, from nothing to a published snapshot", OURS, every)
    line("the same, unchanged", OURS, every)
    whole = line(f"{chosen}: from nothing to a published snapshot", OURS, one)
    read = line(f"{chosen}: read and committed, without Dagster and publishing", ["-c", READ, chosen], bare)
    theirs = line(f"{chosen}: pybids indexes it with metadata", ["-c", PYBIDS, str(scratch / "real" / chosen)], bare)
    n_images, n_json = count(every)
    to_read, to_publish = theirs.wall_s / read.wall_s, theirs.wall_s / whole.wall_s
    print(f"\n{n_images:,} images and {n_json:,} JSON files. On {chosen} pybids took {to_read:.1f} times as long as")
    print(f"reading, and {to_publish:.1f} times as long as everything up to the published snapshot.")


if __name__ == "__main__":
    main()
