"""Ingests one centre from its folder into the lake, reading only files that changed."""

from __future__ import annotations

import csv
import gc
import hashlib
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from warehouse.centers.registry import RegisteredCenter
from warehouse.errors import LayoutError, ParticipantsError
from warehouse.ingest import checks, rows
from warehouse.ingest.discover import Discovery, discover
from warehouse.ingest.eligibility import judge_copies
from warehouse.ingest.findings import finding_rows
from warehouse.ingest.participants import People, read_people
from warehouse.ingest.reading import PreviousIngest, Progress, read_headers, read_sidecars
from warehouse.ingest.tree import Entry, Refusal, fingerprint, walk
from warehouse.ingest.visits import ages_of_visits
from warehouse.lake.home import Home
from warehouse.lake.parts import Manifest, commit_center, read_manifest
from warehouse.tables import PARTITIONED

# Sources whose change makes every centre be read again. Their bytes are hashed as they are, comments included, in 2 ms:
# `warehouse.provenance.source_hash` parses them, which takes 0.2 s at every start of an ingest.
DECIDES_ROWS = (
    *("centers/*.py", "imaging/*.py", "ingest/*.py", "prompts/*.py"),
    *("tables/*.py", "prompts/codes/*.csv"),
)


@dataclass(frozen=True)
class Ingested:
    """Result of an ingest.

    Parameters
    ----------
    changed : bool
        False where nothing had changed since the last ingest and no file was opened.
    n_rows : dict of str to int
        Rows of each table.
    seconds : float
        Wall time.
    """

    center_id: str
    changed: bool
    manifest: Manifest
    n_rows: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class Examined:
    """Rows that an ingest of a centre would write.

    Parameters
    ----------
    found : Discovery
        All files.
    rows : dict of str to list of dict
        Rows of each table, by its name.
    n_candidates : int
        Files that are images by their name, whether they can be read or not.
    """

    found: Discovery
    rows: dict[str, list[rows.Row]]
    n_candidates: int


def ingest_center(
    home: Home, registration: RegisteredCenter, *, progress: Progress | None = None, force: bool = False
) -> Ingested:
    """Read a centre's folder into the lake.

    Parameters
    ----------
    home : Home
    registration : RegisteredCenter
        The centre and its folder.
    progress : callable, optional
        Called with files done, files in all, and the file being read.
    force : bool
        Read everything again even where nothing has changed.

    Raises
    ------
    CenterError
        When the root is absent.
    LayoutError
        When it holds no image by the layout; the last ingest then stays valid.
    """
    start = time.perf_counter()
    entries = walk(registration.root, registration.follow_links)
    prints = _fingerprints(home, registration, entries)
    manifest = read_manifest(home, registration.center.center_id)
    changed = force or manifest is None or manifest.fingerprint != prints
    if changed:
        previous = PreviousIngest() if force else _previous(home, registration, manifest, prints)
        with _collector_paused():
            examined = examine(
                registration, entries, previous, home.salt(), _persons(home), progress or (lambda *_: None)
            )
        if not examined.n_candidates:
            _refuse_empty(registration, entries, examined.found)
        tables = {table.name: table.rows(examined.rows[table.name]) for table in PARTITIONED}
        manifest = commit_center(home, registration.center.center_id, tables, prints)
    assert manifest is not None
    counts = {part.table: part.n_rows for part in manifest.parts}
    return Ingested(registration.center.center_id, changed, manifest, counts, time.perf_counter() - start)


def check_center(home: Home, registration: RegisteredCenter) -> Examined:
    """Return the rows that an ingest would write; nothing is written.

    Raises
    ------
    CenterError
        When the root is absent.
    """
    entries = walk(registration.root, registration.follow_links)
    manifest = read_manifest(home, registration.center.center_id)
    previous = _previous(home, registration, manifest, _fingerprints(home, registration, entries))
    with _collector_paused():
        return examine(registration, entries, previous, b"not stored", _persons(home), lambda *_: None)


def is_current(home: Home, registration: RegisteredCenter) -> bool:
    """Return whether an ingest would change nothing; no file of the centre is opened."""
    return pending(home, registration) is None


def pending(home: Home, registration: RegisteredCenter) -> str | None:
    """Return a hash of the files, definition and code that an ingest would read; None where it would change nothing.

    Raises
    ------
    CenterError
        When the root is not a folder that can be listed.
    """
    manifest = read_manifest(home, registration.center.center_id)
    prints = _fingerprints(home, registration, walk(registration.root, registration.follow_links))
    if manifest is not None and manifest.fingerprint == prints:
        return None
    return hashlib.sha256(repr(sorted(prints.items())).encode()).hexdigest()


def _previous(
    home: Home, registration: RegisteredCenter, manifest: Manifest | None, prints: Mapping[str, str]
) -> PreviousIngest:
    """Return the last ingest if the same code and definition made it, else an empty one."""
    keys = ("code", "definition")
    if manifest is None or any(manifest.fingerprint.get(key) != prints[key] for key in keys):
        return PreviousIngest()
    return PreviousIngest.load(home, registration.center.center_id)


def examine(
    registration: RegisteredCenter,
    entries: list[Entry],
    previous: PreviousIngest,
    salt: bytes,
    persons: Mapping[tuple[str, str], str],
    progress: Progress,
) -> Examined:
    """Read a centre's files and return the rows of its tables, without writing anything.

    Parameters
    ----------
    registration : RegisteredCenter
    entries : list of Entry
        Its files.
    previous : PreviousIngest
        Content of files that need not be read again.
    salt : bytes
        The home's secret, for hashes of serial numbers.
    persons : mapping of (str, str) to str
        Person by centre and participant, for people who took part in several centres.
    progress : callable
        Called with files done, files in all, and the file being read.
    """
    center = registration.center
    found = discover(center, entries)
    n_candidates = len(found.images)
    sidecars = read_sidecars(found, previous, salt, progress)
    headers = read_headers(found, previous, progress)
    images = rows.image_rows(registration, found, headers, sidecars)
    _refuse_broken(found, images)
    judge_copies(images.images)  # after refusals, so that a broken raw scan leaves its copy in use
    visits = visits_of(found)
    people = read_people(center, entries, visits=visits, prefix=found.prefix)
    participants = rows.participant_rows(center, images, people, persons)
    ages, of_ages = ages_of_visits(people, visits)
    findings = [
        *found.findings,
        *people.findings,
        *images.findings,
        *of_ages,
        *rows.split_findings(center, participants),
        *checks.rows_and_images(people, visits),
        *checks.sidecars_without_image(found, images, sidecars),
        *checks.sidecars_and_headers(images, headers, sidecars),
        *checks.sidecars_and_people(images, people, ages),
    ]
    _with_tables(found, people)
    made = {
        "raw.file": rows.file_rows(center.center_id, found),
        "raw.sidecar": [sidecar.row(center.center_id) for _, sidecar in sorted(sidecars.items())],
        "raw.participant_row": [{"center_id": center.center_id} | row for row in people.rows.values()],
        "raw.header": [rows.header_row(center.center_id, *item) for item in sorted(headers.items())],
        "core.center": [rows.center_row(registration)],
        "core.participant": participants,
        "core.session": rows.session_rows(center.center_id, images, ages),
        "core.image": images.images,
        "core.acquisition": images.acquisitions,
        "core.rejection": rows.rejection_rows(center.center_id, _refusals(found, people)),
        "core.finding": finding_rows(center.center_id, findings),
    }
    return Examined(found, made, n_candidates)


def visits_of(found: Discovery) -> dict[str, set[str | None]]:
    """Return the labels of the visits with an image, by participant."""
    visits: dict[str, set[str | None]] = defaultdict(set)
    for candidate in found.images:
        visits[candidate.entities["sub"]].add(candidate.entities.get("ses"))
    return dict(visits)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause Python's cycle collector, which would walk a million small rows again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _refuse_empty(registration: RegisteredCenter, entries: list[Entry], found: Discovery) -> None:
    center = registration.center
    example = next((entry.path for entry in entries if entry.path.endswith((".nii", ".nii.gz"))), None)
    seen = f"{len(entries)} files, e.g. {example or (entries[0].path if entries else 'none')}"
    nested = [refusal for _, refusal in found.refusals.values() if refusal.reason == "nested_dataset"]
    if nested:
        raise LayoutError(
            f"centre {center.center_id}: {registration.root} holds several datasets: {nested[0].detail}",
            "register each as a centre of its own, with tumsyn centers add … --root",
        )
    raise LayoutError(
        f"centre {center.center_id}: {registration.root} holds no image that its layout knows "
        f"({center.layout.kind}; {seen})",
        f"check the root, or the patterns: tumsyn centers check {center.center_id}",
    )


def _refuse_broken(found: Discovery, images: rows.ImageRows) -> None:
    """Move images that break a rule to the refusals."""
    refused = checks.refused_images(images)
    if not refused:
        return
    identities = {image["image_id"] for image in images.images if image["path"] in refused}
    images.images = [image for image in images.images if image["image_id"] not in identities]
    images.acquisitions = [row for row in images.acquisitions if row["image_id"] not in identities]
    for candidate in found.images:
        if refusal := refused.get(candidate.entry.path):
            found.refusals[candidate.entry.path] = (candidate.entry, refusal)
    found.images = [candidate for candidate in found.images if candidate.entry.path not in refused]


def _with_tables(found: Discovery, people: People) -> None:
    """Move tables that could not be read from the companions to the refusals."""
    for path, number, refusal in people.refused:
        if number is None and path in found.companions:
            found.refusals[path] = (found.companions.pop(path)[0], refusal)


def _refusals(found: Discovery, people: People) -> list[tuple[str, int | None, Refusal]]:
    whole: list[tuple[str, int | None, Refusal]] = [
        (path, None, refusal) for path, (_, refusal) in sorted(found.refusals.items())
    ]
    return whole + [refused for refused in people.refused if refused[1] is not None]


def _fingerprints(home: Home, registration: RegisteredCenter, entries: list[Entry]) -> dict[str, str]:
    definition = registration.center.model_dump_json() + str(registration.root) + str(registration.follow_links)
    persons = home.persons.read_bytes() if home.persons.exists() else b""
    return {
        "tree": fingerprint(entries),
        "definition": hashlib.sha256(definition.encode() + persons).hexdigest(),
        "code": ingest_code(),
    }


@lru_cache
def ingest_code() -> str:
    """Return a hash of the code that makes the rows: another version reads everything again."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for source in sorted(path for pattern in DECIDES_ROWS for path in package.glob(pattern)):
        digest.update(source.relative_to(package).as_posix().encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def _persons(home: Home) -> Mapping[tuple[str, str], str]:
    """Return the home's table of people who took part in several centres."""
    if not home.persons.exists():
        return {}
    with home.persons.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if missing := {"center_id", "participant_id", "person_id"} - set(reader.fieldnames or ()):
            raise ParticipantsError(
                f"{home.persons}: columns {sorted(missing)} are missing", "write center_id,participant_id,person_id"
            )
        return {(row["center_id"], row["participant_id"]): row["person_id"] for row in reader}
