"""Definitions of centres (one YAML file each), and the registry of centres in a home."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from warehouse.documents import read_yaml, validated
from warehouse.errors import CenterError
from warehouse.lake import atomic
from warehouse.lake.home import Home
from warehouse.prompts.vocabulary import CONTRASTS
from warehouse.tables.core import FIXED_SPLITS

SHIPPED = Path(__file__).parent
CENTER_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
HEALTHY = "none"  # in place of a label of lesions: the centre's people have none
OFFERED = (*CONTRASTS, "ceT1w")

CompanionKind = Literal[
    "sidecar", "table", "mask", "transform", "derivative", "gradient", "documentation", "surface", "physiology", "other"
]


class DefinitionPart(BaseModel):
    """Base of every part of a definition: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return pattern


Pattern = Annotated[str, Field(min_length=1)]


class ImagePattern(DefinitionPart):
    """Pattern of image files, and the entities that their names contain.

    `pattern` is a regular expression, matched against the whole path relative to the root. Named groups fill the
    templates in `entities` (``{group}``); a template whose groups did not take part in the match is left out.
    Entities `sub` and `suffix` are required; `ses`, `acq`, `ce`, `rec`, `run`, `echo`, `part`, `inv`, `datatype`,
    `desc`, `space` … as BIDS has them. Groups that no template uses are kept as further facts of the layout.
    `ineligible` is the reason why such images are catalogued but never used for synthesis, e.g. coregistered copies.
    `copy_of_raw` says what such images are that the publishers made of a raw scan; they are used only where no eligible
    raw scan of the same participant, visit and contrast is present. `resampled` is true where the publishers resampled
    the scans to another grid, so that the voxel size of the acquisition is unknown.
    """

    pattern: Pattern
    entities: dict[str, str]
    ineligible: str | None = None
    copy_of_raw: str | None = None
    resampled: bool = False

    _check = field_validator("pattern")(_compiled)

    @model_validator(mode="after")
    def _known(self) -> ImagePattern:
        missing = {"sub", "suffix"} - self.entities.keys()
        if missing:
            raise ValueError(f"entities lack {sorted(missing)}")
        groups = set(re.compile(self.pattern).groupindex)
        for template in self.entities.values():
            unknown = set(re.findall(r"{(\w+)}", template)) - groups
            if unknown:
                raise ValueError(f"template {template!r} uses {sorted(unknown)}, which the pattern does not name")
        if self.ineligible is not None and self.copy_of_raw is not None:
            raise ValueError("give either ineligible (never used) or copy_of_raw (used where no raw scan is)")
        if "" in (self.ineligible, self.copy_of_raw):
            raise ValueError("ineligible and copy_of_raw hold a reason in words; leave them out where there is none")
        return self


class CompanionPattern(DefinitionPart):
    """Pattern of files that belong to the dataset and are not images."""

    pattern: Pattern
    kind: CompanionKind

    _check = field_validator("pattern")(_compiled)


class AgeColumn(DefinitionPart):
    r"""Column of ages. `bins` are ranges such as 55-60, of which both bounds are kept.

    `offset_days`: a regular expression with one group, matched against the session label, that gives the days since
    the age was recorded (OASIS-3: ``^d(\d+)$``). `at_baseline`: the age is that at enrolment, and no label shows which
    visit that was (ADNI: labels are dates), so that no visit gets it.
    """

    names: list[str]
    unit: Literal["years", "months", "weeks", "days", "bins"] = "years"
    offset_days: str | None = None
    at_baseline: bool = False


class CodedColumn(DefinitionPart):
    """Column, by any of its names, and the meaning of its codes."""

    names: list[str]
    values: dict[str, str] = {}


class PersonColumn(CodedColumn):
    """Column that links a participant to a person of another dataset.

    `values` translates a cell to a person_id. Where `center` is given, the cell is an identifier of that centre: the
    person_id is ``center/label`` with the group `label` of `pattern`, with leading zeros to `pad` characters, like the
    participants of that centre. A cell that does not match links nobody.
    """

    center: str | None = None
    pattern: str = r"^(?P<label>.+)$"
    pad: int = 0

    _check = field_validator("pattern")(_compiled)

    def person_id(self, cell: str) -> str | None:
        """Return the person_id for a cell; None where it names nobody."""
        if cell in self.values or self.center is None:
            return self.values.get(cell, cell) or None
        match = re.fullmatch(self.pattern, cell)
        return f"{self.center}/{match['label'].zfill(self.pad)}" if match else None


class IdColumn(DefinitionPart):
    """Column, by any of its names, and the pattern that extracts the label from its values.

    `pattern` has the one group `label`; a row whose value does not match is rejected. `values` translates the label,
    `pad` fills it with leading zeros to that many characters, `prefix` is put before it. Characters that BIDS does not
    allow in a label are removed, as in file names. With `date` (a strptime format) the label is that date as YYYYMMDD.
    """

    names: list[str]
    pattern: str = r"^(?:(?:sub|ses)-)?(?P<label>[\w.-]+)$"
    values: dict[str, str] = {}
    pad: int = 0
    prefix: str = ""
    date: str | None = None

    _check = field_validator("pattern")(_compiled)


class ParticipantsTable(DefinitionPart):
    """Table of participants, or of visits where `session` is given.

    `file` is a glob relative to the root; the first file of a list that exists is read, and it is no error if none
    exists. The extension decides the format: CSV, TSV, XLS or XLSX. `session` is the column of visits; `for_session` is
    the one visit of all rows. `has_columns` limits the table to files that have all of these columns. `private` names
    identifying columns whose names do not show it (UK Biobank's 34-0.0 is the year of birth); none enters the lake.
    """

    file: str | list[str]
    id: IdColumn
    session: IdColumn | None = None
    age: AgeColumn | None = None
    sex: CodedColumn | None = None
    person: PersonColumn | None = None
    for_session: str | None = None
    has_columns: list[str] = []
    private: list[str] = []
    where: dict[str, list[str]] = {}  # column -> values; rows with other values are skipped
    skip_rows: int = 0  # lines between the header and the first row, such as the descriptions in tables of the NDA

    @field_validator("file")
    @classmethod
    def _inside(cls, value: str | list[str]) -> str | list[str]:
        for pattern in [value] if isinstance(value, str) else value:
            if pattern.startswith("/") or ".." in pattern.split("/"):
                raise ValueError(f"{pattern!r} leaves the root; give a glob relative to it")
        return value

    @property
    def files(self) -> list[str]:
        """Return the alternative files in order."""
        return [self.file] if isinstance(self.file, str) else self.file


class PublishedProtocol(DefinitionPart):
    """Values of a published protocol for a contrast, used where no header or sidecar has them.

    `when` limits the protocol to images whose entities or layout facts have these values. `values` are columns of
    `core.acquisition`. `source` cites the publication.
    """

    contrast: str
    when: dict[str, str] = {}
    values: dict[str, float | bool | str]
    source: str

    @field_validator("values")
    @classmethod
    def _columns(cls, values: dict[str, float | bool | str]) -> dict[str, float | bool | str]:
        from warehouse.tables.core import ACQUISITION

        allowed = {c.name.removesuffix("_provenance") for c in ACQUISITION.columns if c.name.endswith("_provenance")}
        if unknown := values.keys() - allowed:
            raise ValueError(f"{sorted(unknown)} are not columns of core.acquisition; it has {sorted(allowed)}")
        return values


class Verbatim(DefinitionPart):
    """Path or column name exactly as a public source prints it, by which the layout is tested.

    For a `path`, `expect` maps entities to the values that must be found, and `is_image` false means that it must be a
    companion. A `column` must be one that the tables of the layout read.
    """

    source: str
    path: str | None = None
    column: str | None = None
    is_image: bool = True
    expect: dict[str, str] = {}

    @model_validator(mode="after")
    def _one(self) -> Verbatim:
        if (self.path is None) == (self.column is None):
            raise ValueError("give either path or column")
        return self


class Layout(DefinitionPart):
    """Layout of a dataset's folder."""

    kind: Literal["bids", "files"]
    images: list[ImagePattern] = []
    companions: list[CompanionPattern] = []
    participants: list[ParticipantsTable] = []
    protocols: list[PublishedProtocol] = []
    persons: dict[str, str] = {}  # participant_id -> person_id of a travelling subject

    @model_validator(mode="after")
    def _files_need_patterns(self) -> Layout:
        if self.kind == "files" and not self.images:
            raise ValueError("a layout of kind files needs at least one pattern under images")
        return self


class Center(DefinitionPart):
    """Definition of a centre, i.e. of one dataset.

    `splits` fixes the split of participants, by their labels; `split` that of all others. Without either, the split of
    a participant is drawn by the hash of the person. `lesions` is the label of the masks in which all lesions of a
    person are marked, or ``none`` where the publishers took healthy people; without it, nobody knows where lesions are.
    """

    center_id: str
    title: str
    city: str | None = None
    country: str | None = Field(default=None, min_length=2, max_length=2)
    latitude_deg: float | None = Field(default=None, ge=-90, le=90)
    longitude_deg: float | None = Field(default=None, ge=-180, le=180)
    role: Literal["internal", "external"] = "internal"
    is_simulated: bool = False
    license: str | None = None
    access: str | None = None
    citation: str | None = None
    contrasts: list[str] = []
    split: str | None = None
    splits: dict[str, list[str]] = {}
    lesions: str | None = Field(default=None, pattern=r"^[A-Za-z0-9]+$")
    layout: Layout
    layout_unverified: str | None = None
    sources: dict[str, str] = {}  # name -> address and what was read there
    verbatim: list[Verbatim] = []

    @field_validator("center_id")
    @classmethod
    def _identifier(cls, value: str) -> str:
        if not CENTER_ID.fullmatch(value):
            raise ValueError("use lower-case letters, digits, _ and -, beginning with a letter or digit")
        return value

    @field_validator("contrasts")
    @classmethod
    def _offered(cls, values: list[str]) -> list[str]:
        if unknown := set(values) - set(OFFERED):
            raise ValueError(f"{sorted(unknown)} are not contrasts; known are {list(OFFERED)}")
        return values

    @model_validator(mode="after")
    def _one_split_each(self) -> Center:
        if unknown := sorted({*self.splits, *([self.split] if self.split else [])} - set(FIXED_SPLITS)):
            raise ValueError(f"{unknown} are not splits that can be fixed; known are {list(FIXED_SPLITS)}")
        if self.role == "external" and (self.split or self.splits):
            raise ValueError("all participants of an external centre are test_external; leave out split and splits")
        named = [label for labels in self.splits.values() for label in labels]
        if twice := sorted({label for label in named if named.count(label) > 1}):
            raise ValueError(f"participants {twice} are in two splits")
        return self

    def fixed_split(self, participant: str) -> str | None:
        """Return the split that this definition fixes for a participant; None where it is drawn by hash."""
        return next((split for split, labels in self.splits.items() if participant in labels), self.split)

    @model_validator(mode="after")
    def _sources_named(self) -> Center:
        if unknown := {v.source for v in self.verbatim} - self.sources.keys():
            raise ValueError(f"verbatim names sources {sorted(unknown)} that `sources` does not list")
        return self


@dataclass(frozen=True)
class RegisteredCenter:
    """Centre that is registered in a home, and the root folder of its data.

    With `follow_links`, symbolic links that leave the root are followed; otherwise they are rejected.
    """

    center: Center
    root: Path
    follow_links: bool = False


def load_center(path: Path) -> Center:
    """Read a definition from a YAML file.

    Raises
    ------
    CenterError
        When it does not validate; the message names file, key and remedy.
    """
    return _validated(read_yaml(path, CenterError), path)


@lru_cache
def shipped() -> dict[str, Center]:
    """Return the definitions that the package ships, by identifier."""
    centers = [load_center(path) for path in sorted(SHIPPED.glob("*.yaml"))]
    return {center.center_id: center for center in centers}


def registered(home: Home) -> dict[str, RegisteredCenter]:
    """Return the centres that are registered in a home, by identifier.

    Raises
    ------
    CenterError
        When the file of any of them cannot be used.
    """
    return {one.center.center_id: one for one in map(read_registration, registration_files(home))}


def registration_files(home: Home) -> list[Path]:
    """Return the files that register centres, each named by its centre."""
    return sorted(home.centers.glob("*.yaml"))


def read_registration(path: Path) -> RegisteredCenter:
    """Read the file that registers a centre.

    Raises
    ------
    CenterError
        When it cannot be used.
    """
    document = read_yaml(path, CenterError)
    if not isinstance(document, dict) or "root" not in document:
        raise CenterError(f"{path}: key 'root' is missing", "write `root: /path/to/the/dataset`")
    definition = document.get("definition", "shipped")
    center = shipped().get(path.stem) if definition == "shipped" else _validated(definition, path)
    if center is None:
        raise CenterError(f"{path}: no shipped definition {path.stem!r}", "write the definition into the file")
    return RegisteredCenter(center, Path(document["root"]), bool(document.get("follow_links", False)))


def register(home: Home, center: Center, root: Path, follow_links: bool = False) -> RegisteredCenter:
    """Register a centre in a home; it replaces one with the same identifier.

    Raises
    ------
    CenterError
        When the root is not a folder.
    """
    root = root.expanduser().resolve()
    if not root.is_dir():
        what = f"centre {center.center_id}: root {root} is not a folder"
        raise CenterError(what, "give an existing folder with --root")
    same = shipped().get(center.center_id) == center
    definition: object = "shipped" if same else center.model_dump(mode="json", exclude_defaults=True)
    document = {"root": str(root), "follow_links": follow_links, "definition": definition}
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    atomic.write_text(home.centers / f"{center.center_id}.yaml", text)
    return RegisteredCenter(center, root, follow_links)


def _validated(document: object, path: Path) -> Center:
    return validated(Center, document, path, "warehouse/centers/README.md", CenterError)
