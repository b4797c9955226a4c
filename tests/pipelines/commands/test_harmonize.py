"""The command, the asset and the batches harmonise alike; volumes are exported, and unneeded ones removed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import nibabel as nib
import numpy as np
import pytest

from pipelines.assets.tables import asset_key
from pipelines.definitions import build_defs
from pipelines.runtime.resources import HomeResource, sync_partitions
from tests.pipelines.conftest import Command
from tests.warehouse.harmonize import works
from warehouse.centers.registry import RegisteredCenter
from warehouse.harmonize import tasks
from warehouse.harmonize.center import Harmonized
from warehouse.harmonize.recipe import load_recipe
from warehouse.ingest import ingest_center
from warehouse.lake import parts
from warehouse.lake.home import Home
from warehouse.quality.mosaics import pictures_folder
from warehouse.tables import HARMONIZED, TABLES
from warehouse.volumes import Payload, write

pytestmark = pytest.mark.slow  # each runs whole jobs

VOLUME = asset_key(TABLES["core.volume"])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scans are done by `works`."""
    monkeypatch.setattr(tasks, "work_session", works.made_of)


@pytest.fixture
def ingested(tumsyn: Command, tiny: RegisteredCenter) -> Command:
    assert tumsyn("ingest").exit_code == 0
    return tumsyn


@pytest.fixture
def instance(home: Home, tiny: RegisteredCenter) -> Iterator[dg.DagsterInstance]:
    ingest_center(home, tiny)
    with dg.DagsterInstance.ephemeral() as instance:
        sync_partitions(instance, home)
        yield instance


def run(instance: dg.DagsterInstance, home: Home, job: str, **config: object) -> dg.ExecuteInProcessResult:
    definitions = build_defs(resources={"home": HomeResource(root=str(home.root))})
    op = "center_volumes" if job == "harmonize" else "plan_batches"
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance, partition_key="tiny", run_config={"ops": {op: {"config": config}}}, raise_on_error=False
    )


def metadata_of(result: dg.ExecuteInProcessResult, instance: dg.DagsterInstance) -> dict[str, object]:
    event = instance.get_latest_materialization_event(VOLUME)
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.partition == "tiny"
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def asked(tumsyn: Command, query: str) -> list[dict[str, object]]:
    return list(json.loads(tumsyn("sql", query, "--format", "json").stdout))


def test_the_command_harmonises_and_publishes_and_a_second_run_does_nothing(ingested: Command) -> None:
    first = ingested("harmonize", "--workers", "1")
    assert first.exit_code == 0, first.stderr
    assert "tiny: 4 scans harmonised, 0 rejected" in first.stderr
    assert "published snapshot" in first.stderr
    assert asked(ingested, "SELECT count(*) AS n FROM core.volume WHERE recipe = 'standard'") == [{"n": 4}]
    second = ingested("harmonize")
    assert second.stderr.splitlines() == ["tiny: unchanged", "the volumes are up to date"]


def test_a_recipe_of_ones_own_is_done_beside_the_shipped_one(ingested: Command, tmp_path: Path) -> None:
    ingested("harmonize", "tiny", "--workers", "1")
    own = tmp_path / "mine.yaml"
    own.write_text("name: mine\ngrid_mm: 2\n")
    assert ingested("harmonize", "tiny", "--recipe", str(own), "--workers", "1").exit_code == 0
    listed = json.loads(ingested("volumes", "list", "--format", "json").stdout)
    assert [(row["recipe"], row["n_images"]) for row in listed] == [("mine", 4), ("standard", 4)]


def test_rejected_scans_are_counted_and_are_no_failure(ingested: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "work_session", works.refused)
    result = ingested("harmonize", "--workers", "1")
    assert result.exit_code == 0
    assert "4 rejected (core.volume_rejection has the reasons)" in result.stderr


def test_a_centre_that_was_not_ingested_fails_with_what_to_do(tumsyn: Command, tiny: RegisteredCenter) -> None:
    result = tumsyn("harmonize")
    assert result.exit_code == 1
    assert "tumsyn ingest tiny" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_asset_reports_counts_rate_and_page_and_every_table_is_checked(
    instance: dg.DagsterInstance, home: Home
) -> None:
    result = run(instance, home, "harmonize", workers=1)
    assert result.success
    metadata = metadata_of(result, instance)
    assert (metadata["n_scans"], metadata["n_done"], metadata["n_rejected"]) == (4, 4, 0)
    assert metadata["scans_per_hour"] > 0  # type: ignore[operator]
    assert Path(str(metadata["quality_page"])).is_file()
    evaluations = result.get_asset_check_evaluations()
    assert {check.asset_key for check in evaluations} == {asset_key(table) for table in HARMONIZED}
    assert all(check.passed and check.blocking for check in evaluations)


def test_batches_give_what_the_asset_gives(instance: dg.DagsterInstance, home: Home) -> None:
    assert run(instance, home, "harmonize", workers=1).success
    before = parts.read_manifest(home, "tiny", "harmonize")
    result = run(instance, home, "harmonize_batches", batch_sessions=1)
    assert result.success
    steps = {event.step_key for event in result.all_events if event.is_step_success}
    assert {"harmonize_batch[batch_0]", "harmonize_batch[batch_1]", "commit_batches"} <= steps
    assert parts.read_manifest(home, "tiny", "harmonize") == before
    assert metadata_of(result, instance)["n_reused"] == 4


def test_a_mosaic_is_shown_inline(instance: dg.DagsterInstance, home: Home) -> None:
    from PIL import Image

    from pipelines.assets.volumes import materializations

    run(instance, home, "harmonize", workers=1)
    manifest = parts.read_manifest(home, "tiny", "harmonize")
    assert manifest is not None
    path = pictures_folder(home, "tiny", load_recipe("standard")) / "sessions" / "tiny_sub-01-0.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (900, 300)).save(path)
    done = Harmonized("tiny", 4, 4, 0, 0, 1.0, manifest, True, (path,))
    metadata = {key: values for key, _, values in materializations(home, done)}[VOLUME]
    assert metadata["mosaics"].value.startswith("![tiny_sub-01-0](data:image/jpeg;base64,")


@pytest.fixture
def stored(ingested: Command, home: Home) -> str:
    """One real store in the place of what `works` pretends, and its image."""
    assert ingested("harmonize", "--workers", "1").exit_code == 0
    [row] = asked(ingested, "SELECT image_id, path FROM core.volume ORDER BY path LIMIT 1")
    attributes = {"image_id": row["image_id"], "center_id": "tiny", "participant_id": "01", "form": "session"}
    attributes |= {"contrast": "T1w", "entities": {"sub": "01"}, "recipe_id": "x", "session_id": "tiny/sub-01"}
    path = home.root / str(row["path"])
    path.rmdir()
    voxels = np.zeros((4, 5, 6), np.float16)
    write(path, Payload(voxels, np.eye(4), np.ones((4, 5, 6), np.uint8), attributes, b""), name="test")
    return str(row["image_id"])


def test_a_volume_is_exported_and_not_overwritten_unasked(ingested: Command, stored: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = ingested("export", stored, "--out", str(out))
    assert result.exit_code == 0, result.stderr
    [image] = result.stdout.split()
    assert nib.load(image).shape == (4, 5, 6)
    assert ingested("export", stored, "--out", str(out)).exit_code == 1
    assert ingested("export", stored, "--out", str(out), "--force").exit_code == 0


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        pytest.param(["export", "--out", "x"], 2, "give either", id="nothing named"),
        pytest.param(["export", "a", "--center", "tiny", "--out", "x"], 2, "give either", id="both named"),
        pytest.param(["export", "abc", "--form", "flat", "--out", "x"], 2, "flat", id="unknown form"),
        pytest.param(["export", "0" * 16, "--out", "x"], 1, "tumsyn harmonize", id="no such volume"),
        pytest.param(["export", "--center", "tiny", "--out", "x"], 1, "tumsyn harmonize tiny", id="none of the centre"),
        pytest.param(["harmonize", "mars"], 1, "centers add", id="no such centre"),
        pytest.param(["harmonize", "--recipe", "soup"], 1, "draft, standard", id="no such recipe"),
        pytest.param(["harmonize", "--workers", "0"], 2, "workers", id="no workers"),
    ],
)
def test_a_wrong_request_is_refused_with_the_remedy(asking: Command, words: list[str], status: int, text: str) -> None:
    result = asking(*words)
    assert result.exit_code == status
    assert text in result.stderr
    assert "Traceback" not in result.stderr


def test_garbage_is_listed_and_goes_only_when_asked(ingested: Command, stored: str, home: Home) -> None:
    import os

    orphan = home.volumes / "0123456789abcdef" / "image-key" / "session.zarr"
    write(orphan, Payload(np.zeros((2, 2, 2), np.float16), np.eye(4), None, {}, b""), name="orphan")
    for path in (orphan, *orphan.rglob("*")):
        os.utime(path, (1, 1))
    listed = ingested("volumes", "gc")
    assert listed.exit_code == 0
    assert listed.stdout.split() == [orphan.relative_to(home.root).as_posix()]
    assert "--yes" in listed.stderr
    assert orphan.exists()
    assert ingested("volumes", "gc", "--yes").exit_code == 0
    assert not orphan.exists()
    assert ingested("volumes", "gc").stdout == ""
    assert len(list(home.volumes.glob("*/*/session.zarr"))) == 4
