"""How long a catalogue takes to publish and to answer, for generated centres of a given size.

Run ``python -m benchmarks.catalog [--images N ...] [--repeats N]``; it prints a Markdown table for each size. Each
size is published in a process of its own, so that its peak memory is its own. Rows are generated (no image exists),
deterministically, and go through the same lake, checks and publication as real ones.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa

from warehouse.catalog.publish import publish
from warehouse.catalog.query import Catalogue
from warehouse.catalog.sqlfiles import useful_queries
from warehouse.lake import parts as lake
from warehouse.lake.home import Home
from warehouse.tables import PARTITIONED, TABLES

CENTERS = 13
CONTRASTS = ("T1w", "T2w", "FLAIR", "PDw", "T2starw", "SWI", "angio", None)  # the last is a diffusion scan
SCANNERS = (
    ("Siemens", "Prisma", 2.89362),
    ("Siemens", "Skyra", 3.0),
    ("GE", "Discovery MR750", 3.0),
    ("Philips", "Ingenia", 1.5),
    (None, None, None),
)
TIMES_S = {  # TR, TE, TI
    "T1w": (2.3, 0.00298, 0.9),
    "T2w": (3.2, 0.565, None),
    "FLAIR": (9.0, 0.081, 2.5),
    "PDw": (3.0, 0.012, None),
    "T2starw": (0.65, 0.02, None),
    "SWI": (0.028, 0.02, None),
    "angio": (0.022, 0.0037, None),
    None: (8.0, 0.09, None),
}
Row = dict[str, object]


def image_rows(center_id: str, number: int) -> Iterator[tuple[str, Row]]:
    """Yield table name and row of everything that belongs to one participant, images first."""
    label = f"{number:06d}"
    seed = int(hashlib.md5(f"{center_id}{label}".encode(), usedforsecurity=False).hexdigest(), 16)
    key = {"center_id": center_id, "participant_id": label}
    for visit in range(1 + seed % 3):
        session_id = f"{center_id}/sub-{label}/ses-{visit}"
        n_contrasts = 2 + (seed >> 8) % 6
        for contrast in (*CONTRASTS[: n_contrasts - 1], None):
            yield from one_image(center_id, label, visit, session_id, contrast, seed)
        age = {"age_years": 20.0 + (seed >> 16) % 600 / 10 + visit, "age_provenance": "participants"}
        yield "core.session", key | {"session_id": session_id, "session_label": str(visit)} | age
    sex = (None, "F", "M", "F", "M")[(seed >> 24) % 5]
    yield (
        "core.participant",
        key
        | {
            "person_id": f"traveller/{number}" if number < 5 else f"{center_id}/{label}",
            "sex": sex,
            "sex_provenance": "participants" if sex else None,
            "is_listed": True,
            "has_images": True,
        },
    )


def one_image(
    center_id: str, label: str, visit: int, session_id: str, contrast: str | None, seed: int
) -> Iterator[tuple[str, Row]]:
    """Yield the rows of one image: file, image and acquisition."""
    suffix = contrast or "dwi"
    path = f"sub-{label}/ses-{visit}/anat/sub-{label}_ses-{visit}_{suffix}.nii.gz"
    key = {"center_id": center_id, "path": path}
    image_id = hashlib.sha256(f"{center_id}/{path}".encode()).hexdigest()[:16]
    facts = {"size_bytes": 9_000_000 + seed % 999_983, "content": "present"}
    yield "raw.file", key | facts | {"mtime_ns": seed % 10**18, "ctime_ns": 1, "disposition": "image", "kind": "nifti"}
    size_mm = 0.8 + (seed >> 32) % 5 / 10
    image = {
        "image_id": image_id,
        "participant_id": label,
        "session_id": session_id,
        "datatype": "anat",
        "suffix": suffix,
        "contrast": contrast,
        "is_post_contrast": False,
        "entities": json.dumps({"sub": label, "ses": str(visit), "suffix": suffix}),
        "shape": [176, 240, 256],
        "voxel_size_mm": [size_mm, size_mm, 4.0 if contrast == "FLAIR" else size_mm],
        "voxel_size_mm_provenance": "header",
        "affine": [size_mm, 0, 0, -88.5, 0, size_mm, 0, -120, 0, 0, size_mm, -128, 0, 0, 0, 1],
        "axcodes": "RAS",
        "dtype": "int16",
        "n_volumes": 1,
        "sidecar_paths": [path.replace(".nii.gz", ".json")],
        "eligibility": "eligible" if contrast else "ineligible",
        "eligibility_reason": "a structural image" if contrast else "diffusion",
    }
    yield "core.image", key | facts | image
    yield "core.acquisition", {"image_id": image_id, "center_id": center_id} | acquisition(contrast, seed)
    if seed % 97 == 0:
        broken = path.replace(suffix, f"{suffix}_copy")
        rejection = {"rejection_id": f"{image_id}r", "stage": "read", "reason": "truncated_gzip"}
        yield "core.rejection", key | rejection | {"path": broken, "detail": "ends early", "remedy": "copy it again"}


def acquisition(contrast: str | None, seed: int) -> Row:
    """Return what a sidecar says: something is missing in one of eleven."""
    vendor, model, tesla = SCANNERS[(seed >> 40) % len(SCANNERS)]
    repetition_s, echo_s, inversion_s = TIMES_S[contrast]
    values: Row = {
        "manufacturer": vendor,
        "manufacturers_model_name": model,
        "magnetic_field_strength_t": tesla,
        "repetition_time_s": repetition_s,
        "echo_time_s": None if seed % 11 == 0 else echo_s + (seed >> 48) % 20 / 1e5,
        "inversion_time_s": inversion_s,
        "flip_angle_deg": 9.0,
        "is_flip_angle_variable": True if contrast == "T2w" else None,
    }
    return values | {f"{name}_provenance": "sidecar" for name, value in values.items() if value is not None}


def commit(home: Home, number: int, n_images: int) -> None:
    """Generate and commit one centre of so many images, in batches so that memory stays small."""
    center_id = f"center_{number:02d}"
    role = "external" if number % 5 == 4 else "internal"
    batches: dict[str, list[pa.Table]] = {table.name: [] for table in PARTITIONED}
    center = {"center_id": center_id, "title": center_id, "country": "SI", "role": role, "is_simulated": True}
    batches["core.center"].append(
        TABLES["core.center"].rows([center | {"contrasts": ["T1w"], "layout": "bids", "root": "/none"}])
    )
    participants, n_left = iter(range(10**9)), n_images
    while n_left:
        rows: dict[str, list[Row]] = {name: [] for name in batches}
        for participant in islice(participants, 500):
            for name, row in image_rows(center_id, participant):
                n_left -= name == "raw.file"  # the first row of each image
                if n_left < 0 and name not in ("core.session", "core.participant"):
                    continue
                rows[name].append(row)
            if (n_left := max(n_left, 0)) == 0:
                break
        for name, records in rows.items():
            batches[name].append(TABLES[name].rows(records))
    lake.commit_center(home, center_id, {name: pa.concat_tables(parts) for name, parts in batches.items()}, {})


def peak_mb() -> float:
    """Return this process's peak resident memory, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def publish_and_ask(home: Home, repeats: int) -> None:
    """Publish a home, ask every useful query, and print the figures."""
    begun = time.perf_counter()
    published = publish(home)
    seconds = time.perf_counter() - begun
    peak = peak_mb()
    begun = time.perf_counter()
    publish(home)
    unchanged_s = time.perf_counter() - begun
    size_mb = published.path.stat().st_size / 1e6
    print(f"\n## {published.n_rows['core.image']:,} images, {published.n_rows['out.training_pair']:,} pairs\n")
    print(f"publish {seconds:.2f} s, peak {peak:.0f} MB, file {size_mb:.0f} MB, unchanged {unchanged_s:.3f} s\n")
    print("| query | rows | p50 ms | p95 ms |\n|---|---|---|---|")
    with Catalogue(home).connect() as connection:
        for name, query in useful_queries().items():
            n_rows, times_ms = timed(connection, query, repeats)
            p95 = statistics.quantiles(times_ms, n=20)[-1]
            print(f"| {name} | {n_rows} | {statistics.median(times_ms):.1f} | {p95:.1f} |")


def timed(connection: duckdb.DuckDBPyConnection, query: str, repeats: int) -> tuple[int, list[float]]:
    """Return rows and milliseconds of each repeat, after one that warms."""
    n_rows = len(connection.execute(query).fetchall())
    times_ms = []
    for _ in range(repeats):
        begun = time.perf_counter()
        connection.execute(query).fetchall()
        times_ms.append(1000 * (time.perf_counter() - begun))
    return n_rows, times_ms


def main() -> None:
    """Generate each size and measure it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[31_407, 1_000_000])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)  # the measured process
    options = parser.parse_args()
    if options.home:
        publish_and_ask(Home(options.home), options.repeats)
        return
    for n_images in options.images:
        with tempfile.TemporaryDirectory() as folder:
            for number in range(CENTERS):
                commit(Home(Path(folder)), number, n_images // CENTERS + (number < n_images % CENTERS))
            command = [sys.executable, "-m", "benchmarks.catalog", "--home", folder, "--repeats", str(options.repeats)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
