"""Deliveries of data for `benchmarks.day`: a good one, a damaged one, and one from another scanner.

All are people of the simulated LEMON, as a site sends them: folders of new people, and rows for its participants.tsv.
"""

from __future__ import annotations

import gzip
import itertools
import shutil
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

from model.simulation.center import CohortSettings, Visit, image_visit
from model.simulation.layouts import definition_of, plan_of
from model.simulation.layouts.plan import Table
from model.simulation.people import SimulatedPerson, enrol
from pipelines.commands.demo import RESOLUTION_MM, SEED
from warehouse.lake import atomic

CENTER, LAYOUT = "phantom_lemon", "lemon"
TABLE = "participants.tsv"
N_THERE = 2  # people whom the demonstration enrols
VALIDATED = 22  # number of the first person of this centre whom the hash puts into the split val
OTHER_SCANNER = "adni"  # its second scanner is a GE at 1.5 T; the people of this centre are 55 to 90 years old
QFORM_CODE, SFORM, SFORM_CODE = slice(252, 254), slice(280, 328), slice(254, 256)  # bytes of a NIfTI-1 header


@dataclass(frozen=True)
class Delivery:
    """A delivery that waits in a staging folder.

    Parameters
    ----------
    name : str
    folder : Path
        Holds the folders of the people as the centre's root does.
    rows : list of str
        Lines for the table of participants.
    refused : dict of str to str
        Files that cannot be used, by their path below the root, and what is wrong with them.
    """

    name: str
    folder: Path
    rows: list[str]
    refused: dict[str, str]

    @property
    def files(self) -> list[str]:
        """Paths of all files below the centre's root."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    def send(self, root: Path) -> None:
        """Copy the files into the centre's folder, then add the rows to its table."""
        shutil.copytree(self.folder, root, dirs_exist_ok=True)
        with (root / TABLE).open("a") as table:
            table.writelines(self.rows)


def make_deliveries(staging: Path, n_people: int, pool: Executor) -> list[Delivery]:
    """Simulate the deliveries in a folder: good and drifted ones of `n_people` each, and a damaged one of two."""
    *own, validated = enrol(LAYOUT, VALIDATED, SEED)[N_THERE:]
    others = enrol(OTHER_SCANNER, n_people, SEED)
    # By their numbers, all of them lie in the second of three scanners.
    moved = [replace(person, number=32 + 3 * index) for index, person in enumerate(others)]
    damaged = _made("damaged", staging, own[n_people : n_people + 2], pool)
    return [
        _made("good", staging, [*own[: n_people - 1], validated], pool),
        _damaged(damaged),
        _made("drifted", staging, moved, pool),
    ]


def _made(name: str, staging: Path, people: Iterable[SimulatedPerson], pool: Executor) -> Delivery:
    """Simulate the scans of these people in the layout of the centre, unless that was done before."""
    plan = plan_of(LAYOUT, [replace(person, missing=frozenset()) for person in people])
    made, folder = staging / "simulated" / name, staging / name
    if not made.is_dir():
        temporary, settings = atomic.temporary_beside(made), CohortSettings(len(plan.participants), SEED, RESOLUTION_MM)
        center = definition_of(LAYOUT, plan)
        by_person = itertools.groupby(plan.places, lambda place: place.person.number)
        visits = [Visit(center, tuple(places), settings, temporary, staging / "truth") for _, places in by_person]
        list(pool.map(image_visit, visits))
        temporary.rename(made)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(made, folder)
    return Delivery(name, folder, _rows(plan.tables[0]), {})


def _rows(table: Table) -> list[str]:
    return [table.separator.join(map(str, row)) + table.line_end for row in table.rows]


def _damaged(delivery: Delivery) -> Delivery:
    """Damage four files of a delivery of two people."""
    one, other = sorted(path for path in delivery.folder.iterdir() if path.is_dir())
    truncated, text, sidecar = _scan(one, "T2w"), _scan(one, "FLAIR"), _scan(one, "T1w", ".json")
    truncated.write_bytes(truncated.read_bytes()[:4000])
    text.write_text("The scan will follow next week.\n")
    sidecar.write_text('{"EchoTime": 0.003, "RepetitionTime":')
    crooked = _scan(other, "T1w")
    image = bytearray(gzip.decompress(crooked.read_bytes()))
    image[QFORM_CODE], image[SFORM_CODE], image[SFORM] = bytes(2), (1).to_bytes(2, "little"), bytes(48)
    crooked.write_bytes(gzip.compress(bytes(image), mtime=0))
    wrong = {
        truncated: "the compressed file ends early",
        text: "a text that is named as a scan",
        sidecar: "a JSON that ends early",
        crooked: "an affine of zeros",
    }
    refused = {str(path.relative_to(delivery.folder)): what for path, what in wrong.items()}
    return replace(delivery, refused=refused)


def _scan(person: Path, name: str, suffix: str = ".nii.gz") -> Path:
    [path] = person.rglob(f"*_{name}{suffix}")
    return path
