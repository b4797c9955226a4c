"""One visit of one simulated person as a few BIDS files, for demonstrations that need no cohort."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from model.physics.protocol import SequenceProtocol
from model.simulation.files import nifti_bytes, sidecar_fields
from model.simulation.head import make_head
from model.simulation.people import Subject
from model.simulation.scanner import Scanner, acquire
from model.simulation.seeds import seed_of
from warehouse.lake import atomic

DEMONSTRATION = Subject(seed=20_260, age_years=46.0, sex="F")
SCANNER = Scanner("Siemens", "Prisma", 3.0)
PROTOCOLS = {
    "T1w": SequenceProtocol("T1w", "mprage", 3.0, 2.3, 0.003, 0.9, 9.0),
    "T2w": SequenceProtocol("T2w", "fast_spin_echo", 3.0, 4.0, 0.09, None, 150.0),
}


def demonstration_visit(folder: Path) -> tuple[Path, Path]:
    """Return a T1w and a T2w of one simulated person at 1 mm; they are simulated unless they are there.

    Parameters
    ----------
    folder : Path
        Made where absent.
    """
    files = image_files(folder, "demonstration", PROTOCOLS)
    if not all(path.is_file() for path in files.values()):
        write_visit(folder, "demonstration", DEMONSTRATION, PROTOCOLS, SCANNER)
    return files["T1w"], files["T2w"]


def image_files(folder: Path, name: str, suffixes: Iterable[str]) -> dict[str, Path]:
    """Return the paths of a person's images by BIDS suffix; the files need not exist."""
    return {suffix: folder / f"sub-{name}_{suffix}.nii.gz" for suffix in suffixes}


def write_visit(
    folder: Path,
    name: str,
    subject: Subject,
    protocols: Mapping[str, SequenceProtocol],
    scanner: Scanner,
    voxel_mm: float = 1.0,
) -> dict[str, Path]:
    """Scan a simulated person and write each scan with its sidecar, whole head, axes LAS, all in one world.

    Parameters
    ----------
    folder : Path
        Made where absent; files of the same names are replaced.
    name : str
        Of the person, as in ``sub-<name>_T1w.nii.gz``.
    subject : Subject
    protocols : mapping
        By BIDS suffix.
    scanner : Scanner
    voxel_mm : float
        Of the head and of every scan; isotropic.

    Returns
    -------
    dict of str to Path
        The image of each suffix.

    Raises
    ------
    PhantomError
        For a voxel size that cannot be simulated.
    """
    head = make_head(subject, voxel_mm)
    folder.mkdir(parents=True, exist_ok=True)
    size_mm, files = (voxel_mm,) * 3, image_files(folder, name, protocols)
    for suffix, protocol in protocols.items():
        seed = seed_of(subject.seed, "visit", suffix)
        acquired = acquire(head, protocol, scanner, voxel_size_mm=size_mm, axcodes="LAS", seed=seed)
        fields = sidecar_fields(protocol, scanner, size_mm, seed)
        atomic.write_bytes(files[suffix].with_name(f"sub-{name}_{suffix}.json"), json.dumps(fields, indent=2).encode())
        atomic.write_bytes(files[suffix], nifti_bytes(acquired, files[suffix].name))
    return files
