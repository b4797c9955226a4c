"""Checks of an ingest: rows against the rules of their tables, and sources against each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

import pyarrow as pa

from warehouse.imaging.nifti import Header
from warehouse.ingest.demographics import Age
from warehouse.ingest.discover import OTHER_MODALITIES, Discovery
from warehouse.ingest.findings import Finding
from warehouse.ingest.participants import People
from warehouse.ingest.rows import ImageRows, Row
from warehouse.ingest.sidecars import Sidecar, stem
from warehouse.ingest.tree import Refusal
from warehouse.ingest.visits import Visits
from warehouse.tables import TABLES, Table

AGE_TOLERANCE_YEARS = 1.5  # two whole numbers of the same age, one of them rounded up
LENGTH_TOLERANCE = 0.05  # of a slice's thickness
TIME_TOLERANCE = 0.01  # of a repetition time
SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
TABLE_SUFFIXES = tuple(
    "_events _physio _stim _channels _electrodes _coordsystem _beh _motion _optodes".split()  # noqa: SIM905
)
NOT_OF_IMAGES = frozenset({"dataset_description", "participants", "sessions", "scans", "genetic_info", "samples"})
FREE_FOLDERS = frozenset({"derivatives", "sourcedata", "code", "stimuli", "phenotype", ".heudiconv", ".bidscoin"})


def refused_images(images: ImageRows) -> dict[str, Refusal]:
    """Return the images that break a rule of `core.image` or `core.acquisition`, by path."""
    paths = {image["image_id"]: image for image in images.images}
    refused: dict[str, Refusal] = {}
    for name, rows in (("core.image", images.images), ("core.acquisition", images.acquisitions)):
        for rule, row in _offenders(TABLES[name], TABLES[name].rows(rows)):
            image = paths[row["image_id"]]
            found = _refusal(TABLES[name], rule, row, image)
            path = str(image["path"])
            refused[path] = _joined(refused[path], found) if path in refused else found
    return refused


def _joined(one: Refusal, other: Refusal) -> Refusal:
    return replace(one, detail=f"{one.detail}; {other.detail}", remedy=f"{one.remedy}; {other.remedy}")


def _offenders(table: Table, rows: pa.Table) -> list[tuple[str, Row]]:
    import duckdb

    with duckdb.connect() as connection:
        connection.register("candidate", rows)
        found = []
        for rule, query in table.offenders("candidate").items():
            result = connection.execute(query)
            names = [column[0] for column in result.description or ()]
            found += [(rule, dict(zip(names, values, strict=True))) for values in result.fetchall()]
        return found


def _refusal(table: Table, rule: str, row: Row, image: Row) -> Refusal:
    sidecars = image["sidecar_paths"]
    place = sidecars[-1] if sidecars else "the centre's definition"
    column = next((column for column in table.columns if column.name == rule), None)
    if column is None:
        times = ("echo_time_s", "repetition_time_s")
        values = ", ".join(f"{name} = {row[name]}" for name in times if row.get(name) is not None)
        return Refusal("check", "broken_rule", f"{rule}: {values or 'broken'}", f"correct {place}")
    value, remedy = row[rule], f"correct {place}"
    if rule.endswith("_s") and isinstance(value, float) and value >= 1:
        remedy = f"BIDS wants seconds: {value:g} ms would be {value / 1000:g} s; {remedy}"
    return Refusal("check", "out_of_range", f"{rule} = {value} breaks the rule {column.rule}", remedy)


def rows_and_images(people: People, visits: Visits) -> list[Finding]:
    """Return findings for rows of a participant or visit without an image, and for participants without a row."""
    findings = []
    listed = set()
    for (path, number), row in people.rows.items():
        participant, session = row["participant_id"], row["session_label"]
        if participant is None:
            continue
        listed.add(participant)
        if participant not in visits:
            what = "The row names a participant without an image."
        elif session and session not in visits[str(participant)]:
            what = "The row names a visit without an image."
        else:
            continue
        findings.append(Finding("row_without_images", path, number, None, session, what, "", str(participant)))
    unlisted = sorted(visits.keys() - listed)
    if not listed:
        what = f"No table lists participants: {len(unlisted)} with images have no age and no sex from a table."
        remedy = "write participants.tsv at the root, or name the tables in the centre's definition"
        return [*findings, Finding("images_without_row", detail=what, remedy=remedy)] if unlisted else findings
    what = "The tables list other participants, but not this one."
    remedy = "add a row, or write the label as the folder has it"
    return findings + [
        Finding("images_without_row", detail=what, remedy=remedy, participant_id=participant)
        for participant in unlisted
    ]


def sidecars_without_image(found: Discovery, images: ImageRows, sidecars: Iterable[str]) -> list[Finding]:
    """Return findings for sidecars that apply to no image, accepted or refused."""
    used = {path for image in images.images for path in image["sidecar_paths"]}
    refused = {stem(path) for path in found.refusals if path.endswith((".nii", ".nii.gz"))}
    tables = {path.rpartition(".")[0] for path, (_, kind) in found.companions.items() if kind == "table"}
    others = {stem(path) for path, (_, kind) in found.companions.items() if kind not in ("sidecar", "table")}
    detail = "The sidecar applies to no image, by name or by inheritance."
    remedy = "compare its name with those of the images; entities and suffix must be those of an image"
    return [
        Finding("sidecar_without_image", path, detail=detail, remedy=remedy)
        for path in sidecars
        if path not in used and _is_of_images(path) and path.removesuffix(".json") not in refused | tables | others
    ]


def _is_of_images(path: str) -> bool:
    folders, name = path.split("/")[:-1], PurePosixPath(path).stem
    is_free = not FREE_FOLDERS.isdisjoint(folder.lower() for folder in folders)
    if is_free or name in NOT_OF_IMAGES or name.startswith(".") or OTHER_MODALITIES.search(path):
        return False
    return not name.endswith(TABLE_SUFFIXES) and name.rpartition("_")[2] not in NOT_OF_IMAGES


def sidecars_and_headers(
    images: ImageRows, headers: Mapping[str, Header], sidecars: Mapping[str, Sidecar]
) -> list[Finding]:
    """Return findings for images whose sidecar and header differ in slice distance or repetition time."""
    findings = []
    for image, acquisition in zip(images.images, images.acquisitions, strict=True):
        path = str(image["path"])
        if (header := headers.get(path)) is None:
            continue
        distance = _last(image["sidecar_paths"], sidecars, "SpacingBetweenSlices")
        key = "SpacingBetweenSlices" if distance else "SliceThickness"
        distance = distance or acquisition["slice_thickness_mm"]
        if isinstance(distance, float | int) and distance > 0 and not _fits(float(distance), header):
            sizes = " × ".join(f"{size:.3g}" for size in header.voxel_size_mm)
            detail = f"The sidecar says {distance:g} mm, the voxels of the header are {sizes} mm; the header is used."
            findings.append(Finding("sources_disagree", path, None, key, distance, detail, "check both"))
        repetition = acquisition["repetition_time_s"]
        in_header = _step_of_time(header)
        if repetition and in_header and not math.isclose(repetition, in_header, rel_tol=TIME_TOLERANCE):
            detail = (
                f"The sidecar says {repetition:g} s, the header {in_header:g} s between volumes; the sidecar is used."
            )
            findings.append(Finding("sources_disagree", path, None, "RepetitionTime", repetition, detail, "check both"))
    return findings


def _last(paths: Iterable[str], sidecars: Mapping[str, Sidecar], key: str) -> float | None:
    values = [sidecars[path].fields[key] for path in paths if path in sidecars and key in sidecars[path].fields]
    return abs(float(values[-1])) if values and isinstance(values[-1], float | int) else None


def _fits(distance: float, header: Header) -> bool:
    return any(math.isclose(distance, size, rel_tol=LENGTH_TOLERANCE) for size in header.voxel_size_mm)


def _step_of_time(header: Header) -> float | None:
    if header.n_volumes < 2 or len(header.zooms) < 4 or header.temporal_unit not in SECONDS:
        return None
    step = header.zooms[3] * SECONDS[header.temporal_unit]
    return step if math.isfinite(step) and step > 0 else None


def sidecars_and_people(images: ImageRows, people: People, ages: Mapping[tuple[str, str | None], Age]) -> list[Finding]:
    """Return findings for participants and visits whose sidecars and tables differ in sex or age."""
    findings = []
    for participant, sex in images.sex.items():
        person = people.participants.get(participant)
        if person and person.sex and person.sex != sex:
            detail = f"The table says {person.sex}, a sidecar of the participant {sex}; the table is used."
            findings.append(Finding("sources_disagree", None, None, "sex", sex, detail, "check both", participant))
    for participant, session in {(str(image["participant_id"]), image["session_label"]) for image in images.images}:
        table = ages.get((participant, session), Age()).years
        sidecar = images.age_of(participant, session).years
        if table is None or sidecar is None or abs(table - sidecar) <= AGE_TOLERANCE_YEARS:
            continue
        visit = f" at visit {session}" if session else ""
        detail = f"The table gives {table:g} years{visit}, a sidecar {sidecar:g}; the table is used."
        findings.append(Finding("sources_disagree", None, None, "age", sidecar, detail, "check both", participant))
    return findings
