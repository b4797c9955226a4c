"""Work that processes of the pool do in tests: importable by name, as real work is."""

from __future__ import annotations

import os
import time
from pathlib import Path

from warehouse.errors import HarmonizeError
from warehouse.harmonize.rows import HarmonizedRows, rejection
from warehouse.harmonize.tasks import SessionTask

BAD = "02_FLAIR"


def double(number: int) -> int:
    """Double; 13 kills its process, 7 raises."""
    if number == 13:
        os._exit(1)
    if number == 7:
        raise ArithmeticError("seven")
    return 2 * number


def threads(_: int) -> str:
    return os.environ["OMP_NUM_THREADS"] + os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"]


def touch_and_sleep(path: str) -> None:
    Path(path).write_text(str(os.getpid()))
    time.sleep(60)


def made_of(task: SessionTask) -> HarmonizedRows:
    """Make plausible rows of every scan; what was done is remembered in the home, as stores are."""
    made = HarmonizedRows()
    for scan in task.scans:
        store = task.home.volumes / task.recipe.recipe_id / f"{scan.image_id}-{'0' * 16}" / "session.zarr"
        if task.force or not store.exists():
            made.n_done += 1
            store.mkdir(parents=True, exist_ok=True)
        keys = {"image_id": scan.image_id, "recipe_id": task.recipe.recipe_id, "center_id": task.center_id}
        made.volumes.append(keys | volume(task, store.relative_to(task.home.root).as_posix()))
        made.quality.append(keys | {"measure": "cjv", "value": 0.4, "reason": None})
    return made


def volume(task: SessionTask, path: str) -> dict[str, object]:
    return {
        "form": "session",
        "session_id": task.session_id,
        "recipe": task.recipe.name,
        "is_draft": task.recipe.is_draft,
        "path": path,
        "shape": [2, 2, 2],
        "voxel_size_mm": [1.0, 1.0, 1.0],
        "affine": [float(row == column) for row in range(4) for column in range(4)],
        "is_reference": True,
        "mask_source": "own",
        "mask_volume_ml": 1300.0,
        "intensity_low": 0.0,
        "intensity_high": 100.0,
        "source_sha256": "0" * 64,
        "voxels_sha256": "1" * 64,
        "size_bytes": 1,
        "seconds": 0.1,
        "verdict": "pass",
        "verdict_reason": None,
    }


def killed_by_one(task: SessionTask) -> HarmonizedRows:
    if any(BAD in scan.path.name for scan in task.scans):
        os._exit(9)
    return made_of(task)


def broken_rows(task: SessionTask) -> HarmonizedRows:
    made = made_of(task)
    for row in made.volumes[:1]:
        row["mask_volume_ml"] = -1.0
    return made


def refused(task: SessionTask) -> HarmonizedRows:
    made = HarmonizedRows()
    for scan in task.scans:
        error = HarmonizeError("mask", "no_brain", "none was found", "look at it")
        made.rejections.append(rejection(scan.image_id, task.center_id, task.recipe, error))
    return made
