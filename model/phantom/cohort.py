"""A cohort of simulated centres, each in its published layout, with the truth beside it.

OUT/phantom_<center>/        the centre as it would be downloaded
OUT/phantom_<center>.yaml    its definition, for `tumsyn centers add`
OUT/truth/phantom_<center>/  maps of every head, and what is known of every scan
OUT/phantom_truth.csv, OUT/phantom_defects.csv   the same of all centres in one table each

Belongs here: whole centres, made beside their places and renamed; workers; what is left as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

import torch
import yaml

from model.phantom import truth
from model.phantom.defects import kind_of
from model.phantom.layouts import LAYOUTS, Plan, definition_of, plan_of
from model.phantom.people import enrol
from model.phantom.scan import Settings, Visit, image_visit, sidecar_path
from warehouse import atomic
from warehouse.errors import PhantomError
from warehouse.home import Home
from warehouse.miniature.write import table_bytes
from warehouse.registry import Center, load_center, register

Progress = Callable[[int, int, str], None]
RESOLUTIONS_MM = (0.8, 6.0)
SCANS, MARK = "scans.csv", "made_of.json"
COMMENTS = {
    "oasis3": "# PDw is no contrast of the real dataset: here an external centre must offer every contrast.\n",
    "ucsf_pdgm": "# The real dataset is skull-stripped and coregistered; here whole heads lie as they were scanned.\n",
}


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


@dataclass(frozen=True)
class Draft:
    """A centre that is being written, in folders beside its places."""

    name: str
    plan: Plan
    center: Center
    visits: tuple[Visit, ...]
    scans: Path
    truth: Path


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

    Raises
    ------
    PhantomError
        For settings that cannot be, or a folder that was made otherwise.
    """
    names = _names(centers)
    settings = _settings(subjects_per_center, seed, resolution_mm)
    out.mkdir(parents=True, exist_ok=True)
    with atomic.lock(out / ".lock", exclusive=True):
        wanted = [name for name in names if not _is_finished(out, name, settings, force)]
        drafts = {name: _draft(out, name, settings) for name in wanted}
        try:
            _make(out, drafts, settings, workers or os.cpu_count() or 1, progress or _silent)
        finally:
            for draft in drafts.values():
                shutil.rmtree(draft.scans, ignore_errors=True)
                shutil.rmtree(draft.truth, ignore_errors=True)
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


def _names(centers: Sequence[str] | None) -> list[str]:
    names = list(dict.fromkeys(name.removeprefix("phantom_") for name in centers or LAYOUTS))
    if unknown := [name for name in names if name not in LAYOUTS]:
        raise PhantomError(f"no simulated centre of {', '.join(unknown)}", f"choose from {', '.join(LAYOUTS)}")
    return names


def _settings(n_subjects: int, seed: int, resolution_mm: float) -> Settings:
    low, high = RESOLUTIONS_MM
    if not low <= resolution_mm <= high:
        raise PhantomError(f"a resolution of {resolution_mm} mm", f"give one from {low} to {high} mm")
    return Settings(n_subjects, seed, float(resolution_mm))


def _is_finished(out: Path, name: str, settings: Settings, force: bool) -> bool:
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


def _made_of(settings: Settings) -> str:
    return json.dumps(asdict(settings) | {"code": code_version()}) + "\n"


@lru_cache
def code_version() -> str:
    """Return a hash of what the bytes of a cohort depend on in this package."""
    top = Path(__file__).parent
    sources = [*top.rglob("*.py"), *top.rglob("*.csv"), *(top.parent / "physics").glob("*.*")]
    digest = hashlib.sha256()
    for source in sorted(sources):
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def _draft(out: Path, name: str, settings: Settings) -> Draft:
    people = enrol(name, settings.n_subjects, settings.seed)
    plan = plan_of(name, people)
    center = definition_of(name, plan)
    scans = atomic.temporary_beside(out / f"phantom_{name}")
    maps = atomic.temporary_beside(out / "truth" / f"phantom_{name}")

    def key(place: object) -> tuple[int, int]:
        return place.person.number, place.visit  # type: ignore[attr-defined]

    visits = [
        Visit(center, tuple(places), settings, scans, maps) for _, places in groupby(sorted(plan.places, key=key), key)
    ]
    return Draft(name, plan, center, tuple(visits), scans, maps)


def _make(out: Path, drafts: dict[str, Draft], settings: Settings, workers: int, progress: Progress) -> None:
    """Image all visits, and finish each centre as soon as its last one is done."""
    todo = {name: len(draft.visits) for name, draft in drafts.items()}
    rows: dict[str, dict[int, list[truth.Row]]] = {name: {} for name in drafts}
    tasks = [(name, number) for name, draft in drafts.items() for number in range(len(draft.visits))]
    jobs = [drafts[name].visits[number] for name, number in tasks]
    for done, (index, result) in enumerate(_imaged(jobs, workers), start=1):
        name, number = tasks[index]
        rows[name][number] = result
        progress(done, len(tasks), f"phantom_{name}")
        if len(rows[name]) == todo[name]:
            _finish(out, drafts[name], settings, [row for _, part in sorted(rows.pop(name).items()) for row in part])


def _imaged(visits: Sequence[Visit], workers: int) -> Iterator[tuple[int, list[truth.Row]]]:
    """Yield the rows of each visit as it is done, with its place in the sequence."""
    if workers == 1 or len(visits) <= 1:
        with _one_thread():
            for index, visit in enumerate(visits):
                yield index, image_visit(visit)
        return
    # A forked child of a process with threads may hang; a fresh one imports torch in a second or two.
    with ProcessPoolExecutor(min(workers, len(visits)), get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        running = {pool.submit(image_visit, visit): index for index, visit in enumerate(visits)}
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread: sums in another order are other bytes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _finish(out: Path, draft: Draft, settings: Settings, rows: list[truth.Row]) -> None:
    """Add tables and truth, and put the centre into its place; its root comes last, as the sign that all is there."""
    for table in draft.plan.tables:
        _write(draft.scans / table.path, table_bytes(table))
    for path, text in draft.plan.texts.items():
        _write(draft.scans / path, text.encode())
    told = {person.participant_id: person for person in draft.plan.participants}
    visits = {(visit.participant_id, visit.session_label): visit.age_years for visit in draft.plan.sessions}
    for row in rows:
        person = told[str(row["participant_id"])]
        own = visits.get((str(row["participant_id"]), str(row["session_label"])))
        bounds = (None, None) if own is not None else (person.age_low_years, person.age_high_years)
        row |= {"told_sex": person.sex, "told_age_years": person.age_years if own is None else own}
        row |= {"told_age_low_years": bounds[0], "told_age_high_years": bounds[1]}
    _write(draft.truth / SCANS, truth.table_text(rows, truth.COLUMNS).encode())
    _write(draft.truth / MARK, _made_of(settings).encode())
    name = draft.center.center_id
    root, maps = out / name, out / "truth" / name
    for old in (root, maps):
        _discard(old)
    os.replace(draft.truth, maps)
    definition = yaml.safe_dump(
        draft.center.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True, width=120
    )
    atomic.write_text(out / f"{name}.yaml", COMMENTS.get(draft.name, "") + definition)
    os.replace(draft.scans, root)


def _discard(folder: Path) -> None:
    """Remove a folder so that no half of it is ever seen."""
    if folder.exists():
        away = atomic.temporary_beside(folder)
        os.replace(folder, away)
        shutil.rmtree(away)


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


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _silent(done: int, total: int, what: str) -> None:
    """Report to nobody."""
