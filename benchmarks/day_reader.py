"""A reader that queries the catalogue without pause, for `benchmarks.day`: `python -m benchmarks.day_reader HOME FILE`.

It asks the catalogue in force again and again, and writes a line for each question: second, snapshot, images, people,
milliseconds, error. Every twentieth question goes through the sandbox of `tumsyn sql`.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from warehouse.catalog.query import Catalogue
from warehouse.lake.home import Home

QUESTION = """
SELECT (SELECT snapshot_id FROM meta.snapshot), count(*), count(DISTINCT participant_id)
FROM out.image_catalog WHERE eligibility = 'eligible'
"""
EVERY_S, SANDBOXED = 0.25, 20


class Answer(NamedTuple):
    """One question and its answer; `error` is empty where it was answered."""

    at_s: float
    snapshot_id: str
    n_images: int
    n_people: int
    ms: float
    error: str


def answers(path: Path) -> Iterator[Answer]:
    """Read the lines that a reader wrote."""
    with path.open(newline="") as file:
        for at_s, snapshot_id, n_images, n_people, ms, error in csv.reader(file, delimiter="\t"):
            yield Answer(float(at_s), snapshot_id, int(n_images), int(n_people), float(ms), error)


def ask(home: Home, *, in_sandbox: bool) -> Answer:
    """Open the catalogue in force and ask it, as a notebook does; nothing is kept between two questions."""
    began, at_s = time.perf_counter(), time.time()
    snapshot_id, n_images, n_people, error = "", 0, 0, ""
    try:
        if in_sandbox:
            [row] = Catalogue(home).query(QUESTION).to_pylist()
            snapshot_id, n_images, n_people = row.values()
        else:
            with Catalogue(home).connect() as connection:
                [(snapshot_id, n_images, n_people)] = connection.execute(QUESTION).fetchall()
    except Exception as failure:  # noqa: BLE001 - whatever it is, it must be counted
        error = repr(failure)
    return Answer(at_s, snapshot_id, n_images, n_people, round(1000 * (time.perf_counter() - began), 1), error)


def main() -> None:
    """Ask until the process is ended."""
    home, path = Home(Path(sys.argv[1]).resolve()), Path(sys.argv[2])
    with path.open("w", newline="") as file:
        writer, n_asked = csv.writer(file, delimiter="\t", lineterminator="\n"), 0
        while True:
            n_asked += 1
            writer.writerow(ask(home, in_sandbox=n_asked % SANDBOXED == 0))
            file.flush()
            time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
