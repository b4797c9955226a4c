"""Builds the rows of `raw` and `core` from files, headers, sidecars and tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from warehouse.centers.registry import Center, RegisteredCenter
from warehouse.imaging.nifti import NOT_KEPT, Header
from warehouse.ingest.acquisition import read_acquisition
from warehouse.ingest.demographics import Age, parse_age, parse_sex
from warehouse.ingest.discover import Candidate, Discovery
from warehouse.ingest.eligibility import contrast_of, judge
from warehouse.ingest.findings import Finding, shown
from warehouse.ingest.participants import People
from warehouse.ingest.privacy import AFTER_AGENT, AGENT_KEYS, BEFORE_AGENT, NO_AGENT
from warehouse.ingest.sidecars import Inheritance, Sidecar
from warehouse.ingest.tree import Refusal

Row = dict[str, Any]


@dataclass
class ImageRows:
    """Rows of `core.image` and `core.acquisition`, and sex and age of participants by their sidecars."""

    images: list[Row] = field(default_factory=list)
    acquisitions: list[Row] = field(default_factory=list)
    sex: dict[str, str] = field(default_factory=dict)
    age: dict[tuple[str, str | None], Age] = field(default_factory=dict)  # by participant and visit
    findings: list[Finding] = field(default_factory=list)

    def age_of(self, participant: str, session: str | None) -> Age:
        """Return the age at a visit by a sidecar."""
        return self.age.get((participant, session), Age())


def image_id(center_id: str, path: str) -> str:
    """Return the identifier of an image, a hash of its centre and path."""
    return hashlib.sha256(f"{center_id}\0{path}".encode()).hexdigest()[:16]


def session_id(center_id: str, participant: str, session: str | None) -> str:
    """Return the identifier of a visit."""
    return f"{center_id}/sub-{participant}" + (f"/ses-{session}" if session else "")


def image_rows(
    registration: RegisteredCenter, found: Discovery, headers: Mapping[str, Header], sidecars: Mapping[str, Sidecar]
) -> ImageRows:
    """Return one row per image, joined from names, headers, sidecars and protocols."""
    center = registration.center
    inheritance = Inheritance.of(sidecars)
    result = ImageRows()
    findings: dict[Finding, None] = {}  # an inherited value is found once, not once per image
    for candidate in found.images:
        path = candidate.entry.path
        applying = [sidecars[name] for name in inheritance.applying(path)]
        merged = {key: value for sidecar in applying for key, value in sidecar.fields.items()}
        agent, disagreement = contrast_agent(candidate, merged)
        sidecar_paths = [sidecar.path for sidecar in applying]
        image = _image(center.center_id, candidate, headers.get(path), sidecar_paths, agent, image_type(merged))
        facts = candidate.facts | candidate.entities
        contrast = f"ce{image['contrast']}" if image["is_post_contrast"] else image["contrast"]
        acquisition, unread = read_acquisition(
            merged, str(contrast) if contrast else None, facts, center.layout.protocols
        )
        for finding in [*disagreement, *unread]:
            place = next((s.path for s in reversed(applying) if finding.field in s.fields), path)
            findings[replace(finding, path=place, value=shown(finding.value))] = None
        device = next((sidecar.device_id for sidecar in reversed(applying) if sidecar.device_id), None)
        result.images.append(image)
        result.acquisitions.append(
            {"image_id": image["image_id"], "center_id": center.center_id, "device_id": device} | acquisition
        )
        _note_patient(result, image, merged)
    result.findings += findings
    _mark_copies(result)
    return result


def _mark_copies(result: ImageRows) -> None:
    """Make all but the first of several images of the same content ineligible, so that no scan counts twice."""
    first: dict[str, Row] = {}
    for image in result.images:
        content = str(image["content_hash"] or "")
        if not content:
            continue
        original = first.setdefault(content, image)
        if original is image:
            continue
        is_same_person = original["participant_id"] == image["participant_id"]
        whose = "" if is_same_person else ", which lies with another participant"
        detail = f"It has the content of {original['path']}{whose}."
        remedy = "remove one of them, or fetch the right file"
        copied = Finding("duplicate", str(image["path"]), detail=detail, remedy=remedy)
        result.findings.append(replace(copied, participant_id=str(image["participant_id"])))
        if image["eligibility"] == "eligible":
            image["eligibility"], image["eligibility_reason"] = "ineligible", f"a copy of {original['path']}{whose}"


def contrast_agent(candidate: Candidate, merged: Mapping[str, object]) -> tuple[bool, list[Finding]]:
    """Return whether an image was acquired after a contrast agent, by its name, else by its sidecars.

    Where the name has no entity `ce`, its label of `acq` counts as far as it names a contrast agent.
    """
    label = candidate.entities.get("ce")
    acquisition = candidate.entities.get("acq", "")
    if label is None and (AFTER_AGENT.search(acquisition) or BEFORE_AGENT.search(acquisition)):
        label = "none" if BEFORE_AGENT.search(acquisition) else acquisition
    given = [merged[key] for key in AGENT_KEYS if key in merged]
    by_sidecar = "GIVEN" in given if given else None
    by_name = None if label is None else NO_AGENT.fullmatch(label) is None
    if by_name is None or by_sidecar is None or by_name == by_sidecar or label is None:
        return bool(by_sidecar if by_name is None else by_name), []
    key = next(key for key in AGENT_KEYS if key in merged)
    detail = f"The name says {label}, the sidecar {'an' if by_sidecar else 'no'} agent; the name is used."
    return by_name, [Finding("sources_disagree", None, None, key, None, detail, "correct the name or the sidecar")]


def image_type(merged: Mapping[str, object]) -> frozenset[str]:
    """Return the values of ImageType and ComplexImageComponent, in upper case."""
    values: list[object] = []
    for key in ("ImageType", "ComplexImageComponent"):
        value = merged.get(key)
        values += value if isinstance(value, list) else [value]
    words = (part for one in values if isinstance(one, str) for part in one.split("\\"))
    return frozenset(word.strip().upper() for word in words)


def _image(
    center_id: str,
    candidate: Candidate,
    header: Header | None,
    sidecar_paths: list[str],
    agent: bool,
    kinds: frozenset[str],
) -> Row:
    entry, entities = candidate.entry, candidate.entities
    named = {name: value for name, value in entities.items() if name != "ce"} | ({"ce": "agent"} if agent else {})
    declared = candidate.declared or candidate.place
    eligible, reason = judge(named, candidate.suffix, header, declared, candidate.derived, kinds)
    contrast = contrast_of(candidate.suffix)
    row: Row = {name: entities.get(name) for name in ("acq", "ce", "rec", "run", "echo", "part", "inv")}
    row |= {
        "image_id": image_id(center_id, entry.path),
        "center_id": center_id,
        "participant_id": entities["sub"],
        "session_id": session_id(center_id, entities["sub"], entities.get("ses")),
        "path": entry.path,
        "datatype": candidate.datatype,
        "suffix": candidate.suffix,
        "contrast": contrast,
        "is_post_contrast": contrast is not None and agent,
        "entities": json.dumps(candidate.facts | entities, sort_keys=True),
        "content": entry.content,
        "size_bytes": entry.size_bytes,
        "content_hash": entry.content_hash,
        "sidecar_paths": sidecar_paths,
        "eligibility": "eligible" if eligible else "ineligible",
        "eligibility_reason": reason,
        "is_resampled": candidate.resampled,
        "session_label": entities.get("ses"),  # for core.session; no column of core.image
        "copy_of_raw": candidate.copy_of_raw,  # for eligibility.judge_copies; no column of core.image
    }
    if header is None:
        return row
    return row | {
        "shape": list(header.shape),
        "voxel_size_mm": list(header.voxel_size_mm),
        "voxel_size_mm_provenance": "header",
        "affine": list(header.affine),
        "axcodes": header.axcodes,
        "dtype": header.dtype,
        "n_volumes": header.n_volumes,
    }


def _note_patient(result: ImageRows, image: Row, merged: Mapping[str, object]) -> None:
    """Store sex and age that converters copied from DICOM, for participants that no table describes."""
    try:
        if sex := parse_sex(str(merged.get("PatientSex", "")), {}):
            result.sex.setdefault(str(image["participant_id"]), sex)
        age = parse_age(str(merged.get("PatientAge", "")))
    except ValueError:
        return  # entries at the scanner's console are too unreliable to refuse a row for
    if age.known and age.years != 0:  # anonymisation writes 000Y
        result.age.setdefault((str(image["participant_id"]), image["session_label"]), age)


def session_rows(center_id: str, images: ImageRows, ages: Mapping[tuple[str, str | None], Age]) -> list[Row]:
    """Return one row per visit with an image; `ages` are those of the tables, by participant and visit."""
    rows: dict[str, Row] = {}
    for image in images.images:
        key, participant, session = str(image["session_id"]), str(image["participant_id"]), image["session_label"]
        if key in rows:
            continue
        age, source = ages.get((participant, session), Age()), "participants"
        if not age.known:
            age, source = images.age_of(participant, session), "sidecar"
        row: Row = {"session_id": key, "center_id": center_id, "participant_id": participant, "session_label": session}
        rows[key] = row | _age(age, source)
    return list(rows.values())


def participant_rows(
    center: Center, images: ImageRows, people: People, persons: Mapping[tuple[str, str], str]
) -> list[Row]:
    """Return one row per participant with a row in a table or with an image."""
    center_id = center.center_id
    listed = {str(row["participant_id"]) for row in people.rows.values() if row["participant_id"]}
    imaged = {str(image["participant_id"]) for image in images.images}
    rows = []
    for participant in sorted(listed | imaged):
        person = people.participants.get(participant)
        named = persons.get((center_id, participant)) or (person.person_id if person else None)
        sex, source = person.sex if person else None, "participants"
        if not sex:
            sex, source = images.sex.get(participant), "sidecar"
        row: Row = {
            "center_id": center_id,
            "participant_id": participant,
            "person_id": named or f"{center_id}/{participant}",
            "fixed_split": center.fixed_split(participant),
            "sex": sex,
            "sex_provenance": source if sex else None,
            "is_listed": participant in listed,
            "has_images": participant in imaged,
        }
        rows.append(row | _age(person.age if person else Age(), "participants"))
    return rows


def split_findings(center: Center, participants: Iterable[Row]) -> list[Finding]:
    """Return a finding for each participant whose split is fixed and who is neither listed nor imaged."""
    there = {str(row["participant_id"]) for row in participants}
    return [
        Finding(
            "split_without_participant",
            participant_id=label,
            field=f"splits.{split}",
            detail=f"The definition fixes the split {split} of a participant who is not in this dataset.",
            remedy="Correct the label in the definition, or remove it.",
        )
        for split, labels in center.splits.items()
        for label in labels
        if label not in there
    ]


def file_rows(center_id: str, found: Discovery) -> list[Row]:
    """Return one row per file with its disposition."""
    places = [(candidate.entry, "image", "nifti") for candidate in found.images]
    places += [(entry, "companion", kind) for entry, kind in found.companions.values()]
    places += [(entry, "rejection", refusal.reason) for entry, refusal in found.refusals.values()]
    return [
        {
            "center_id": center_id,
            "path": entry.path,
            "size_bytes": entry.size_bytes,
            "mtime_ns": entry.mtime_ns,
            "ctime_ns": entry.ctime_ns,
            "link_target": entry.link_target,
            "content": entry.content,
            "disposition": disposition,
            "kind": kind,
        }
        for entry, disposition, kind in sorted(places, key=lambda place: place[0].path)
    ]


def header_row(center_id: str, path: str, header: Header) -> Row:
    """Return the row of `raw.header`."""
    fields = {name: value for name, value in asdict(header).items() if name not in NOT_KEPT}
    lists = {name: list(value) for name, value in fields.items() if isinstance(value, tuple)}
    return {"center_id": center_id, "path": path} | fields | lists


def rejection_rows(center_id: str, refused: Iterable[tuple[str, int | None, Refusal]]) -> list[Row]:
    """Return one row per refusal; refusals of several cells of one row of a table are joined."""
    rows: dict[tuple[str, int | None], Row] = {}
    for path, number, refusal in refused:
        if known := rows.get((path, number)):
            known["reason"] = f"{known['reason']}, {refusal.reason}"
            known["detail"] = f"{known['detail']}; {refusal.detail}"
            known["remedy"] = f"{known['remedy']}; {refusal.remedy}"
            continue
        identity = hashlib.sha256(f"{center_id}\0{path}\0{number}".encode()).hexdigest()[:16]
        row: Row = {"rejection_id": identity, "center_id": center_id, "path": path, "row": number}
        rows[path, number] = row | asdict(refusal)
    return list(rows.values())


def center_row(registration: RegisteredCenter) -> Row:
    """Return the row of `core.center`."""
    center = registration.center
    row = {
        name: getattr(center, name)
        for name in type(center).model_fields
        if name not in {"layout", "sources", "verbatim", "split", "splits"}
    }
    return row | {"layout": center.layout.kind, "root": str(registration.root)}


def _age(age: Age, source: str) -> Row:
    return {
        "age_years": age.years,
        "age_low_years": age.low_years,
        "age_high_years": age.high_years,
        "age_provenance": source if age.known else None,
    }
