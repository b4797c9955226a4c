"""What is known of an input scan, and where from: what the user said, else its sidecars, else its file name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from warehouse.errors import SidecarError
from warehouse.ingest.acquisition import read_acquisition
from warehouse.ingest.bids import DESCRIPTION, name_entities
from warehouse.ingest.demographics import parse_age, parse_sex
from warehouse.ingest.eligibility import contrast_of
from warehouse.ingest.privacy import AFTER_AGENT, AGENT_KEYS, BEFORE_AGENT, NO_AGENT
from warehouse.ingest.sidecars import Inheritance, read_object, read_sidecar, stem
from warehouse.prompts import vocabulary
from warehouse.prompts.record import PromptRecord

SAID, SIDECAR, NAME, HEADER, IMAGE = "the source prompt", "its sidecar", "its file name", "its header", "the image"
FREE_TEXTS = ("SeriesDescription", "ProtocolName")  # of DICOM; they are read for words of a contrast and never stored
MOST_FOLDERS = 4  # sub, ses, anat and the data set's own: how far up sidecars are inherited from
MOST_WORDS = 5  # of a contrast's longest name
# out.nominal_field_strength of `warehouse/prompts/render.sql` has the same values
NOMINAL_T = (0.064, 0.2, 0.3, 0.35, 0.5, 0.55, 1.0, 1.2, 1.5, 3.0, 4.0, 4.7, 7.0, 9.4, 10.5, 11.7, 14.1)


@dataclass(frozen=True)
class Known:
    """What is known of an input scan.

    Parameters
    ----------
    record : PromptRecord
    origins : mapping of str to str
        Where each known field is from, by the field's name.
    notes : tuple of str
        What the user should be told about the files that were read.
    """

    record: PromptRecord
    origins: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def complete(self, origin: str, **values: Any) -> Known:
        """Return the same with fields that were unknown."""
        new = {name: value for name, value in values.items() if value is not None and name not in self.origins}
        origins = {**self.origins, **dict.fromkeys(new, origin)}
        return Known(replace(self.record, **new), origins, self.notes)

    @property
    def contrast_origin(self) -> str | None:
        """Where the contrast is from; None where it is unknown."""
        return self.origins.get("contrast")


def known_fields(record: PromptRecord) -> list[str]:
    """Return the names of the fields that a record states; what is false by default is stated beside its sibling only.

    Examples
    --------
    >>> known_fields(PromptRecord(contrast="T1w", age_years=0.0))
    ['contrast', 'post_contrast', 'age_years']
    """
    beside = {"post_contrast": record.contrast, "flip_angle_variable": record.flip_angle_deg}
    found = []
    for one in fields(record):
        value = getattr(record, one.name)
        if value is False:
            value = beside.get(one.name)
        if value is not None and value != ():
            found.append(one.name)
    return found


def known_of(path: Path | None, said: PromptRecord | None = None) -> Known:
    """Return what is known of a scan without a look at its voxels.

    Parameters
    ----------
    path : Path or None
        File of the scan; None for an image in memory.
    said : PromptRecord, optional
        What the user says. What it leaves open is looked up.

    Examples
    --------
    >>> known_of(Path("sub-01_T1w.nii.gz")).record.contrast
    'T1w'
    """
    found = Known(PromptRecord())
    if said is not None:
        found = found.complete(SAID, **{name: getattr(said, name) for name in known_fields(said)})
    if path is None:
        return found
    read = _read_sidecars(path)
    found = found.complete(SIDECAR, **_agreeing(read.values, found.record))
    suffixed = contrast_by_name(path.name)
    by_name = suffixed or contrast_in_words(stem(path.name))
    # A BIDS suffix was chosen by a person; the texts of a sidecar are the scanner's.
    if by_name is not None and found.contrast_origin in ((None, SIDECAR) if suffixed else (None,)):
        found = _renamed(found, *by_name)
    notes = list(read.notes)
    if said is not None and said.contrast is not None and suffixed is not None and suffixed[0] != said.contrast:
        notes.append(
            f"{path.name}: the source prompt says {said.contrast}, the file name {suffixed[0]}; the prompt counts"
        )
    return replace(found, notes=(*found.notes, *notes))


def contrast_by_name(name: str) -> tuple[str, bool] | None:
    """Return the contrast of a BIDS suffix, and whether it is after a contrast agent; None where there is none.

    Examples
    --------
    >>> contrast_by_name("sub-01_ce-gd_T1w.nii.gz"), contrast_by_name("t2_flair.nii")
    (('T1w', True), None)
    """
    entities = name_entities(name)
    contrast = contrast_of(entities.get("suffix"))
    if contrast is None:
        return None
    label, acquisition = entities.get("ce"), entities.get("acq", "")
    if label is not None:
        return contrast, NO_AGENT.fullmatch(label) is None
    return contrast, bool(AFTER_AGENT.search(acquisition)) and not BEFORE_AGENT.search(acquisition)


def contrast_in_words(text: str) -> tuple[str, bool] | None:
    """Return the one contrast that the words of a text name; None where there is none, or several.

    Examples
    --------
    >>> contrast_in_words("t2_tirm_tra_dark-fluid"), contrast_in_words("t1_mprage_sag"), contrast_in_words("T1 and T2")
    (('FLAIR', False), ('T1w', False), None)
    """
    words = re.split(r"[^a-z0-9*+]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower())
    found: set[tuple[str, bool]] = set()
    place = 0
    while place < len(words):
        for n_words in range(min(MOST_WORDS, len(words) - place), 0, -1):
            named = vocabulary.contrast(" ".join(words[place : place + n_words]))
            if named:
                found.add(named)
                place += n_words - 1
                break
        place += 1
    contrasts = {contrast for contrast, _ in found}
    if contrasts == {"T2w", "FLAIR"}:  # a FLAIR is a T2w sequence
        contrasts = {"FLAIR"}
    return (contrasts.pop(), any(agent for _, agent in found)) if len(contrasts) == 1 else None


@dataclass(frozen=True)
class _Sidecars:
    values: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def sidecar_files(path: Path) -> list[Path]:
    """Return the sidecars of an image: the one beside it, last, and those that it inherits in a BIDS data set."""
    path = path.absolute()
    root = _dataset(path) or path.parent
    folders = [folder for folder in path.parents if folder == root or root in folder.parents]
    ending = stem(path.name).rpartition("_")[2]  # the suffix that a sidecar shares
    there = [  # names that begin with a dot are files of Finder
        file
        for folder in folders
        for file in sorted(folder.glob("[!.]*.json"))
        if file.stem.rpartition("_")[2] == ending
    ]
    index = Inheritance.of(file.relative_to(root).as_posix() for file in there if file.is_file())
    return [root / name for name in index.applying(path.relative_to(root).as_posix())]


def _dataset(path: Path) -> Path | None:
    """Return the BIDS data set that an image lies in, or None."""
    return next((folder for folder in list(path.parents)[:MOST_FOLDERS] if (folder / DESCRIPTION).is_file()), None)


def _read_sidecars(path: Path) -> _Sidecars:
    merged: dict[str, object] = {}
    free: dict[str, object] = {}
    notes: list[str] = []
    is_synthetic = False
    for file in sidecar_files(path):
        try:
            sidecar, everything = read_sidecar(str(file), file.name, b""), read_object(str(file), file.name)[0]
        except SidecarError as error:
            notes.append(f"{error.what}; it is not used")
            continue
        merged |= sidecar.fields
        free |= {name: everything[name] for name in FREE_TEXTS if isinstance(everything.get(name), str)}
        is_synthetic |= everything.get("Synthetic") is True
        notes += [f"{file.name}: {one.field}: {one.detail}" for one in sidecar.findings]
    if is_synthetic:
        notes.append(f"{path.name} is itself synthetic, as its sidecar says: what is made of it shows no more than it")
    columns, findings = read_acquisition(merged, None, {}, [])
    notes += [f"{path.name}: {one.field} of its sidecar: {one.detail}" for one in findings]
    values: dict[str, Any] = {
        "vendor": columns["manufacturer"],
        "model": columns["manufacturers_model_name"],
        "field_strength_t": _nominal(columns["magnetic_field_strength_t"]),
        "flip_angle_variable": True if columns["is_flip_angle_variable"] else None,
        "flip_angle_deg": None if columns["is_flip_angle_variable"] else columns["flip_angle_deg"],
    } | {name: columns[name] for name in ("repetition_time_s", "echo_time_s", "inversion_time_s")}
    values |= _person(merged) | _contrast(merged, free)
    return _Sidecars({name: value for name, value in values.items() if value is not None}, tuple(notes))


def _person(merged: Mapping[str, object]) -> dict[str, Any]:
    """Return age and sex that a converter copied from DICOM; entries that cannot be read are unknown."""
    found: dict[str, Any] = {}
    try:
        found["sex"] = parse_sex(str(merged.get("PatientSex", "")), {})
        age = parse_age(str(merged.get("PatientAge", ""))).years
        found["age_years"] = age if age else None  # anonymisation writes 000Y
    except ValueError:
        pass
    return found


def _contrast(merged: Mapping[str, object], free: Mapping[str, object]) -> dict[str, Any]:
    given = [merged[key] for key in AGENT_KEYS if key in merged]
    texts: Iterable[object] = (free.get(name) for name in FREE_TEXTS)
    named = [found for text in texts if text and (found := contrast_in_words(str(text))) is not None]
    if not named:
        return {"post_contrast": True if "GIVEN" in given else None}
    contrast, is_after = named[0]
    return {"contrast": contrast, "post_contrast": is_after or "GIVEN" in given}


def _agreeing(values: Mapping[str, Any], said: PromptRecord) -> dict[str, Any]:
    """Return the values of sidecars that can stand beside what the user said."""
    kept = dict(values)
    if said.contrast is not None and kept.get("contrast", said.contrast) != said.contrast:
        return {name: kept[name] for name in ("age_years", "sex", "field_strength_t") if name in kept}
    if said.contrast is not None:
        kept.pop("post_contrast", None)
    if said.flip_angle_variable:
        kept.pop("flip_angle_deg", None)
    if said.flip_angle_deg is not None:
        kept.pop("flip_angle_variable", None)
    echo = said.echo_time_s or kept.get("echo_time_s")
    repetition = said.repetition_time_s or kept.get("repetition_time_s")
    if echo is not None and repetition is not None and echo >= repetition:  # what was said counts
        kept.pop("echo_time_s" if said.echo_time_s is None else "repetition_time_s", None)
        kept.pop("echo_time_s" if said.repetition_time_s is not None else "repetition_time_s", None)
    return kept


def _renamed(found: Known, contrast: str, is_after: bool) -> Known:
    """Return the same with the contrast of the file's name; an agent of the sidecar stays unless the name has one."""
    after = is_after or (found.record.post_contrast and found.record.contrast in (None, contrast))
    origins = {**found.origins, "contrast": NAME, "post_contrast": NAME}
    return replace(found, record=replace(found.record, contrast=contrast, post_contrast=after), origins=origins)


def _nominal(tesla: object) -> float | None:
    if not isinstance(tesla, float):
        return None
    near = next((value for value in NOMINAL_T if abs(tesla - value) <= 0.05 * value), None)
    return near if near is not None else round(tesla, 1) if tesla >= 1 else tesla
