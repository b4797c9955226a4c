"""A small lake written by hand, row by row: what the tests of the catalogue stand on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from warehouse.catalog.publish import Published, publish
from warehouse.lake import parts as lake
from warehouse.lake.home import Home
from warehouse.tables import PARTITIONED, TABLES

Row = dict[str, object]
SOURCED = [
    c.name.removesuffix("_provenance") for c in TABLES["core.acquisition"].columns if c.name.endswith("_provenance")
]


def image_id_of(center_id: str, path: str) -> str:
    return hashlib.sha256(f"{center_id}/{path}".encode()).hexdigest()[:16]


AGES = ("age_years", "age_low_years", "age_high_years")


class Lab:
    """Centres, participants and images, added one by one and committed together."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.rows: dict[str, dict[str, list[Row]]] = {}

    def center(self, center_id: str, role: str = "internal", **more: object) -> None:
        self.rows[center_id] = {table.name: [] for table in PARTITIONED}
        row = {
            "center_id": center_id,
            "title": center_id.title(),
            "country": "SI",
            "role": role,
            "is_simulated": False,
            "contrasts": ["T1w", "T2w"],
            "layout": "bids",
            "root": f"/data/{center_id}",
        }
        self.rows[center_id]["core.center"].append(row | more)

    def participant(self, center_id: str, participant_id: str, **more: object) -> Row:
        row: Row = {
            "center_id": center_id,
            "participant_id": participant_id,
            "person_id": f"{center_id}/{participant_id}",
            "is_listed": True,
            "has_images": True,
        } | more
        row["sex_provenance"] = "participants" if row.get("sex") else None
        row["age_provenance"] = _age_provenance(row)
        self.rows[center_id]["core.participant"].append(row)
        return row

    def session(self, center_id: str, participant_id: str, label: str | None, **more: object) -> str:
        session_id = f"{center_id}/sub-{participant_id}" + (f"/ses-{label}" if label else "")
        sessions = self.rows[center_id]["core.session"]
        if not any(row["session_id"] == session_id for row in sessions):
            is_first = not any(row["participant_id"] == participant_id for row in sessions)
            people = self.rows[center_id]["core.participant"]
            person = next((row for row in people if row["participant_id"] == participant_id), {})
            told = {name: person[name] for name in AGES if name in person} if is_first else {}
            row: Row = (
                told
                | {
                    "session_id": session_id,
                    "center_id": center_id,
                    "participant_id": participant_id,
                    "session_label": label,
                }
                | more
            )
            sessions.append(row | {"age_provenance": _age_provenance(row)})
        return session_id

    def image(
        self,
        center_id: str,
        participant_id: str,
        contrast: str | None,
        *,
        ses: str | None = None,
        run: str | None = None,
        is_post_contrast: bool = False,
        suffix: str | None = None,
        is_eligible: bool | None = None,
        acquisition: Row | None = None,
        **more: object,
    ) -> str:
        """Add an image with its visit, file and acquisition; return its identity."""
        suffix = suffix or contrast or "dwi"
        parts = [f"sub-{participant_id}", *([f"ses-{ses}"] if ses else []), *(["ce-gd"] if is_post_contrast else [])]
        name = "_".join([*parts, *([f"run-{run}"] if run else []), suffix])
        path = f"sub-{participant_id}/" + (f"ses-{ses}/" if ses else "") + f"anat/{name}.nii.gz"
        image_id = image_id_of(center_id, path)
        is_eligible = contrast is not None if is_eligible is None else is_eligible
        image: Row = {
            "image_id": image_id,
            "center_id": center_id,
            "participant_id": participant_id,
            "session_id": self.session(center_id, participant_id, ses),
            "path": path,
            "datatype": "anat",
            "suffix": suffix,
            "contrast": contrast,
            "is_post_contrast": is_post_contrast,
            "ce": "gd" if is_post_contrast else None,
            "run": run,
            "entities": "{}",
            "content": "present",
            "size_bytes": 1000,
            "shape": [160, 192, 192],
            "voxel_size_mm": [0.8, 0.8, 0.8],
            "voxel_size_mm_provenance": "header",
            "sidecar_paths": [],
            "eligibility": "eligible" if is_eligible else "ineligible",
            "eligibility_reason": "a structural image" if is_eligible else "not a structural image",
        }
        self.rows[center_id]["core.image"].append(image | more)
        self.rows[center_id]["raw.file"].append(file_row(center_id, path, "image"))
        self.rows[center_id]["core.acquisition"].append(_acquisition(image_id, center_id, acquisition or {}))
        return image_id

    def rejection(self, center_id: str, path: str, reason: str = "truncated_gzip") -> None:
        self.rows[center_id]["raw.file"].append(file_row(center_id, path, "rejection"))
        self.rows[center_id]["core.rejection"].append(
            {
                "rejection_id": image_id_of(center_id, f"{path}#rejected"),
                "center_id": center_id,
                "path": path,
                "stage": "read",
                "reason": reason,
                "detail": f"{path} ends early",
                "remedy": "copy the file again",
            }
        )

    def commit(self) -> None:
        for center_id, tables in self.rows.items():
            arrow = {name: TABLES[name].rows(rows) for name, rows in tables.items()}
            lake.commit_center(self.home, center_id, arrow, {"made": "by hand"})

    def publish(self) -> Published:
        self.commit()
        return publish(self.home)


def file_row(center_id: str, path: str, disposition: str) -> Row:
    return {
        "center_id": center_id,
        "path": path,
        "size_bytes": 1000,
        "mtime_ns": 1,
        "ctime_ns": 1,
        "content": "present",
        "disposition": disposition,
        "kind": "nifti",
    }


def _acquisition(image_id: str, center_id: str, values: Row) -> Row:
    provenances = {f"{name}_provenance": "sidecar" for name in SOURCED if values.get(name) is not None}
    return {"image_id": image_id, "center_id": center_id} | values | provenances


def _age_provenance(row: Row) -> str | None:
    known = [row.get(name) for name in ("age_years", "age_low_years", "age_high_years")]
    return "participants" if any(value is not None for value in known) else None


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """An empty home to fill by hand."""
    return Lab(tmp_path / "home")


SIEMENS: Row = {
    "manufacturer": "Siemens",
    "manufacturers_model_name": "Prisma",
    "magnetic_field_strength_t": 2.89362,
}
T1W = SIEMENS | {
    "repetition_time_s": 2.5,
    "echo_time_s": 0.0022,
    "inversion_time_s": 1.0,
    "flip_angle_deg": 8.0,
    "slice_thickness_mm": 0.8,
}
T2W = SIEMENS | {
    "repetition_time_s": 3.2,
    "echo_time_s": 0.563,
    "flip_angle_deg": 120.0,
    "is_flip_angle_variable": True,
}


def fill(lab: Lab) -> None:
    """Fill two internal centres and an external one, with what makes real data awkward.

    alpha: 01 has T1w and T2w; 02 two T1w runs and a post-contrast T1w; 03 has FLAIR only, without TE, and a dwi.
    beta:  a five-year bin of age, two visits of which the second has an age of its own, and `walker`.
    gamma: external; the same `walker`, GE at 1.5 T, thick slices; one file was rejected.
    """
    lab.center("alpha")
    lab.participant("alpha", "01", sex="M", age_years=12.0)
    lab.image("alpha", "01", "T1w", acquisition=T1W)
    lab.image("alpha", "01", "T2w", acquisition=T2W)
    lab.participant("alpha", "02", sex="F", age_years=16.0)
    lab.image("alpha", "02", "T1w", run="1", acquisition=T1W)
    lab.image("alpha", "02", "T1w", run="2", acquisition=T1W | {"echo_time_s": 0.00225})
    lab.image("alpha", "02", "T1w", is_post_contrast=True, acquisition=T1W)
    lab.participant("alpha", "03")
    lab.image("alpha", "03", "FLAIR", acquisition={"repetition_time_s": 9.0}, voxel_size_mm=[0.9375, 0.9375, 3.0])
    lab.image("alpha", "03", None)
    lab.center("beta", country="DE")
    lab.participant("beta", "01", sex="F", age_low_years=20.0, age_high_years=25.0)
    lab.session("beta", "01", "1")
    lab.session("beta", "01", "2", age_years=27.5)
    lab.image("beta", "01", "T1w", ses="1", acquisition=T1W)
    lab.image("beta", "01", "T2w", ses="2", acquisition=T2W | {"echo_time_s": None}, content="absent")
    lab.participant("beta", "walker", person_id="walker", sex="M", age_years=40.0)
    lab.image("beta", "walker", "T1w", acquisition=T1W)
    lab.center("gamma", role="external", country=None)
    lab.participant("gamma", "W", person_id="walker", sex="M", age_years=41.0)
    ge = {"manufacturer": "GE", "magnetic_field_strength_t": 1.5, "slice_thickness_mm": 5.0, "echo_time_s": 0.1}
    for contrast in ("T1w", "T2w", "FLAIR"):
        lab.image("gamma", "W", contrast, acquisition=ge, voxel_size_mm=[0.5, 0.5, 5.0])
    lab.rejection("gamma", "sub-X/anat/sub-X_T1w.nii.gz")


@pytest.fixture
def small(lab: Lab) -> Lab:
    """Two internal centres and an external one, committed and not yet published."""
    fill(lab)
    return lab


@pytest.fixture(scope="session")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The small lake, published once for every test that only reads."""
    lab = Lab(tmp_path_factory.mktemp("published") / "home")
    fill(lab)
    lab.publish()
    return lab


@pytest.fixture
def rows(published_once: Lab) -> Iterator[Callable[[str], list[tuple[object, ...]]]]:
    """Return a function that answers queries about the small lake."""
    with duckdb.connect(str(published_once.home.pointer.resolve()), read_only=True) as connection:
        yield lambda query: connection.execute(query).fetchall()
