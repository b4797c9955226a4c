"""A cohort of simulated centres, each in its published layout, with the ground truth beside it.

OUT/phantom_<center>/        the centre as it would be downloaded
OUT/phantom_<center>.yaml    its definition, for `tumsyn centers add`
OUT/truth/phantom_<center>/  maps of every head, and what is known of every scan
OUT/phantom_truth.csv, OUT/phantom_defects.csv   the same of all centres in one table each
"""

from __future__ import annotations

import json
import os
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
    Draft,
    Visit,
    draft_of,
    finish,
    image_visit,
    sidecar_path,
)
from model.simulation.defects import kind_of
from model.simulation.layouts import LAYOUTS
from warehouse.centers.registry import load_center, register
from warehouse.errors import PhantomError
from warehouse.harmonize.pool import processes
from warehouse.lake import atomic
from warehouse.lake.home import Home
from warehouse.sources import source_hash

DECIDES_COHORT = (
    "model.simulation",
    "model.physics",
    "warehouse.imaging.geometry",
    "warehouse.volumes.store",
)
Progress = Callable[[int, int, str], None]
RESOLUTIONS_MM = (0.8, 6.0)


@dataclass(frozen=True)
class Cohort:
    """A finished cohort.

    Parameters
    ----------
    centers : tuple of str
        Identifiers of the simulated centres asked for, e.g. phantom_ixi.
    made : tuple of str
        Those that were not there already.
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
    """Write simulated centres into a folder; those that are finished with the same settings are left.

    The same seed gives the same bytes, however many workers there are.

    Parameters
    ----------
    out : Path
        Made if need be.
    subjects_per_center : int
        Besides the travelling subject.
    resolution_mm : float
        0.8 to 6.
    centers : sequence of str, optional
        Of the real centres, e.g. ixi; all thirteen by default.
    workers : int, optional
        Processes; as many as there are CPUs by default. With 1 everything is done here.
    force : bool
        Replace centres that were made with other settings.
    progress : callable, optional
        Called with visits done, visits in all, and what was done.
    pool : Executor, optional
        Processes for the work in place of `workers`, each with one thread (`warehouse.harmonize.pool.processes`): a
        new process takes seconds to draw the atlas, so those who write several cohorts hand the same ones to each.

    Raises
    ------
    PhantomError
        For settings that cannot be, or a folder that was made otherwise.
    """
    names = _names(centers)
    settings = _settings(subjects_per_center, seed, resolution_mm)
    out.mkdir(parents=True, exist_ok=True)
    with atomic.lock(out / ".lock", exclusive=True):
        _sweep(out)
        wanted = [name for name in names if not _is_finished(out, name, settings, force)]
        drafts = {name: draft_of(out, name, settings) for name in wanted}
        try:
            _make(out, drafts, settings, pool or workers or os.cpu_count() or 1, progress or _silent)
        finally:
            for draft in drafts.values():
                draft.discard()
        _write_tables(out)
    return Cohort(out, tuple(f"phantom_{name}" for name in names), tuple(f"phantom_{name}" for name in wanted))


def register_cohort(home: Home, out: Path) -> list[str]:
    """Register every finished centre of a cohort in a home, and return their identifiers.

    Raises
    ------
    PhantomError
        When there is none.
    """
    found = [path for path in sorted(out.glob("phantom_*.yaml")) if path.with_suffix("").is_dir()]
    if not found:
        raise PhantomError(f"{out} holds no simulated centre", f"tumsyn phantom --out {out}")
    return [register(home, load_center(path), path.with_suffix("")).center.center_id for path in found]


def _sweep(out: Path) -> None:
    """Remove what a cohort that was killed left beside its places; only for who holds the lock."""
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
    low, high = RESOLUTIONS_MM
    if not low <= resolution_mm <= high:
        raise PhantomError(f"a resolution of {resolution_mm} mm", f"give one from {low} to {high} mm")
    return CohortSettings(n_subjects, seed, float(resolution_mm))


def _is_finished(out: Path, name: str, settings: CohortSettings, force: bool) -> bool:
    """Return whether a centre is there as wanted.

    Raises
    ------
    PhantomError
        When it is there, but otherwise, and may not be replaced.
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
    out: Path, drafts: dict[str, Draft], settings: CohortSettings, workers: int | Executor, progress: Progress
) -> None:
    """Image all visits, and finish each centre as soon as its last one is done."""
    todo = {name: len(draft.visits) for name, draft in drafts.items()}
    rows: dict[str, dict[int, list[truth.Row]]] = {name: {} for name in drafts}
    tasks = [(name, number) for name, draft in drafts.items() for number in range(len(draft.visits))]
    jobs = [drafts[name].visits[number] for name, number in tasks]
    with closing(_imaged(jobs, workers)) as imaged:
        for done, (index, result) in enumerate(imaged, start=1):
            name, number = tasks[index]
            rows[name][number] = result
            progress(done, len(tasks), f"phantom_{name}")
            if len(rows[name]) == todo[name]:
                together = [row for _, part in sorted(rows.pop(name).items()) for row in part]
                finish(out, drafts[name], _made_of(settings), together)


def _imaged(visits: Sequence[Visit], workers: int | Executor) -> Generator[tuple[int, list[truth.Row]], None, None]:
    """Yield the rows of each visit as it is done, with its place in the sequence."""
    if isinstance(workers, int) and min(workers, len(visits)) <= 1:
        with _one_thread():
            for index, visit in enumerate(visits):
                yield index, image_visit(visit)
        return
    # A forked child of a process with threads may hang; a fresh one imports torch in a second or two.
    try:
        with processes(min(workers, len(visits))) if isinstance(workers, int) else nullcontext(workers) as pool:
            running = {pool.submit(image_visit, visit): index for index, visit in enumerate(visits)}
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
    except BrokenProcessPool as error:
        raise PhantomError(
            "a worker died, probably for want of memory; centres that were finished are kept",
            "run the same again with fewer --workers, or a coarser --resolution",
        ) from error


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: sums in another order are other bytes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _write_tables(out: Path) -> None:
    """Write the truth and the defects of all centres that are there."""
    parts = [out / "truth" / path.stem / SCANS for path in sorted(out.glob("phantom_*.yaml"))]
    rows = [row for part in parts if part.is_file() for row in truth.read_rows(part)]
    atomic.write_text(out / "phantom_truth.csv", truth.table_text(rows, truth.COLUMNS))
    defects = [_defect_row(row) for row in rows if row["defect"]]
    atomic.write_text(out / "phantom_defects.csv", truth.table_text(defects, truth.DEFECT_COLUMNS))


def _defect_row(row: dict[str, str]) -> truth.Row:
    kind = kind_of(row["defect"], row["path"])
    refused = sidecar_path(row["path"]) if kind.refuses_sidecar else row["path"] if kind.reason else None
    return {
        "center_id": row["center_id"],
        "path": row["path"],
        "kind": row["defect"],
        "what": kind.what,
        "disposition": kind.disposition,
        "stage": kind.stage,
        "reason": kind.reason,
        "refused_path": refused,
    }


def _silent(done: int, total: int, what: str) -> None:
    """Report to nobody."""


ACCEPTANCE_ID = "phantom_acceptance"
ACCEPTANCE_LAYOUT = "lemon"  # a T1w, a T2w and a FLAIR of everybody
N_ACCEPTANCE_PEOPLE = 12
ACCEPTANCE_SEED = 7_001  # no cohort of the demonstration has it


def add_acceptance_set(
    home: Home, out: Path, *, resolution_mm: float, progress: Progress | None = None, pool: Executor | None = None
) -> str:
    """Simulate the acceptance set unless it is there, and register it as a centre of the split `acceptance`.

    Parameters
    ----------
    home : Home
    out : Path
        Folder of its own; what was made there by other code or settings is made anew.
    resolution_mm : float
    progress, pool : optional
        As `write_cohort` has them.

    Returns
    -------
    str
        Identifier of the centre.
    """
    made = write_cohort(
        out,
        subjects_per_center=N_ACCEPTANCE_PEOPLE,  # the layout leaves the travelling subject out
        seed=ACCEPTANCE_SEED,
        resolution_mm=resolution_mm,
        centers=[ACCEPTANCE_LAYOUT],
        force=True,
        progress=progress,
        pool=pool,
    )
    [simulated] = made.centers
    center = load_center(out / f"{simulated}.yaml")
    layout = center.layout.model_copy(update={"persons": {}})
    named = {"center_id": ACCEPTANCE_ID, "title": "Acceptance set (simulated)", "split": "acceptance", "layout": layout}
    register(home, center.model_copy(update=named), out / simulated)
    return ACCEPTANCE_ID
