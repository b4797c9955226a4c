"""Write synthetic scans: their names, the sidecars beside them, and both so that no half-written file is ever seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib

from model.inference.from_scans import Made
from model.inference.known import sidecar_files
from model.inference.request import as_json
from warehouse.errors import ModelError
from warehouse.ingest.bids import name_entities
from warehouse.ingest.eligibility import contrast_of
from warehouse.ingest.sidecars import stem
from warehouse.lake import atomic
from warehouse.prompts.record import PromptRecord, contrast_label, render
from warehouse.provenance import PACKAGE, release
from warehouse.volumes.export import ENTITY_ORDER, compress

ENDINGS = (".nii", ".nii.gz")
SYNTHETIC = "synthetic"
KEPT = ("sub", "ses", "run", "space")  # entities of an input that are true of what is made of it
UNITS = {"T1map": "s", "T2map": "s", "T2starmap": "s", "PDmap": "arbitrary"}


def out_file(out: Path, first: Path, target: PromptRecord) -> Path:
    """Return the file to write: `out` itself, or where it is a folder, a BIDS name in it.

    Parameters
    ----------
    out : Path
    first : Path
        The first input, whose participant and session the name has.
    target : PromptRecord

    Raises
    ------
    ModelError
        When `out` is a folder and the prompt names no contrast, which the name needs.

    Examples
    --------
    >>> out_file(Path("."), Path("sub-01_ses-02_acq-x_T1w.nii.gz"), PromptRecord(contrast="T2w")).name
    'sub-01_ses-02_desc-synthetic_T2w.nii.gz'
    """
    if not out.is_dir():
        return out
    if target.contrast is None:
        what = f"{out} is a folder, and the prompt names no contrast by which the file could be called"
        raise ModelError(what, "give a file name, or name the contrast in the prompt")
    entities = name_entities(first.name) if first.name.startswith("sub-") else {}
    kept = {name: entities[name] for name in KEPT if name in entities} | {"desc": SYNTHETIC}
    if target.post_contrast:
        kept["ce"] = "agent"
    parts = [f"{name}-{kept[name]}" for name in ENTITY_ORDER if name in kept]
    if "sub" not in kept:
        parts.insert(0, stem(first.name))
    return out / f"{'_'.join(parts)}_{target.contrast}.nii.gz"


def sidecar_of(out: Path) -> Path:
    """Return the sidecar of an image."""
    return out.parent / f"{stem(out.name)}.json"  # a folder named "." has no name to change


def map_files(out: Path, suffixes: Sequence[str] = tuple(UNITS)) -> dict[str, Path]:
    """Return the files of maps beside an image: its BIDS suffix is replaced, another name is lengthened.

    Examples
    --------
    >>> map_files(Path("sub-01_desc-synthetic_T2w.nii.gz"))["T1map"].name, map_files(Path("x.nii"))["PDmap"].name
    ('sub-01_desc-synthetic_T1map.nii.gz', 'x_PDmap.nii')
    """
    name = stem(out.name)
    ending = out.name[len(name) :]
    if out.name.startswith("sub-") and contrast_of(name_entities(out.name).get("suffix")):
        name = name.rpartition("_")[0]
    return {suffix: out.with_name(f"{name}_{suffix}{ending}") for suffix in suffixes}


def refuse_output(out: Path, inputs: Sequence[Path], *, force: bool, with_maps: bool = False) -> None:
    """Refuse an output before anything is computed.

    Parameters
    ----------
    out : Path
        A file; see `out_file`.
    inputs : sequence of Path
        Every file that is read: scans, masks, reference.
    force : bool
        Whether existing results may be overwritten; inputs and their sidecars never are.
    with_maps : bool

    Raises
    ------
    ModelError
        When the name is none of a NIfTI file, the folder does not exist, or a file exists.
    """
    if not out.name.endswith(ENDINGS):
        raise ModelError(f"{out} is not the name of a NIfTI file", "give a name that ends in .nii or .nii.gz")
    if not out.parent.is_dir():
        raise ModelError(f"{out.parent} is not a folder", "make it, or give another --out")
    if any(sidecar_of(path).absolute() == sidecar_of(out).absolute() and path != out for path in inputs):
        what = f"{out} would share its sidecar with an input: their names differ in the ending only"
        raise ModelError(what, "give another --out")
    images = [out, *(map_files(out).values() if with_maps else ())]
    written = [*images, *(sidecar_of(image) for image in images)]
    own = [file for path in inputs for file in ([path, sidecar_of(path), *_sidecars(path)]) if file.exists()]
    for file in written:
        if file.is_dir():
            raise ModelError(f"{file} is a folder", "give another --out")
        if not file.exists():
            continue
        if any(file.samefile(one) for one in own):
            whose = "the scan itself" if file == out else "a file that belongs to an input"
            raise ModelError(f"{file} is {whose}", "give another --out; a scan and its sidecar are never overwritten")
        if not force:
            raise ModelError(f"{file} exists", "give another --out, or --force to overwrite it")


def write(made: Made, out: Path) -> list[Path]:
    """Write a synthetic scan, its maps and their sidecars; return the files, the scan last.

    Every file is written beside its place and then moved there. The scan is moved last: where it is, all files are.
    """
    files: dict[Path, bytes] = {}
    for suffix, image in made.maps.items():
        place = map_files(out, [suffix])[suffix]
        files[sidecar_of(place)] = _json(sidecar(made, suffix))
        files[place] = _nifti(image, place)
    files[sidecar_of(out)] = _json(sidecar(made))
    files[out] = _nifti(made.image, out)
    temporaries = {file: atomic.temporary_beside(file) for file in files}
    try:
        for file, content in files.items():
            temporaries[file].write_bytes(content)
        for file, temporary in temporaries.items():
            atomic.move(temporary, file)
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)
    return list(files)


def sidecar(made: Made, suffix: str | None = None) -> dict[str, Any]:
    """Return the fields of a sidecar, of the scan or of the map with this suffix."""
    record = made.request.record
    label = contrast_label(record.contrast, record.post_contrast) or "image"
    what = f"map ({suffix})" if suffix else f"{label}"
    return {
        "Description": f"A synthetic {what} of a head, made by a network from other scans. Not for diagnosis.",
        "Synthetic": True,
        "GeneratedBy": [{"Name": PACKAGE, "Version": release()}],
        "Model": {"Id": made.model_id, "WeightsSha256": made.weights_sha256},
        "RequestSha256": made.asked_sha256,
        "Units": UNITS[suffix] if suffix else "arbitrary",
        "Prompt": {
            "Given": made.request.given,
            "Sentence": render(record),
            "Record": as_json(record),
            "Origins": dict(made.request.origins),
            "Missing": made.request.missing,
        },
        "Sources": [
            {
                "File": Path(one.name).name,
                "Sha256": one.sha256,
                "Sentence": render(one.known.record),
                "Record": as_json(one.known.record),
                "Origins": dict(one.known.origins),
            }
            for one in made.inputs
        ],
        "Warnings": list(made.warnings),
    }


def read_own_sidecar(out: Path) -> Mapping[str, Any] | None:
    """Return the sidecar of an image that was made before, or None where there is none of ours."""
    try:
        found = json.loads(sidecar_of(out).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("Synthetic") is True else None


def _sidecars(path: Path) -> list[Path]:
    return sidecar_files(path) if path.parent.is_dir() else []


def _nifti(image: nib.Nifti1Image, place: Path) -> bytes:
    content: bytes = image.to_bytes()
    return compress(content) if place.name.endswith(".gz") else content


def _json(fields: Mapping[str, Any]) -> bytes:
    text = json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode(errors="replace")  # names of files may hold bytes that are no characters
