"""A cohort of simulated centres, each in its published layout, with the ground truth beside it.

OUT/phantom_<center>/        the centre as it would be downloaded
OUT/phantom_<center>.yaml    its definition, for `tumsyn centers add`
OUT/truth/phantom_<center>/  maps of every head, and what is known of every scan
OUT/phantom_truth.csv, OUT/phantom_defects.csv   the same of all centres in one table each
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from model.simulation import truth
from model.simulation.center import (
    MARK,
    SCANS,
    CohortSettings,
    StagedCenter,
    Visit,
    finish,
    image_visit,
    sidecar_path,
    stage,
)
from model.simulation.defects import kind_of
from model.simulation.layouts import LAYOUTS
from model.simulation.template import COARSEST_MM, FINEST_MM
from warehouse.centers.registry import load_center, register
from warehouse.errors import PhantomError
from warehouse.harmonize.pool import n_cpus, processes
from warehouse.lake import atomic
from warehouse.lake.home import Home
from warehouse.provenance import source_hash

DECIDES_COHORT = ("model.simulation", "model.physics", "warehouse.imaging.geometry")
ACCEPTANCE_ID = "phantom_acceptance"
ACCEPTANCE_LAYOUT = "lemon"  # a T1w, a T2w and a FLAIR of everybody, and no travelling subject
N_ACCEPTANCE_PEOPLE = 12
ACCEPTANCE_SEED = 7_001  # no cohort of the demonstration has it

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Cohort:
    """A finished cohort.

    Parameters
    ----------
    centers : tuple of str
        Identifiers of the simulated centres that were requested, e.g. phantom_ixi.
    made : tuple of str
        Those that did not exist before.
    """

    out: Path
    centers: tuple[str, ...]
    made: tuple[str, ...]


def write_cohort(
    out: Path,
    *,
    subjects_per_center: int,
    seed: int,
    resolution_mm: float = 1.0,
    centers: Sequence[str] | None = None,
    workers: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
    pool: Executor | None = None,
) -> Cohort:
    """Write simulated centres into a folder; centres that exist with the same settings and code are kept.

    The same seed gives the same bytes, whatever the number of workers.

    Parameters
    ----------
    out : Path
        Created if it does not exist.
    subjects_per_center : int
        Without the travelling subject.
    resolution_mm : float
        0.8 to 6.
    centers : sequence of str, optional
        Identifiers of real centres, e.g. ixi; all thirteen by default.
    workers : int, optional
        Number of processes; by default the number of CPUs. With 1 the calling process does the work.
    force : bool
        Replace centres that were made with other settings.
    progress : callable, optional
        Called with the number of finished visits, the number of all visits, and the centre.
    pool : Executor, optional
        Processes to use in place of `workers`, each with one thread (`warehouse.harmonize.pool.processes`). A new
        process needs seconds to build the atlas, so a caller that writes several cohorts passes the same pool to each.

    Raises
    ------
    PhantomError
        For impossible settings, or a folder that holds a centre of other settings.
    """
    names = _names(centers)
    settings = _settings(subjects_per_center, seed, resolution_mm)
    out.mkdir(parents=True, exist_ok=True)
    with atomic.lock(out / ".lock", exclusive=True):
        _sweep(out)
        wanted = [name for name in names if not _is_finished(out, name, settings, force)]
        staged = {name: stage(out, name, settings) for name in wanted}
        try:
            _make(out, staged, settings, pool or workers or n_cpus(), progress)
        finally:
            for center in staged.values():
                center.discard()
        _write_tables(out)
    return Cohort(out, tuple(f"phantom_{name}" for name in names), tuple(f"phantom_{name}" for name in wanted))


def register_cohort(home: Home, out: Path) -> list[str]:
    """Register every finished centre of a cohort in a home and return their identifiers.

    Raises
    ------
    PhantomError
        When there is none.
    """
    found = [path for path in sorted(out.glob("phantom_*.yaml")) if path.with_suffix("").is_dir()]
    if not found:
        raise PhantomError(f"{out} holds no simulated centre", f"tumsyn phantom --out {out}")
    return [register(home, load_center(path), path.with_suffix("")).center.center_id for path in found]


def add_acceptance_set(
    home: Home, out: Path, *, resolution_mm: float, progress: Progress | None = None, pool: Executor | None = None
) -> str:
    """Simulate the acceptance set unless it exists, register it as a centre, and return the identifier of the centre.

    The gates of a demonstration are evaluated on these twelve people, since its own test set is too small for an
    interval. The definition of the centre fixes its split to `acceptance`: no model is trained on it.

    Parameters
    ----------
    home : Home
    out : Path
        Folder of its own; an acceptance set of other code or settings in it is replaced.
    resolution_mm : float
    progress, pool : optional
        As in `write_cohort`.
    """
    cohort = write_cohort(
        out,
        subjects_per_center=N_ACCEPTANCE_PEOPLE,
        seed=ACCEPTANCE_SEED,
        resolution_mm=resolution_mm,
        centers=[ACCEPTANCE_LAYOUT],
        force=True,
        progress=progress,
        pool=pool,
    )
    [simulated] = cohort.centers
    center = load_center(out / f"{simulated}.yaml")
    layout = center.layout.model_copy(update={"persons": {}})
    named = {"center_id": ACCEPTANCE_ID, "title": "Acceptance set (simulated)", "split": "acceptance", "layout": layout}
    register(home, center.model_copy(update=named), out / simulated)
    return ACCEPTANCE_ID


def _sweep(out: Path) -> None:
    """Remove temporary files and folders of a killed run; the caller holds the lock."""
    for stale in (*out.glob(".phantom_*.tmp"), *out.glob("truth/.phantom_*.tmp")):
        if stale.is_dir():
            shutil.rmtree(stale)
        else:
            stale.unlink()


def _names(centers: Sequence[str] | None) -> list[str]:
    names = list(dict.fromkeys(name.removeprefix("phantom_") for name in centers or LAYOUTS))
    if unknown := [name for name in names if name not in LAYOUTS]:
        raise PhantomError(f"no simulated centre of {', '.join(unknown)}", f"choose from {', '.join(LAYOUTS)}")
    return names


def _settings(n_subjects: int, seed: int, resolution_mm: float) -> CohortSettings:
    if not FINEST_MM <= resolution_mm <= COARSEST_MM:
        raise PhantomError(f"a resolution of {resolution_mm} mm", f"give one from {FINEST_MM} to {COARSEST_MM} mm")
    return CohortSettings(n_subjects, seed, float(resolution_mm))


def _is_finished(out: Path, name: str, settings: CohortSettings, force: bool) -> bool:
    """Return whether a centre exists with these settings and this code.

    Raises
    ------
    PhantomError
        When it exists with others and may not be replaced.
    """
    root, mark = out / f"phantom_{name}", out / "truth" / f"phantom_{name}" / MARK
    if not root.exists():
        return False
    made_of = mark.read_text() if mark.is_file() else ""
    if made_of == _made_of(settings) and (out / f"phantom_{name}.yaml").is_file():
        return True
    if not made_of:
        raise PhantomError(f"{root} was not made by this command", "give another --out, or move that folder away")
    if not force:
        raise PhantomError(
            f"{root} was made with other settings, or by another version: {made_of.strip()}",
            "give --force to replace it, or another --out",
        )
    return False


def _made_of(settings: CohortSettings) -> str:
    return json.dumps(asdict(settings) | {"code": source_hash("model.simulation.cohort", DECIDES_COHORT)}) + "\n"


def _make(
    out: Path,
    staged: dict[str, StagedCenter],
    settings: CohortSettings,
    workers: int | Executor,
    progress: Progress | None,
) -> None:
    """Image all visits and finish each centre after its last visit."""
    todo = {name: len(center.visits) for name, center in staged.items()}
    rows: dict[str, dict[int, list[truth.Row]]] = {name: {} for name in staged}
    tasks = [(name, number) for name, center in staged.items() for number in range(len(center.visits))]
    jobs = [staged[name].visits[number] for name, number in tasks]
    with closing(_imaged(jobs, workers)) as imaged:
        for done, (index, result) in enumerate(imaged, start=1):
            name, number = tasks[index]
            rows[name][number] = result
            if progress:
                progress(done, len(tasks), f"phantom_{name}")
            if len(rows[name]) == todo[name]:
                together = [row for _, part in sorted(rows.pop(name).items()) for row in part]
                finish(out, staged[name], _made_of(settings), together)


def _imaged(visits: Sequence[Visit], workers: int | Executor) -> Generator[tuple[int, list[truth.Row]], None, None]:
    """Yield the index and the rows of each visit as it finishes."""
    if isinstance(workers, int) and min(workers, len(visits)) <= 1:
        with _one_thread():
            for index, visit in enumerate(visits):
                yield index, image_visit(visit)
        return
    # The processes are spawned: a forked child of a process with threads may hang.
    try:
        with processes(min(workers, len(visits))) if isinstance(workers, int) else nullcontext(workers) as pool:
            running = {pool.submit(image_visit, visit): index for index, visit in enumerate(visits)}
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
    except BrokenProcessPool as error:
        raise PhantomError(
            "a worker process died, probably because memory ran out; finished centres are kept",
            "run the same command again with fewer --workers or a coarser --resolution",
        ) from error


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit torch to one thread, since the order of summation changes the bytes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _write_tables(out: Path) -> None:
    """Write the tables of scans and defects of all centres in the folder."""
    parts = [out / "truth" / path.stem / SCANS for path in sorted(out.glob("phantom_*.yaml"))]
    rows = [row for part in parts if part.is_file() for row in truth.read_rows(part)]
    atomic.write_text(out / "phantom_truth.csv", truth.table_text(rows, truth.COLUMNS))
    defects = [_defect_row(row) for row in rows if row["defect"]]
    atomic.write_text(out / "phantom_defects.csv", truth.table_text(defects, truth.DEFECT_COLUMNS))


def _defect_row(row: dict[str, str]) -> truth.Row:
    kind = kind_of(row["defect"], row["path"])
    refused = sidecar_path(row["path"]) if kind.refuses_sidecar else row["path"] if kind.reason else None
    facts = {"center_id": row["center_id"], "path": row["path"], "kind": row["defect"], "refused_path": refused}
    return facts | asdict(kind)
