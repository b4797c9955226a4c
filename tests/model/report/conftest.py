"""A home of real and simulated people with a published evaluation, whose rows are written by hand."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from model.data.catalogue import Source
from model.evaluation.evaluate import identify
from model.evaluation.protocol import EvaluationProtocol
from model.report.page import write_report
from tests.model.tiny_home import RECIPE, _acquisition, _store, _tissues, _voxels
from tests.warehouse.conftest import Lab
from warehouse.catalog.publish import publish
from warehouse.catalog.query import Catalogue
from warehouse.lake import parts as lake
from warehouse.lake.home import Home
from warehouse.prompts.record import PromptRecord
from warehouse.tables import HARMONIZED, TABLES

MODEL, ENCODER, RUN = "1111222233334444", "fedcba9876543210", "aaaabbbbccccdddd"
WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
TASKS = ("T1w_to_T2w", "T2w_to_T1w", "T1w_to_FLAIR", "T1w_to_angio")
SETS = "T1w+T2w_to_FLAIR"  # scored for the baselines only: the model takes one source
CENTERS = {  # role, whether simulated, and how many people of each split
    "ward": ("internal", False, {"test_internal": 12, "val": 2, "train": 2}),
    "abroad": ("external", False, {"test_external": 3}),
    "alpha": ("internal", True, {"acceptance": 12, "test_internal": 3}),
}
FITTED = {"T1w_to_T2w": 17.4, "T2w_to_T1w": 16.8, "T1w_to_FLAIR": 16.4, SETS: 16.9}
ABOVE = {"baseline:identity": -6.5, "baseline:intensity_map_train": -1.2, "baseline:intensity_map_oracle": 0.0}
GAINS = {"T1w_to_T2w": 0.9, "T2w_to_T1w": 1.7, "T1w_to_FLAIR": -0.4}
BEHAVIOUR = {
    "identity_psnr_db": 34.0,
    "identity_ssim": 0.8,
    "irrelevant_age": 0.023,
    "irrelevant_age_shift_mm": 0.2,
    "irrelevant_vendor": 0.004,
    "irrelevant_vendor_shift_mm": 0.05,
    "tiles_max_difference": 0.0004,
    "steering_mae": 0.14,
    "steering_gain_db": 4.2,
}

Row = dict[str, Any]


@dataclass(frozen=True)
class Reported:
    """A report, and all that it was made of."""

    home: Home
    evaluation_id: str
    data_id: str
    scores: list[Row]
    protocol: EvaluationProtocol
    model: Inverter
    page: Path


class Inverter:
    """Gives the negative of a smoothed source, whatever is asked for."""

    max_sources = 1

    def volume(self, sources: Sequence[Source], target: PromptRecord) -> NDArray[np.float32]:
        return np.asarray(-ndimage.gaussian_filter(sources[0].voxels, 0.7), np.float32)


def protocol(**more: Any) -> EvaluationProtocol:
    """Three tasks that the people have, and one that they lack."""
    splits = ("test_internal", "test_external", "acceptance", "val")
    asked = {"name": "tiny", "recipe": "draft", "tasks": TASKS, "splits": splits, "n_resamples": 200}
    return EvaluationProtocol(**asked | more)


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """A report of real and simulated people; read it only."""
    folder = tmp_path_factory.mktemp("reported")
    return make_report(folder / "home", folder / "report")


@pytest.fixture
def connection(reported: Reported) -> Iterator[Any]:
    with Catalogue(reported.home).connect() as opened:
        yield opened


def make_report(root: Path, folder: Path, forms: tuple[str | None, ...] = ("native", "session")) -> Reported:
    """Publish a home with an evaluation, and write its report."""
    home, asked = make_home(root), protocol()
    evaluation_id, data_id, scores = publish_evaluation(home, asked, forms)
    model = Inverter()
    with Catalogue(home).connect() as connection:
        page = write_report(home, connection, evaluation_id, model, folder, asked)
    return Reported(home, evaluation_id, data_id, scores, asked, model, page)


def publish_evaluation(
    home: Home, asked: EvaluationProtocol, forms: tuple[str | None, ...] = ("native", "session")
) -> tuple[str, str, list[Row]]:
    """Publish the scores and the other records of a model; return the evaluation, its data and the scores."""
    with Catalogue(home).connect() as connection:
        [(data_id,)] = connection.execute("SELECT data_id FROM meta.snapshot").fetchall()
        columns = "session_id, contrast_label, image_id, split, is_simulated, person_id"
        images = connection.execute(f"SELECT {columns} FROM out.image_catalog ORDER BY image_id").fetchall()
    evaluation_id = identify(MODEL, data_id, asked.hash)
    place = {"evaluation_id": evaluation_id, "data_id": data_id, "protocol_hash": asked.hash}
    scores = [place | row for row in scores_of(images, forms)]
    lake.append_events(home, "core.evaluation_score", scores)
    for table, rows in records(data_id, asked.hash).items():
        lake.append_events(home, table, rows)
    publish(home)
    return evaluation_id, data_id, scores


def make_home(root: Path) -> Home:
    """Publish the people of `CENTERS` with a T1w, a T2w and a FLAIR each."""
    lab, rng = Lab(root), np.random.default_rng(0)
    volumes: dict[str, list[Row]] = {}
    for center_id, (role, is_simulated, splits) in CENTERS.items():
        lab.center(center_id, role=role, is_simulated=is_simulated)
        labels = [(split, f"{split[:3]}{split[-3:]}{n:02d}") for split, count in splits.items() for n in range(count)]
        volumes[center_id] = []
        for number, (split, label) in enumerate(labels):
            fixed = None if role == "external" else split
            lab.participant(center_id, label, sex="MF"[number % 2], age_years=30.0 + number, fixed_split=fixed)
            head = _tissues(rng)
            for contrast in ("T1w", "T2w", "FLAIR"):
                acquisition = _acquisition(contrast, rng)
                image_id = lab.image(center_id, label, contrast, acquisition=acquisition)
                voxels = _voxels(head, contrast, acquisition, rng)
                made = _store(lab.home, center_id, label, contrast, image_id, voxels, head > 0)
                volumes[center_id].append(made | {"is_stripped": STRIPPED[center_id]})
    lab.commit()
    for center_id, rows in volumes.items():
        every = {"core.volume": rows, "core.quality": [q for row in rows for q in _quality(row)]}
        arrow = {table.name: table.rows(every.get(table.name, [])) for table in HARMONIZED}
        lake.commit_center(lab.home, center_id, arrow, {"made": "by hand"}, "harmonize")
    lab.publish()
    return lab.home


STRIPPED = {"ward": True, "abroad": False, "alpha": None}
THICK = {"ward": 4.1, "abroad": 1.2}  # along the body, mm; nothing was measured in alpha, whose voxels have 0.8 mm


def _quality(volume: Row) -> list[Row]:
    center_id = volume["center_id"]
    if center_id not in THICK:
        return []
    measured = {"resolution_lr_mm": 1.0, "resolution_pa_mm": 1.1, "resolution_is_mm": THICK[center_id]}
    place = {"image_id": volume["image_id"], "recipe_id": RECIPE, "center_id": center_id}
    return [place | {"measure": measure, "value": value} for measure, value in measured.items()]


def scores_of(images: Sequence[tuple[Any, ...]], forms: Sequence[str | None]) -> list[Row]:
    """Return the rows of every person in every form; simulated people find everything easier by 3 dB."""
    visits: dict[str, dict[str, tuple[Any, ...]]] = {}
    for session, contrast, *image in images:
        visits.setdefault(session, {})[contrast] = tuple(image)
    rows = []
    for form in forms:
        for session, visit in sorted(visits.items()):
            for task, fitted in FITTED.items():
                asked, wanted = task.split("_to_")
                sources = [visit[contrast][0] for contrast in asked.split("+")]
                target, split, is_simulated, person = visit[wanted]
                place = {"form": form, "task": task, "split": split, "target_image_id": target}
                base = fitted + 3.0 * is_simulated + 0.8 * chance(person) + (0.4 if form == "session" else 0.0)
                made = {name: base + above for name, above in ABOVE.items()}
                if task in GAINS:
                    made[MODEL] = base + GAINS[task] + 0.6 * chance(person + task)
                for maker, psnr in made.items():
                    each = place | {"model_id": maker, "source_image_ids": sources}
                    rows += [each | row for row in _measures(psnr)]
                    if maker == MODEL and form == "native" and split == "test_internal":
                        found = {name: value * (1 + 0.2 * chance(name + person)) for name, value in BEHAVIOUR.items()}
                        rows += [each | {"metric": m, "mask": "brain", "value": v} for m, v in found.items()]
                if split == "test_internal" and wanted == "T2w" and not is_simulated and chance(session) > 0.5:
                    scan = place | {"task": "T2w_to_T2w", "model_id": "baseline:rescan", "source_image_ids": sources}
                    rows += [scan | row for row in _measures(24.0 + chance(session))]
    return rows


def chance(name: str) -> float:
    """Return a number in [-1, 1] that a name always has."""
    return zlib.crc32(name.encode()) % 2001 / 1000 - 1


def _measures(psnr: float) -> list[Row]:
    ssim, mae = 0.045 * (psnr - 5), 10 ** (-psnr / 20) * 0.8
    brain = {"psnr_db": psnr, "ssim": ssim, "mae": mae, "nmi": 1 + psnr / 100, "mae_rim": 1.7 * mae, "mae_deep": mae}
    brain |= {"psnr_db_fitted": psnr + 0.5, "ssim_fitted": ssim + 0.01, "mae_fitted": 0.9 * mae}
    volume = {"psnr_db": psnr + 4, "ssim": min(0.5 + ssim / 2, 1.0), "mae": mae / 3}
    return [
        {"metric": metric, "mask": mask, "value": value}
        for mask, values in (("brain", brain), ("volume", volume))
        for metric, value in values.items()
    ]


def fidelity_rows() -> list[Row]:
    """Return rows of two sweeps: the model follows TE, and hardly TI; the look-up follows both with an offset."""
    rows = []
    sweeps = (
        ("T2w_fse", "echo_time_s", np.linspace(0.03, 0.2, 8)),
        ("FLAIR", "inversion_time_s", np.linspace(1, 3, 8)),
    )
    for sweep, field, values in sweeps:
        for person in range(3):
            for value in values:
                x = float((value - values[0]) / (values[-1] - values[0]))
                truth = {"gm": 1.05 + (0.35 + 0.05 * person) * x, "csf": 1.2 + 3 * x if sweep == "T2w_fse" else 1.5 * x}
                for tissue, true in truth.items():
                    made = {
                        MODEL: true + 0.04 * np.sin(6 * x) - (0.5 * x if sweep == "FLAIR" else 0),
                        "baseline:textbook": 1.06 * true + 0.08,
                        "baseline:identity": 0.7 if tissue == "gm" else 0.3,
                    }
                    for model_id, ratio in made.items():
                        place = {"sweep": sweep, "field": field, "field_value": float(value), "tissue": tissue}
                        who = {"model_id": model_id, "person": f"p{person}", "data_id": "c", "protocol_hash": "s"}
                        rows.append(who | place | {"true_ratio": true, "made_ratio": float(ratio)})
    return rows


def records(data_id: str, protocol_hash: str) -> dict[str, list[Row]]:
    """What else is on record of a model: training, gates, retrieval of its text encoder, contrast fidelity."""
    run = {"run_id": RUN, "kind": "synthesis", "data_id": data_id}
    trained = {"snapshot_id": "s", "training_code": "0.1.0+abc", "seed": 7, "device": "cpu", "config": '{"width": 16}'}
    parts = [
        run | trained | {"status": "started", "n_parameters": 1234, "n_steps": 0, "seconds": 0.0},
        run | trained | {"status": "finished", "n_parameters": 1234, "n_steps": 300, "seconds": 90.0},
    ]
    times = [{"occurred_at": WHEN.replace(minute=minute)} for minute in (4, 9)]
    version = {"model_id": MODEL, "text_encoder_id": ENCODER, "path": f"models/{MODEL}", "n_parameters": 1234}
    retrieval = {"model_id": ENCODER, "data_id": data_id, "protocol_hash": "p", "split": "test_internal"}
    found = {"n_queries": 40, "n_people": 40, "metric": "recall_at_1", "value": 0.75, "low": 0.6, "high": 0.87}
    gates = {
        "better_than_identity": ("passed", 7.12, 0.0, "brain PSNR +7.40 dB [7.12, 7.66] against the source as it is"),
        "prompt_steers": ("failed", 0.008, 0.01, "another contrast in the prompt changes the brain by 1.2 %"),
    }
    rows = {
        "core.training_run": [part | time for part, time in zip(parts, times, strict=True)],
        "core.training_metric": [
            run | {"step": step, "split": split, "metric": "loss", "value": 1 / (1 + step)}
            for step in range(0, 300, 30)
            for split in ("train", "val")
        ],
        "core.model_version": [run | version | {"size_bytes": 5000, "is_simulated": True}],
        "core.retrieval_score": [
            retrieval | found | {"task": "image_to_contrast", "n_candidates": 4, "chance": 0.25},
        ],
        "core.gate_verdict": [
            {
                "model_id": MODEL,
                "data_id": data_id,
                "protocol_hash": protocol_hash,
                "gate": gate,
                "verdict": said,
                "passed": said == "passed",
                "value": value,
                "threshold": threshold,
                "detail": detail,
            }
            for gate, (said, value, threshold, detail) in gates.items()
        ],
        "core.fidelity_score": fidelity_rows(),
    }
    for row in rows["core.training_metric"]:
        row.pop("data_id")
    return {table: each for table, each in rows.items() if table in TABLES}
