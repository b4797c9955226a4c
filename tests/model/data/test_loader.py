"""Batches made by background processes are those that the training process would make."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model.data.catalogue import CatalogueImages
from model.data.changes import Changes
from model.data.loader import BatchLoader, n_workers
from model.data.natives import NativeScans
from model.data.patches import Patches
from tests.model.data.native_scans import same
from warehouse.lake.home import Home


@pytest.fixture(scope="module")
def patches(tiny_home: Home) -> Patches:
    images = CatalogueImages.open(tiny_home, "draft", ["train"])
    scans, changes = NativeScans(images.items, cache_bytes=1), Changes(field_dropout=0.3, gamma=0.1)
    return Patches(scans, images.pairs, seed=3, batch_size=2, side=8, voxel_mm=3.0, max_scans=2, changes=changes)


@pytest.mark.slow
def test_workers_make_the_same_batches_from_any_step_on_and_are_gone_afterwards(patches: Patches) -> None:
    with BatchLoader(patches, n_steps=8, n_workers=1) as loader:
        for step in (5, 6, 7, 2):  # a resumed training begins in the middle
            assert same(loader.batch(step), patches.batch(step))
        assert multiprocessing.active_children()
    assert not multiprocessing.active_children()


def test_without_workers_batches_are_made_when_they_are_asked_for(patches: Patches) -> None:
    with BatchLoader(patches, n_steps=8, n_workers=0) as loader:
        assert same(loader.batch(4), patches.batch(4))
        assert not multiprocessing.active_children()


@pytest.mark.slow
def test_workers_end_when_the_training_process_is_killed(tmp_path: Path, tiny_home: Home) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "import multiprocessing\n"
        "from model.data.catalogue import CatalogueImages\n"
        "from model.data.loader import BatchLoader\n"
        "from model.data.natives import NativeScans\n"
        "from model.data.patches import Patches\n"
        "from warehouse.lake.home import Home\n"
        "if __name__ == '__main__':\n"
        "    images = CatalogueImages.open(Home(Path(sys.argv[1])), 'draft', ['train'])\n"
        "    scans = NativeScans(images.items, cache_bytes=1)\n"
        "    patches = Patches(scans, images.pairs, seed=3, batch_size=2, side=8, voxel_mm=3.0)\n"
        "    loader = BatchLoader(patches, 8, 1)\n"
        "    loader.batch(0)\n"
        "    print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n"
        "    time.sleep(60)\n"
    )
    script = tmp_path / "train.py"
    script.write_text(code)
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, script, str(tiny_home.root)],
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
    ) as training:
        assert training.stdout is not None
        workers = [int(pid) for pid in training.stdout.readline().split()]
        assert workers
        training.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 15
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


@pytest.mark.parametrize(
    ("wanted", "fits", "device", "expected"),
    [
        pytest.param("auto", True, "cpu", 0, id="all in memory"),
        pytest.param("auto", False, "cpu", 1, id="larger than memory"),
        pytest.param(3, True, "cpu", 3, id="named"),
    ],
)
def test_workers_are_started_where_they_pay(wanted: object, fits: bool, device: str, expected: int) -> None:
    assert n_workers(wanted, fits_in_memory=fits, device=device) == expected  # type: ignore[arg-type]
