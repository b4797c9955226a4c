"""Converts DICOM series to a BIDS dataset by dcm2niix, whose wheel contains the program (extra `dicom`).

Labels of participants and visits are salted hashes of patient and study. dcm2niix omits names, dates and institutions
from its sidecars, and the ingest applies its privacy rules to the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from warehouse.errors import LayoutError

PATIENT, STUDY = "%i_patient", "%k_study"  # folders that dcm2niix makes; the words keep them from being empty
BY_DESCRIPTION = (
    ("localizer", r"localizer|localiser|scout|survey|3[\s_-]?plane|calib|aahead"),
    ("FLAIR", r"flair|tirm|dark.?fluid"),
    ("SWI", r"\bswi|swan|susceptib|venobold"),
    ("angio", r"tof|angio|\bmra\b"),
    ("T2starw", r"t2.?(?:star|\*)|t2s|hemo|fl2d|medic|merge"),
    ("T1w", r"mp.?rage|bravo|spgr|\btfe|t1"),
    ("T2w", r"t2"),
    ("PDw", r"\bpd|proton"),
)
SUFFIX_OF_FILE = {"SWI": "swi"}


@dataclass
class Converted:
    """Result of a conversion.

    Parameters
    ----------
    root : Path
        The BIDS dataset.
    named : list of str
        Images with a BIDS name, relative to the root.
    unnamed : list of str
        Series of unknown contrast, under ``sourcedata/unnamed``.
    messages : list of str
        Warnings and errors of dcm2niix, one a line.
    """

    root: Path
    named: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


def convert(source: Path, root: Path, name: str, salt: bytes) -> Converted:
    """Convert all series below a folder into a new BIDS dataset; the folder is not changed.

    Parameters
    ----------
    source : Path
        Folder of DICOM files, at any depth.
    root : Path
        Of the dataset; it must not exist, or be empty, and lie outside the source.
    name : str
        Of the dataset.
    salt : bytes
        The home's secret.

    Raises
    ------
    LayoutError
        When dcm2niix is not installed, a folder cannot be used, or there is no series.
    """
    source, root = source.resolve(), root.resolve()
    if not source.is_dir():
        raise LayoutError(f"{source} is not a folder", "give the folder that holds the DICOM files")
    if root == source or root.is_relative_to(source):
        raise LayoutError(f"{root} lies in the folder of the DICOM files", "give another folder with --out")
    if root.exists() and any(root.iterdir()):
        raise LayoutError(f"{root} is not empty", "give another folder with --out, or remove what is there")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as scratch:
        converted = Converted(root, messages=_run(source, Path(scratch) / "series"))
        _arrange(Path(scratch) / "series", Path(scratch) / "bids", converted, salt)
        if not (converted.named or converted.unnamed):
            why = "; ".join(converted.messages[-3:]) or "dcm2niix found no series"
            raise LayoutError(f"no image was converted from {source}: {why}", "check that it holds DICOM files")
        _describe(Path(scratch) / "bids", name)
        if root.exists():
            root.rmdir()
        os.replace(Path(scratch) / "bids", root)
    return converted


def _run(source: Path, target: Path) -> list[str]:
    """Run dcm2niix and return its warnings and errors; the other series are converted when one fails."""
    if find_spec("dcm2niix") is None:
        raise LayoutError(
            "dcm2niix is not installed, which converts DICOM",
            "pip install 'tumsyn[dicom]'; or convert it yourself: dcm2niix -b y -ba y -z y -o OUT FOLDER",
        )
    import dcm2niix

    target.mkdir(parents=True)
    command = [str(dcm2niix.bin), "-b", "y", "-ba", "y", "-z", "y", "-w", "1", "-d", "9"]
    command += ["-f", f"{PATIENT}/{STUDY}/%s", "-o", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    lines = (done.stdout + "\n" + done.stderr).splitlines()
    return [line.strip() for line in lines if re.match(r"\s*(?:error|warning)", line, re.IGNORECASE)]


def _arrange(series: Path, root: Path, converted: Converted, salt: bytes) -> None:
    """Move every image to its BIDS name."""
    images = sorted(series.rglob("*.nii.gz"))
    stems = {image: _stem(image.relative_to(series).parts, _sidecar(image), salt) for image in images}
    counts, numbers = Counter(stems.values()), Counter[str]()
    for image, stem in stems.items():
        path = stem
        if counts[stem] > 1:
            numbers[stem] += 1
            head, _, suffix = stem.rpartition("_")
            path = f"{head}_run-{numbers[stem]}_{suffix}"
        for beside in image.parent.glob(f"{image.name.removesuffix('.nii.gz')}.*"):
            ending = ".nii.gz" if beside.name.endswith(".nii.gz") else beside.suffix
            place = root / f"{path}{ending}"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(beside, place)
        (converted.unnamed if path.startswith("sourcedata/") else converted.named).append(f"{path}.nii.gz")


def _stem(parts: tuple[str, ...], sidecar: Mapping[str, Any], salt: bytes) -> str:
    """Return the BIDS path of an image without its ending."""
    patient, study = parts[0], parts[1] if len(parts) > 2 else ""
    sub, ses = (hashlib.sha256(salt + text.encode()).hexdigest()[:10] for text in (patient, study))
    contrast = guess_contrast(sidecar)
    agent = "_ce-agent" if contrast == "T1w" and sidecar.get("ContrastBolusAgent") else ""
    if contrast is None:
        number = re.sub(r"[^0-9A-Za-z]", "", parts[-1].removesuffix(".nii.gz"))
        return f"sourcedata/unnamed/sub-{sub}_ses-{ses}_series-{number}_unknown"
    folder = "swi" if contrast == "SWI" else "anat"
    return f"sub-{sub}/ses-{ses}/{folder}/sub-{sub}_ses-{ses}{agent}_{SUFFIX_OF_FILE.get(contrast, contrast)}"


def guess_contrast(sidecar: Mapping[str, Any]) -> str | None:
    """Return the contrast of a series by dcm2niix's guess, its description, or its parameters; None if unclear.

    Limits of TR, TE and TI are customary ones at 1.5 and 3 T (Bernstein et al., Handbook of MRI Pulse Sequences, 2004);
    the contrast of values between the limits is unclear.
    """
    guess = sidecar.get("BidsGuess")
    if isinstance(guess, list) and guess and guess[0] == "anat":
        suffix = str(guess[-1]).rsplit("_", 1)[-1]
        if suffix in {"T1w", "T2w", "PDw", "FLAIR", "T2starw", "angio"}:
            return suffix
    words = f"{sidecar.get('SeriesDescription', '')} {sidecar.get('ProtocolName', '')}".lower()
    named = next((contrast for contrast, pattern in BY_DESCRIPTION if re.search(pattern, words)), None)
    if named:
        return None if named == "localizer" else named
    return _by_parameters(sidecar)


def _by_parameters(sidecar: Mapping[str, Any]) -> str | None:
    values = [sidecar.get(key) for key in ("RepetitionTime", "EchoTime", "InversionTime")]
    tr, te, ti = (float(value) if isinstance(value, (int, float)) else 0.0 for value in values)
    sequence = str(sidecar.get("ScanningSequence", ""))
    if not te or not tr:
        return None
    if ti > 1.4 and te > 0.06:
        return "FLAIR"
    if "GR" in sequence:
        return "T1w" if te < 0.006 else "T2starw" if te > 0.012 else None
    if "SE" in sequence:
        if te > 0.07 and tr > 2:
            return "T2w"
        if te < 0.03:
            return "T1w" if tr < 1 else "PDw" if tr > 2 else None
    return None


def _sidecar(image: Path) -> dict[str, Any]:
    try:
        found = json.loads(Path(str(image).removesuffix(".nii.gz") + ".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _describe(root: Path, name: str) -> None:
    document = {"Name": name, "BIDSVersion": "1.10.0", "GeneratedBy": [{"Name": "dcm2niix"}]}
    (root / "dataset_description.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
