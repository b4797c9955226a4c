"""Files that belong to a dataset and are no images, and formats that must be converted first."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from warehouse.ingest.tree import Entry, Refusal

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
CONVERTIBLE = (
    ".mgz",
    ".mgh",
    ".hdr",
    ".img",
    ".img.gz",
    ".mnc",
    ".mnc.gz",
    ".nrrd",
    ".nhdr",
    ".mha",
    ".mhd",
    ".par",
    ".rec",
    ".head",
    ".brik",
)


def is_housekeeping(path: str) -> bool:
    """Return whether a file is one that a system or program leaves behind, whatever its name ends in."""
    *folders, name = path.lower().split("/")
    return HOUSEKEEPING.fullmatch(name) is not None or not HOUSEKEEPING_FOLDERS.isdisjoint(folders)


def companion_kind(path: str) -> str | None:
    """Return what kind of companion a file is, by its name; None where the name does not tell."""
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
    if lower.endswith(DICOM) or lower == "dicomdir" or _is_dicom(entry):
        return Refusal(
            "discover", "dicom", "a DICOM file", "convert its series: dcm2niix -b y -z y -f %p_%s -o OUT FOLDER"
        )
    if lower.endswith(ARCHIVES):
        return Refusal("discover", "archive", "an archive: its files cannot be seen", "unpack it under the root")
    if lower.endswith(CONVERTIBLE):
        return Refusal(
            "discover",
            "unsupported_format",
            f"{PurePosixPath(lower).suffix} is not NIfTI",
            "convert it to .nii.gz, e.g. by mri_convert or nibabel",
        )
    detail = f"extension {PurePosixPath(lower).suffix or '(none)'} is not known"
    return Refusal(
        "discover", "unknown_file", detail, "add a pattern under layout.companions of the centre's definition"
    )


def _is_dicom(entry: Entry) -> bool:
    """Look for the DICOM magic, only in files whose name has no known extension."""
    if entry.content != "present" or (entry.size_bytes or 0) < 132:
        return False
    try:
        with open(entry.location, "rb") as file:
            file.seek(128)
            return file.read(4) == b"DICM"
    except OSError:
        return False
