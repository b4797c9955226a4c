"""`tumsyn ingest` reads what changed, publishes it, and keeps the previous catalogue after a failure."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from pipelines.runtime import launch
from tests.conftest import write_bids, write_image
from tests.pipelines.conftest import Command
from warehouse.catalog import snapshots
from warehouse.centers.registry import RegisteredCenter
from warehouse.lake.home import Home


def paths(tumsyn: Command) -> list[str]:
    result = tumsyn("sql", "SELECT path FROM core.image ORDER BY path", "--format", "json")
    assert result.exit_code == 0, result.output
    return [row["path"] for row in json.loads(result.stdout)]


def runs(home: Home) -> list[dg.DagsterRun]:
    with launch.opened(home) as instance:
        return list(instance.get_runs())


@pytest.mark.slow
def test_an_ingest_publishes_what_the_folder_holds(tumsyn: Command, tiny: RegisteredCenter) -> None:
    result = tumsyn("ingest")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "tiny: 4 images, 2 participants, 1 rejections" in result.stderr
    assert "published snapshot" in result.stderr
    assert len(paths(tumsyn)) == 4


def test_an_unchanged_home_launches_nothing_and_says_so(asking: Command, filled: Home) -> None:
    before = [run.run_id for run in runs(filled)]
    assert before
    result = asking("ingest")
    assert result.exit_code == 0
    assert "tiny: unchanged" in result.stderr
    assert "up to date" in result.stderr
    assert [run.run_id for run in runs(filled)] == before


@pytest.mark.slow
def test_an_unchanged_home_does_not_even_import_dagster(filled: Home) -> None:
    code = (
        "import sys; from pathlib import Path; from warehouse.lake.home import Home; "
        "from pipelines.commands.ingest import ingest_centers; "
        f"ingest_centers(Home(Path({str(filled.root)!r})), []); print('dagster' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_force_reads_an_unchanged_centre_again(tumsyn: Command, home: Home, tiny: RegisteredCenter) -> None:
    tumsyn("ingest")
    assert tumsyn("ingest", "--force").exit_code == 0
    assert sorted(run.job_name for run in runs(home)) == ["ingest", "ingest", "publish", "publish"]


@pytest.mark.slow
def test_a_new_file_is_in_the_next_catalogue_and_the_old_snapshot_can_still_be_asked(
    tumsyn: Command, home: Home, tiny: RegisteredCenter
) -> None:
    tumsyn("ingest")
    first = snapshots.in_force(home)
    write_image(tiny.root / "sub-03" / "anat" / "sub-03_T1w.nii.gz")
    tumsyn("ingest")
    assert "sub-03/anat/sub-03_T1w.nii.gz" in paths(tumsyn)
    count = ["sql", "SELECT count(*) AS n FROM core.image", "--format", "json"]
    assert json.loads(tumsyn(*count, "--snapshot", str(first)).stdout) == [{"n": 4}]
    assert json.loads(tumsyn(*count).stdout) == [{"n": 5}]


@pytest.mark.slow
def test_one_of_several_centres_can_be_named(tumsyn: Command, tiny: RegisteredCenter, tmp_path: Path) -> None:
    other = write_bids(tmp_path / "other")
    tumsyn("centers", "add", "other", "--layout", "bids", "--root", str(other))
    result = tumsyn("ingest", "other")
    assert result.exit_code == 0
    assert "other: 4 images" in result.stderr
    assert "tiny" not in result.stderr


def test_a_centre_that_is_not_registered_stops_before_anything_runs(tumsyn: Command, tiny: RegisteredCenter) -> None:
    result = tumsyn("ingest", "tiny", "mars")
    assert result.exit_code == 1
    assert "mars" in result.stderr
    assert "4 images" not in result.stderr


@pytest.mark.slow
def test_a_folder_that_is_gone_fails_its_centre_alone_and_keeps_what_it_had(
    tumsyn: Command, tiny: RegisteredCenter, tmp_path: Path
) -> None:
    other = write_bids(tmp_path / "other")
    tumsyn("centers", "add", "other", "--layout", "bids", "--root", str(other))
    tumsyn("ingest")
    shutil.rmtree(other)
    write_image(tiny.root / "sub-03" / "anat" / "sub-03_T1w.nii.gz")
    result = tumsyn("ingest")
    assert result.exit_code == 1
    assert "other: failed" in result.stderr
    assert "is not a folder" in result.stderr
    assert len(paths(tumsyn)) == 5 + 4


@pytest.mark.slow
def test_a_publication_that_fails_leaves_the_catalogue_before(
    tumsyn: Command, home: Home, tiny: RegisteredCenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warehouse.errors import PublishError

    def refuse(*_: object, **__: object) -> None:
        raise PublishError("core.image: rule 'x' is broken", "correct it")

    tumsyn("ingest")
    before = snapshots.in_force(home)
    write_image(tiny.root / "sub-03" / "anat" / "sub-03_T1w.nii.gz")
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.assets.catalogue.publish", refuse)
        result = tumsyn("ingest")
    assert result.exit_code == 1
    assert "rule 'x' is broken" in result.stderr
    assert snapshots.in_force(home) == before
    assert tumsyn("ingest").exit_code == 0  # nothing is stale, and yet it is published
    assert snapshots.in_force(home) != before
