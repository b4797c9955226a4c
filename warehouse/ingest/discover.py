"""Sorts the files of a centre into images, known companions, and refusals."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from warehouse.centers.registry import Center, ImagePattern
from warehouse.ingest.bids import BidsPlaces, label, name_entities
from warehouse.ingest.findings import Finding
from warehouse.ingest.tree import Entry, Refusal

NIFTI = (".nii", ".nii.gz")  # in any case
KIND_OF_EXTENSION = {
    extension: kind
    for kind, extensions in {
        "sidecar": ".json",
        "table": ".tsv .csv .xls .xlsx .ods .tsv.gz .csv.gz .parquet",
        "gradient": ".bval .bvec .bvals .bvecs .b",
        "transform": ".mat .xfm .lta .tfm .h5 .x5 .m3z .reg",
        "surface": ".gii .annot .label .curv .thickness .sulc .pial .white .inflated .sphere .ctab .cifti .wb .spec .scene .stl .vtk",
        "documentation": ".txt .md .rst .pdf .docx .doc .bib .cff .log .yaml .yml .toml .xml .rtf .1d .out .stats .dat",
        "figure": ".png .jpg .jpeg .svg .html .htm .css .js .gif .tif .tiff",
        "code": ".py .sh .m .r .ipynb .cfg .ini .rmd .jl",
        "physiology": ".edf .vhdr .vmrk .eeg .fif .set .fdt .bdf .snirf .con .sqd .kdf .mff .puls .resp .ecg .ext .acq .smr .nwb .pos .meg4",
    }.items()
    for extension in extensions.split()
}
NAMES = {"README", "CHANGES", "LICENSE", "LICENCE", "CITATION", "AUTHORS", "NOTICE", "VERSION", "bvals", "bvecs"}
HOUSEKEEPING = re.compile(  # of operating systems, editors, version control and network drives
    r"\._.*|\.ds_store|thumbs\.db|desktop\.ini|icon\r?|\.gitattributes|\.gitignore|\.gitmodules|\.gitkeep|\.gitannex.*"
    r"|\.bidsignore|\.nfs.*|\.heudiconv|\.~lock\..*|~\$.*|.*~|.*\.sw[op]|\.rhistory|\.directory|\.fuse_hidden.*"
)
HOUSEKEEPING_FOLDERS = frozenset(
    {"__macosx", ".trashes", ".trash", ".spotlight-v100", ".fseventsd", "@eadir", "#recycle", "$recycle.bin"}
    | {"lost+found", ".ipynb_checkpoints", "__pycache__", ".heudiconv", ".bidscoin", ".snapshot"}
)
OTHER_MODALITIES = re.compile(r"(^|/)(meg|eeg|ieeg|beh|nirs|motion|micr|mrs)/")
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".7z", ".rar")
DICOM = (".dcm", ".ima", ".dicom", ".dcm.gz")
CONVERTIBLE = tuple(
    ".mgz .mgh .hdr .img .img.gz .mnc .mnc.gz .nrrd .nhdr .mha .mhd .par .rec .head .brik".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Candidate:
    """A NIfTI file with a known participant.

    Parameters
    ----------
    entities : dict
        BIDS entities, short names, without `suffix` and `datatype`.
    facts : dict
        The layout's own named groups.
    declared : str or None
        The layout's reason why it is never used for synthesis.
    derived : bool
        Whether its place or name marks it as derived from another image.
    place : str or None
        Why its place in the tree excludes it from synthesis.
    copy_of_raw : str or None
        What it is, where the publishers made it of a raw scan; it is used only where that scan is not there.
    resampled : bool
        Whether the publishers resampled it to another grid.
    """

    entry: Entry
    entities: dict[str, str]
    suffix: str | None
    datatype: str | None
    facts: dict[str, str] = field(default_factory=dict)
    declared: str | None = None
    derived: bool = False
    place: str | None = None
    copy_of_raw: str | None = None
    resampled: bool = False


@dataclass
class Discovery:
    """All entries of a tree, each as an image, a companion or a refusal.

    `prefix` is the folder of a BIDS dataset with a slash at its end; empty where it is the root.
    """

    images: list[Candidate] = field(default_factory=list)
    companions: dict[str, tuple[Entry, str]] = field(default_factory=dict)
    refusals: dict[str, tuple[Entry, Refusal]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    prefix: str = ""


def discover(center: Center, entries: Iterable[Entry]) -> Discovery:
    """Return all entries as images, companions and refusals.

    Parameters
    ----------
    center : Center
    entries : iterable of Entry
        All files of the tree; only files without a known extension are opened.
    """
    layout, listed = center.layout, list(entries)
    images = [(re.compile(pattern.pattern), pattern) for pattern in layout.images]
    companions = [(re.compile(pattern.pattern), str(pattern.kind)) for pattern in layout.companions]
    bids = BidsPlaces.of(listed) if layout.kind == "bids" else None
    found = Discovery()
    if bids:
        found.findings += bids.findings
        found.prefix = bids.prefix
    for entry in listed:
        if entry.refusal:
            found.refusals[entry.path] = (entry, entry.refusal)
        elif entry.alias:
            found.companions[entry.path] = (entry, "alias")
        elif is_housekeeping(entry.path):
            found.companions[entry.path] = (entry, "housekeeping")
        elif candidate := _by_pattern(entry, images):
            found.images.append(candidate)
        elif kind := next((kind for pattern, kind in companions if pattern.fullmatch(entry.path)), None):
            found.companions[entry.path] = (entry, kind)
        elif entry.path.lower().endswith(NIFTI):
            _place_nifti(found, entry, bids)
        elif kind := companion_kind(entry.path) or (bids.free_place(entry.path) if bids else None):
            found.companions[entry.path] = (entry, kind)
        else:
            found.refusals[entry.path] = (entry, refusal_of_format(entry))
    return found


def _by_pattern(entry: Entry, patterns: list[tuple[re.Pattern[str], ImagePattern]]) -> Candidate | None:
    for compiled, pattern in patterns:
        match = compiled.fullmatch(entry.path)
        if match and entry.path.lower().endswith(NIFTI):
            groups = {name: value for name, value in match.groupdict().items() if value is not None}
            return _filled(entry, pattern, groups)
    return None


def _filled(entry: Entry, pattern: ImagePattern, groups: dict[str, str]) -> Candidate:
    entities, used = {}, set()
    for name, template in pattern.entities.items():
        needed = set(re.findall(r"{(\w+)}", template))
        if needed <= groups.keys():
            entities[name] = template.format(**groups)
            used |= needed
    suffix, datatype = entities.pop("suffix"), entities.pop("datatype", None)
    entities = {name: label(value) for name, value in entities.items()}
    facts = {name: value for name, value in groups.items() if name not in entities}
    return Candidate(
        entry,
        entities,
        suffix,
        datatype,
        facts,
        pattern.ineligible,
        copy_of_raw=pattern.copy_of_raw,
        resampled=pattern.resampled,
    )


def _place_nifti(found: Discovery, entry: Entry, bids: BidsPlaces | None) -> None:
    entities = name_entities(entry.path.rsplit("/", 1)[-1])
    if bids is None or ("sub" not in entities and not bids.subject_folders(entry.path)):
        if bids and (kind := bids.free_place(entry.path)):
            found.companions[entry.path] = (entry, kind)
            return
        remedy = "name it as BIDS says" if bids else "add a pattern for it to the centre's definition"
        refusal = Refusal("discover", "unknown_name", "the name holds no participant", remedy)
        found.refusals[entry.path] = (entry, refusal)
        return
    whose = bids.identity(entry.path, entities)
    if isinstance(whose, Refusal):
        found.refusals[entry.path] = (entry, whose)
        return
    suffix = entities.pop("suffix", None)
    entities = {key: value for key, value in entities.items() if key not in {"sub", "ses"}} | whose
    derived = bids.free_place(entry.path) is not None or "space" in entities
    place = None if derived else bids.reason_of_place(entry.path)
    found.images.append(Candidate(entry, entities, suffix, _datatype(entry.path), derived=derived, place=place))


def _datatype(path: str) -> str | None:
    folders = path.split("/")[:-1]
    return folders[-1] if folders and not folders[-1].lower().startswith(("sub-", "ses-")) else None


def is_housekeeping(path: str) -> bool:
    """Return whether a file is one that systems and programs leave behind, whatever its extension."""
    *folders, name = path.lower().split("/")
    return HOUSEKEEPING.fullmatch(name) is not None or not HOUSEKEEPING_FOLDERS.isdisjoint(folders)


def companion_kind(path: str) -> str | None:
    """Return the kind of a companion by its name, or None."""
    name = PurePosixPath(path).name
    lower = name.lower()
    if name in NAMES:
        return "documentation"
    if OTHER_MODALITIES.search(path) and not lower.endswith((".json", ".tsv")):
        return "physiology"
    if lower.endswith((*ARCHIVES, *DICOM, *CONVERTIBLE)):
        return None
    double = "".join(PurePosixPath(lower).suffixes[-2:])
    return KIND_OF_EXTENSION.get(double) or KIND_OF_EXTENSION.get(PurePosixPath(lower).suffix)


def refusal_of_format(entry: Entry) -> Refusal:
    """Return why a file that is neither NIfTI nor a known companion is refused."""
    lower = PurePosixPath(entry.path).name.lower()
    suffix = PurePosixPath(lower).suffix
    if lower.endswith(DICOM) or lower == "dicomdir" or _is_dicom(entry):
        remedy = "convert its series: dcm2niix -b y -z y -f %p_%s -o OUT FOLDER"
        return Refusal("discover", "dicom", "a DICOM file", remedy)
    if lower.endswith(ARCHIVES):
        return Refusal("discover", "archive", "an archive: its files cannot be seen", "unpack it under the root")
    if lower.endswith(CONVERTIBLE):
        remedy = "convert it to .nii.gz, e.g. by mri_convert or nibabel"
        return Refusal("discover", "unsupported_format", f"{suffix} is not NIfTI", remedy)
    remedy = "add a pattern under layout.companions of the centre's definition"
    return Refusal("discover", "unknown_file", f"extension {suffix or '(none)'} is not known", remedy)


def _is_dicom(entry: Entry) -> bool:
    """Return whether a present file has the magic number of DICOM."""
    if entry.content != "present" or (entry.size_bytes or 0) < 132:
        return False
    try:
        with open(entry.location, "rb") as file:
            file.seek(128)
            return file.read(4) == b"DICM"
    except OSError:
        return False
