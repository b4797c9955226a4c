"""How fast random 64³ patches come out of our store, beside what else a lab would use, and what each costs.

    python -m benchmarks.patches [--samples DIR] [--seconds 1.5] [--rounds 5] [--work DIR] [--chunks 32 40 48 64]

Real scans are brought to a 1 mm grid by the pipeline's own steps, once as whole heads and once stripped, and written as
our store, as .nii.gz and as .npy. Then workers that are spawned, not forked, draw patches at random from all of them.
One worker process per measurement, rounds of all methods in turn, median over rounds; page cache warm, except in the
last table. Prints Markdown. TorchIO is measured where it is installed; `--work` keeps the files for another run;
`--chunks` compares inner chunks of our store instead.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from warehouse.provenance import release
from warehouse.volumes import Payload, open_store, store, write

ROOT = Path(__file__).resolve().parent.parent
SCANS = (
    "vendor_t1w/sub-philips_T1w",
    "vendor_t1w/sub-skyra_T1w",
    "open_ms_longitudinal/patient01/study1_T1W",
    "open_ms_longitudinal/patient01/study1_T2W",
    "open_ms_longitudinal/patient01/study1_FLAIR",
    "open_ms_longitudinal/patient03/study2_T2W",
    "open_ms_longitudinal/patient04/study1_FLAIR",
    "open_ms_longitudinal/patient20/study2_T1W",
)
KINDS = ("whole head", "stripped")
SIZE = (64, 64, 64)
PATCHES_PER_VOLUME = 8  # TorchIO cuts so many from a scan that it has loaded
MB = 1e6
Corner = tuple[int, int, int]
Draw = Callable[[int, Corner], NDArray[Any]]


@dataclass(frozen=True)
class Way:
    """One way to read patches: its name, and the files it reads."""

    name: str
    pattern: str

    def opened(self, folder: Path) -> Draw:
        """Return a function that reads the patch of volume n at a corner."""
        paths = sorted(folder.glob(self.pattern))
        if self.name.startswith("our store"):
            volumes = [open_store(path, "zarr" if "zarr-python" in self.name else "tensorstore") for path in paths]
            return lambda n, corner: volumes[n].patch(corner, SIZE)
        if self.name.startswith("np.memmap"):
            arrays = [np.load(path, mmap_mode="r") for path in paths]
            return lambda n, corner: np.array(arrays[n][_box(corner)])
        images: list[Any] = [nib.load(path) for path in paths]
        return lambda n, corner: np.asarray(images[n].dataobj[_box(corner)])


WAYS = (
    Way("our store, tensorstore", "*.zarr"),
    Way("our store, zarr-python", "*.zarr"),
    Way("nibabel, .nii.gz float32", "f4-*.nii.gz"),
    Way("nibabel, .nii.gz int16", "i2-*.nii.gz"),
    Way("np.memmap, float16 .npy", "*.npy"),
)


@dataclass(frozen=True)
class Rate:
    """What one way gave: patches per second, CPU of a patch, peak memory of all its processes."""

    per_s: float
    cpu_ms: float
    peak_mb: float


def _box(corner: Corner) -> tuple[slice, ...]:
    return tuple(slice(first, first + side) for first, side in zip(corner, SIZE, strict=True))


def prepare(samples: Path, folder: Path) -> None:
    """Write every scan as whole head and stripped, in every form."""
    # Not above: the workers, whose memory is measured, import this module and need none of these.
    from warehouse.harmonize.intensity import find_scale
    from warehouse.harmonize.mask import find_brain
    from warehouse.imaging.geometry import session_grid
    from warehouse.imaging.resampling import resample, resample_mask
    from warehouse.imaging.scan import read_scan

    grid = session_grid(1.0)
    for number, name in enumerate(SCANS):
        image = read_scan(samples / "images" / f"{name}.nii.gz").image
        mask = find_brain(image)
        centre = nib.affines.apply_affine(image.affine, np.argwhere(mask).mean(axis=0))
        to_session = nib.affines.from_matvec(np.eye(3), -centre)  # the brain in the middle: a registration's place
        voxels = find_scale(image, (0.01, 99.9)).normalise(resample(image, to_session, grid).voxels)
        brain = resample_mask(mask, image, to_session, grid)
        for kind in KINDS:
            save(folder / kind, number, np.where(brain | (kind == KINDS[0]), voxels, 0), brain, grid.affine)
        print(f"  {name}: {int(brain.sum()) / 1000:.0f} ml of brain", file=sys.stderr)


def save(folder: Path, number: int, voxels: NDArray[Any], brain: NDArray[Any], affine: NDArray[np.float64]) -> None:
    """Write one volume in every form; the mask is left out, because the others have none."""
    folder.mkdir(parents=True, exist_ok=True)
    halves = voxels.astype(np.float16)
    write(folder / f"{number}.zarr", Payload(halves, affine, None, {"form": "session"}, b""), name=str(number))
    np.save(folder / f"{number}.npy", halves)
    nib.save(nib.Nifti1Image(halves.astype(np.float32), affine), folder / f"f4-{number}.nii.gz")
    steps = nib.Nifti1Image(np.rint(halves.astype(np.float64) * 4095).astype(np.int16), affine)
    steps.header.set_slope_inter(1 / 4095, 0)  # as a scanner stores it: twelve bits
    nib.save(steps, folder / f"i2-{number}.nii.gz")


def work(way: Way, folder: Path, seed: int, seconds: float, pipe: Any, *, cold: bool) -> None:
    """Draw patches whenever the parent says so, and tell how many; the life of one worker."""
    shapes = shapes_of(folder)
    rng = np.random.default_rng(seed)
    draw = way.opened(folder)

    def pick() -> tuple[int, Corner]:
        n = int(rng.integers(len(shapes)))
        i, j, k = (int(rng.integers(length - side + 1)) for length, side in zip(shapes[n], SIZE, strict=True))
        return n, (i, j, k)

    for n in range(len(shapes)):  # arrays are open and pages are in memory before anything is timed
        draw(n, (0, 0, 0))
    files = [file for path in folder.glob(way.pattern) for file in (path, *path.rglob("*")) if file.is_file()]
    while pipe.recv():
        count, spent, cpu = 0, 0.0, time.process_time()
        while spent < seconds:
            if cold:
                draw = way.opened(folder)
                forget(files)
            begin = time.perf_counter()
            draw(*pick())
            spent += time.perf_counter() - begin
            count += 1
        pipe.send((count / spent, (time.process_time() - cpu) / count * 1000))
    pipe.send(peak_mb())


def peak_mb() -> float:
    """Return this process's peak memory; getrusage would tell the parent's, which a spawned child inherits."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / MB


def shapes_of(folder: Path) -> list[tuple[int, ...]]:
    """Return the shapes of the volumes in a folder."""
    return [open_store(path, "zarr").shape for path in sorted(folder.glob("*.zarr"))]


def forget(files: list[Path]) -> None:
    """Drop files from the page cache; the disk below may still remember them."""
    for file in files:
        handle = os.open(file, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


class Team:
    """Workers of one way, waiting to be told."""

    def __init__(self, way: Way, folder: Path, n_workers: int, seconds: float, *, cold: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        self.rounds: list[tuple[float, float]] = []
        self.pipes, self.processes = [], []
        for seed in range(n_workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(way, folder, seed, seconds, theirs), kwargs={"cold": cold})
            process.start()
            self.pipes.append(ours)
            self.processes.append(process)

    def play(self) -> None:
        """Let all workers draw at the same time, once."""
        for pipe in self.pipes:
            pipe.send(True)
        told = [pipe.recv() for pipe in self.pipes]
        self.rounds.append((sum(rate for rate, _ in told), statistics.mean(cpu for _, cpu in told)))

    def end(self) -> Rate:
        """Let the workers go, and return the median over rounds."""
        for pipe in self.pipes:
            pipe.send(False)
        peak = sum(pipe.recv() for pipe in self.pipes)
        for process in self.processes:
            process.join()
        rates, cpus = zip(*self.rounds, strict=True)
        return Rate(statistics.median(rates), statistics.median(cpus), peak)


def measure(ways: tuple[Way, ...], folder: Path, n_workers: int, seconds: float, rounds: int) -> dict[Way, Rate]:
    """Measure ways in turn, round by round, so that a busy moment of the machine meets all of them."""
    teams = {way: Team(way, folder, n_workers, seconds) for way in ways}
    for team in teams.values():
        team.play()  # waits until the workers are up
        team.rounds.clear()
    for _ in range(rounds):
        for team in teams.values():
            team.play()
    return {way: team.end() for way, team in teams.items()}


def torchio_queue(folder: Path, n_workers: int, pipe: Any) -> None:
    """Draw patches by TorchIO's Queue, one epoch to warm up and two that count."""
    import torchio

    subjects = [torchio.Subject(scan=torchio.ScalarImage(path)) for path in sorted(folder.glob("f4-*.nii.gz"))]
    queue = torchio.Queue(
        torchio.SubjectsDataset(subjects),
        max_length=4 * PATCHES_PER_VOLUME,
        samples_per_volume=PATCHES_PER_VOLUME,
        sampler=torchio.UniformSampler(SIZE),
        num_workers=n_workers,
    )
    loader = torchio.SubjectsLoader(queue, batch_size=1, num_workers=0)
    rates = []
    for _ in range(3):
        begin = time.perf_counter()
        count = sum(1 for _ in loader)
        rates.append(count / (time.perf_counter() - begin))
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = sum(use.ru_utime + use.ru_stime for use in (own, children)) / (3 * count)
    peak = peak_mb() + n_workers * children.ru_maxrss * 1024 / MB
    pipe.send(Rate(statistics.mean(rates[1:]), cpu * 1000, peak))


def by_torchio(folder: Path, n_workers: int) -> Rate | None:
    """Return TorchIO's rate; None where it is not installed."""
    if importlib.util.find_spec("torchio") is None:
        return None
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=torchio_queue, args=(folder, n_workers, theirs))
    process.start()
    theirs.close()
    rate: Rate = ours.recv()
    process.join()
    return rate


def size_mb(folder: Path, pattern: str) -> float:
    """Return the megabytes of all files of a form."""
    files = {file for path in folder.glob(pattern) for file in (path, *path.rglob("*")) if file.is_file()}
    return sum(file.stat().st_size for file in files) / MB


def report(folder: Path, kind: str, seconds: float, rounds: int) -> None:
    """Measure and print everything about one kind of volume."""
    one, two = (measure(WAYS, folder, n_workers, seconds, rounds) for n_workers in (1, 2))
    rows = [(way.name, way.pattern, one[way], two[way]) for way in WAYS]
    torchio = [by_torchio(folder, n_workers) for n_workers in (1, 2)]
    if torchio[0] and torchio[1]:
        rows.append((f"TorchIO Queue, {PATCHES_PER_VOLUME} of a loaded scan", "f4-*.nii.gz", torchio[0], torchio[1]))
    nibabel, memmap = one[WAYS[2]].per_s, one[WAYS[4]].per_s
    heading(kind, "patches/s, 1 worker", "2 workers", "CPU ms", "× nibabel float32", "of memmap",
            "MB of memory, 1 / 2 workers", "MB on disk", "float32 ÷ disk")  # fmt: skip
    for name, pattern, single, double in rows:
        disk = size_mb(folder, pattern)
        speed = f"{single.per_s:,.0f}", f"{double.per_s:,.0f}", f"{single.cpu_ms:.2f}"
        relative = f"{single.per_s / nibabel:.1f}", f"1/{memmap / single.per_s:.1f}"
        room = f"{single.peak_mb:.0f} / {double.peak_mb:.0f}", f"{disk:.1f}", f"{floats_mb(folder) / disk:.1f}"
        line(name, *speed, *relative, *room)
    if not torchio[0]:
        line("TorchIO Queue", "not installed", *[""] * 7)


def report_chunks(work_folder: Path, sides: list[int], seconds: float, rounds: int) -> None:
    """Write the same volumes with other inner chunks, and print what each gives."""
    for kind in KINDS:
        heading(kind, "tensorstore, patches/s", "CPU ms", "zarr-python, patches/s", "CPU ms", "float32 ÷ disk")
        for side in sides:
            folder = work_folder / f"chunk {side}" / kind
            store.CHUNK = side
            for path in sorted((work_folder / kind).glob("*.zarr")):
                volume = open_store(path)
                write(folder / path.name, Payload(volume[...], volume.affine, None, {}, b""), name=path.stem)
            rates = measure(WAYS[:2], folder, 1, seconds, rounds)
            said = [text for rate in rates.values() for text in (f"{rate.per_s:,.0f}", f"{rate.cpu_ms:.2f}")]
            line(f"{side}³", *said, f"{floats_mb(folder) / size_mb(folder, '*.zarr'):.2f}")


def floats_mb(folder: Path) -> float:
    """Return the megabytes that all volumes have as raw float32."""
    return sum(float(np.prod(shape)) for shape in shapes_of(folder)) * 4 / MB


def heading(*cells: str) -> None:
    """Print the head of a table."""
    print()
    line(*cells)
    line(*["---"] * len(cells))


def line(*cells: str) -> None:
    """Print a line of a table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def report_cold(work_folder: Path, seconds: float, rounds: int) -> None:
    """Print what is left when no page is in memory, as with more scans than memory."""
    heading("page cache dropped before every patch, 1 worker", *(f"{kind}, patches/s" for kind in KINDS))
    for way in (WAYS[0], WAYS[1], WAYS[4]):
        rates = []
        for kind in KINDS:
            team = Team(way, work_folder / kind, 1, seconds, cold=True)
            for _ in range(rounds):
                team.play()
            rates.append(team.end().per_s)
        line(way.name, *(f"{rate:,.0f}" for rate in rates))


def main() -> None:
    """Prepare, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("TUMSYN_SAMPLES") or ROOT.parent / "shared" / "data"
    parser.add_argument("--samples", type=Path, default=Path(default), help="folder of real samples")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the median counts")
    parser.add_argument("--chunks", type=int, nargs="+", help="compare these inner chunks of our store instead")
    parser.add_argument("--work", type=Path, help="keep the prepared volumes here, or use those that are here")
    arguments = parser.parse_args()
    if not (arguments.samples / "images").is_dir():
        sys.exit(f"no real samples in {arguments.samples}; TUMSYN_SAMPLES names their folder")
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.work or Path(temporary)
        if not (folder / KINDS[1] / f"i2-{len(SCANS) - 1}.nii.gz").exists():
            prepare(arguments.samples, folder)
        packages = ", ".join(f"{name} {version(name)}" for name in ("zarr", "tensorstore", "nibabel", "numpy"))
        print(f"{release()}; Python {platform.python_version()}, {packages}; {os.cpu_count()} cores; "
              f"{len(SCANS)} volumes, 64³ patches, median of {arguments.rounds} rounds")  # fmt: skip
        if arguments.chunks:
            report_chunks(folder, arguments.chunks, arguments.seconds, arguments.rounds)
            return
        for kind in KINDS:
            report(folder / kind, kind, arguments.seconds, arguments.rounds)
        report_cold(folder, arguments.seconds, min(arguments.rounds, 3))


if __name__ == "__main__":
    main()
