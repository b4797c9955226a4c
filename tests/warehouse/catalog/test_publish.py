"""Publishing: what enters a snapshot, what is refused, what survives a kill, what is kept."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from warehouse.catalog import snapshots
from warehouse.catalog.publish import publish
from warehouse.catalog.query import Catalogue
from warehouse.errors import CatalogueError, PublishError
from warehouse.lake import parts as lake
from warehouse.lake.home import Home
from warehouse.provenance import git_commit, release
from warehouse.tables import TABLES

ROOT = Path(__file__).parents[3]


def ask(path: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def leftovers(home: Home) -> list[str]:
    """Everything in the folder of catalogues that is neither snapshot, pointer nor lock."""
    files = [path for path in home.warehouse.rglob("*") if path.suffix not in (".duckdb", ".lock")]
    return sorted(path.name for path in files if path != home.snapshots)


# ---------------------------------------------------------------- what a snapshot holds


@pytest.mark.slow
def test_a_snapshot_holds_every_table_with_its_comments(small: Any) -> None:
    published = small.publish()
    assert set(published.n_rows) == set(TABLES)
    assert published.n_rows["core.image"] == 13
    assert published.n_rows["core.rejection"] == 1
    comments = dict(ask(published.path, "SELECT schema_name || '.' || table_name, comment FROM duckdb_tables()"))
    assert comments == {table.name: table.grain for table in TABLES.values()}
    without = "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal AND comment IS NULL"
    assert ask(published.path, without) == []


@pytest.mark.slow
def test_a_snapshot_is_read_only_and_the_pointer_is_relative(small: Any) -> None:
    published = small.publish()
    assert published.path.stat().st_mode & 0o777 == 0o444
    assert small.home.pointer.readlink().as_posix() == f"snapshots/{published.snapshot_id}.duckdb"
    assert leftovers(small.home) == []


@pytest.mark.slow
def test_a_snapshot_says_what_it_was_built_from(small: Any) -> None:
    first = small.publish()
    query = "SELECT snapshot_id, parent_id, data_id, release, run_id FROM meta.snapshot"
    assert ask(first.path, query) == [(first.snapshot_id, None, first.data_id, release(), None)]
    parts = {part.path for manifest in lake.manifests(small.home).values() for part in manifest.parts}
    assert {part for (part,) in ask(first.path, "SELECT part FROM meta.build")} == parts
    small.participant("alpha", "04", has_images=False)
    small.commit()
    second = publish(small.home, run_id="a-run")
    assert ask(second.path, "SELECT parent_id, run_id FROM meta.snapshot") == [(first.snapshot_id, "a-run")]


@pytest.mark.slow
def test_an_empty_home_publishes_empty_tables(tmp_path: Path) -> None:
    published = publish(Home(tmp_path))
    assert published.n_rows["core.image"] == 0
    assert published.changed


@pytest.mark.slow
def test_publishing_again_without_a_change_does_nothing(small: Any) -> None:
    first = small.publish()
    before = first.path.stat()
    second = publish(small.home)
    assert (second.snapshot_id, second.data_id, second.changed) == (first.snapshot_id, first.data_id, False)
    assert second.n_rows == first.n_rows
    assert (second.path.stat().st_ino, second.path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.slow
def test_a_dropped_centre_is_gone_from_the_next_snapshot_and_its_return_finds_the_old_one(small: Any) -> None:
    first = small.publish()
    lake.drop_center(small.home, "gamma")
    second = publish(small.home)
    assert ask(second.path, "SELECT count(*) FROM core.image WHERE center_id = 'gamma'") == [(0,)]
    third = small.publish()
    assert third.changed
    assert third.snapshot_id == first.snapshot_id
    assert snapshots.in_force(small.home) == first.snapshot_id


# ---------------------------------------------------------------- what is refused


def broken_row(lab: Any, table: str, **values: object) -> None:
    lab.rows["alpha"][table][0] |= values


BREAKS: list[Any] = [
    pytest.param(
        lambda lab: broken_row(lab, "core.acquisition", echo_time_s=2.98),
        ["core.acquisition", "echo_time_s", "2.98", "alpha"],
        id="an echo time left in milliseconds",
    ),
    pytest.param(
        lambda lab: broken_row(lab, "core.acquisition", echo_time_s=0.9, repetition_time_s=0.5),
        ["core.acquisition", "TE is shorter than TR"],
        id="an echo time longer than the repetition time",
    ),
    pytest.param(
        lambda lab: lab.rows["alpha"]["core.image"].append(lab.rows["alpha"]["core.image"][0]),
        ["core.image", "key is unique", "n=2"],
        id="an image twice",
    ),
    pytest.param(
        lambda lab: lab.rows["alpha"]["core.acquisition"].pop(),
        ["image_without_acquisition"],
        id="an image without acquisition",
    ),
    pytest.param(
        lambda lab: lab.rows["alpha"]["core.image"].pop(),
        ["acquisition_without_image"],
        id="an acquisition without image",
    ),
    pytest.param(
        lambda lab: lab.rows["alpha"]["core.session"].pop(), ["image_without_session"], id="an image without visit"
    ),
    pytest.param(
        lambda lab: lab.rows["alpha"]["core.participant"].pop(),
        ["session_without_participant"],
        id="a visit without participant",
    ),
    pytest.param(
        lambda lab: lab.rows["alpha"]["core.center"].pop(), ["participant_without_center"], id="no row for the centre"
    ),
    pytest.param(
        lambda lab: lab.rows["alpha"]["raw.file"].pop(), ["image_without_file"], id="an image that is no listed file"
    ),
    pytest.param(
        lambda lab: lab.rows["gamma"]["core.rejection"].pop(),
        ["file_without_outcome", "sub-X_T1w.nii.gz"],
        id="a file that ends as nothing",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("break_it", "said"), BREAKS)
def test_a_row_that_breaks_a_rule_stops_publication_and_is_named(
    small: Any, break_it: Callable[[Any], None], said: list[str]
) -> None:
    before = small.publish()
    break_it(small)
    small.commit()
    with pytest.raises(PublishError) as refused:
        publish(small.home)
    assert all(word in str(refused.value) for word in said), str(refused.value)
    assert snapshots.in_force(small.home) == before.snapshot_id
    assert snapshots.existing(small.home) == [before.snapshot_id]
    assert leftovers(small.home) == []


@pytest.mark.slow
def test_a_part_that_is_damaged_is_named(small: Any) -> None:
    small.commit()
    part = next(p for p in lake.manifests(small.home)["alpha"].parts if p.table == "core.image")
    (small.home.lake / part.path).write_bytes(b"PAR1 not really")
    with pytest.raises(PublishError, match=r"alpha.*core\.image"):
        publish(small.home)
    assert small.publish().changed, "committing again replaces it"


def test_parts_of_another_version_of_the_tables_ask_for_a_new_ingest(small: Any) -> None:
    import pyarrow.parquet as pq

    small.commit()
    part = next(p for p in lake.manifests(small.home)["alpha"].parts if p.table == "core.center")
    path = small.home.lake / part.path
    table = pq.ParquetFile(path).read()
    pq.write_table(table.append_column("mascot", table["title"]), path)
    with pytest.raises(PublishError, match="another version of the tables"):
        publish(small.home)


# ---------------------------------------------------------------- data_id


RELEVANT: list[Any] = [
    pytest.param(lambda lab: broken_row(lab, "core.acquisition", echo_time_s=0.003), id="an echo time"),
    pytest.param(lambda lab: broken_row(lab, "core.session", age_years=13.0), id="an age"),
    pytest.param(lambda lab: broken_row(lab, "core.participant", person_id="someone"), id="who it is"),
    pytest.param(lambda lab: broken_row(lab, "core.participant", person_id="walker"), id="the split"),
    pytest.param(lambda lab: broken_row(lab, "core.image", content="absent"), id="an image's content"),
    pytest.param(lambda lab: broken_row(lab, "core.image", content_hash="MD5:1"), id="the hash of a content"),
    pytest.param(lambda lab: broken_row(lab, "core.image", affine=[1.0] * 16), id="an affine"),
    pytest.param(lambda lab: lab.image("alpha", "03", "PDw"), id="a new eligible image"),
    pytest.param(lambda lab: broken_row(lab, "core.center", role="external"), id="the role of a centre"),
]
IRRELEVANT: list[Any] = [
    pytest.param(lambda lab: lab.image("alpha", "01", None), id="a new image that is not eligible"),
    pytest.param(lambda lab: lab.rejection("gamma", "sub-Y.nii.gz"), id="a rejection"),
    pytest.param(lambda lab: broken_row(lab, "core.center", root="/elsewhere"), id="where a dataset lies"),
    pytest.param(lambda lab: broken_row(lab, "core.center", title="Another"), id="the title of a dataset"),
    pytest.param(lambda lab: broken_row(lab, "raw.file", mtime_ns=99), id="when a file was touched"),
    pytest.param(
        lambda lab: lake.append_events(
            lab.home, "meta.snapshot_pin", [{"snapshot_id": "s", "referrer": "me", "action": "pin"}]
        ),
        id="an event",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("change", RELEVANT)
def test_what_a_training_depends_on_changes_both_identities(small: Any, change: Callable[[Any], object]) -> None:
    before = small.publish()
    change(small)
    after = small.publish()
    assert after.data_id != before.data_id
    assert after.snapshot_id != before.snapshot_id


@pytest.mark.slow
@pytest.mark.parametrize("change", IRRELEVANT)
def test_what_no_training_depends_on_changes_the_snapshot_alone(small: Any, change: Callable[[Any], object]) -> None:
    before = small.publish()
    change(small)
    after = small.publish()
    assert after.data_id == before.data_id
    assert after.snapshot_id != before.snapshot_id


# ---------------------------------------------------------------- events


@pytest.mark.slow
def test_events_are_published_and_what_was_said_first_stands(small: Any) -> None:
    event = {"event_id": "e1", "snapshot_id": "s", "referrer": "first", "action": "pin"}
    lake.append_events(small.home, "meta.snapshot_pin", [event])
    lake.append_events(small.home, "meta.snapshot_pin", [event | {"referrer": "second"}])
    published = small.publish()
    assert ask(published.path, "SELECT event_id, referrer FROM meta.snapshot_pin") == [("e1", "first")]
    assert ask(published.path, "SELECT count(*) FROM meta.build WHERE center_id IS NULL") == [(2,)]


# ---------------------------------------------------------------- kill -9

KILLED = """
import os, signal, sys
from pathlib import Path
from warehouse.lake import atomic
from warehouse.catalog import build
from warehouse.catalog import publish
from warehouse.catalog import snapshots
from warehouse.lake.home import Home

def die(*arguments, **names):
    os.kill(os.getpid(), signal.SIGKILL)

module, name = sys.argv[2].split(":")
setattr({"atomic": atomic, "build": build, "publish": publish, "snapshots": snapshots, "os": os}[module], name, die)
publish.publish(Home(Path(sys.argv[1])))
"""


def in_process(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "is_in_force"),
    [
        pytest.param("publish:build", False, id="before anything is loaded"),
        pytest.param("build:_load_events", False, id="when the parts are loaded"),
        pytest.param("build:_check_across", False, id="while checking"),
        pytest.param("atomic:move", False, id="when it is built and not yet renamed"),
        pytest.param("publish:_point_at", False, id="when it is renamed and the pointer not yet moved"),
        pytest.param("os:replace", False, id="at the first rename"),
        pytest.param("snapshots:retire", True, id="when the pointer is moved and nothing retired"),
    ],
)
def test_a_publisher_that_is_killed_leaves_a_whole_snapshot_in_force(small: Any, place: str, is_in_force: bool) -> None:
    before = small.publish()
    small.participant("alpha", "04", has_images=False)
    small.commit()
    done = in_process(KILLED, str(small.home.root), place)
    assert done.returncode == -signal.SIGKILL, done.stderr
    current = Catalogue(small.home)
    assert (current.snapshot_id != before.snapshot_id) == is_in_force
    assert ask(current.path, "SELECT count(*) FROM core.participant") == [(6 + is_in_force,)]
    after = publish(small.home)
    assert after.changed == (not is_in_force)
    assert after.n_rows["core.participant"] == 7
    assert leftovers(small.home) == []
    assert set(snapshots.existing(small.home)) == {before.snapshot_id, after.snapshot_id}


@pytest.mark.slow
def test_publishers_killed_at_random_moments_never_leave_a_torn_catalogue(small: Any) -> None:
    small.publish()
    script = "import sys; from pathlib import Path; from warehouse.lake.home import Home; "
    script += "from warehouse.catalog.publish import publish"
    script += "; publish(Home(Path(sys.argv[1])))"
    for number in range(12):
        small.participant("alpha", f"1{number:02d}", has_images=False)
        small.commit()
        process = subprocess.Popen([sys.executable, "-c", script, str(small.home.root)], cwd=ROOT)
        time.sleep(0.3 + 0.1 * number)
        process.kill()
        process.wait()
        path = Catalogue(small.home).path
        [(n_rows, n_split)] = ask(
            path, "SELECT (SELECT count(*) FROM core.participant), (SELECT count(*) FROM out.split)"
        )
        assert n_rows == n_split
    assert publish(small.home).n_rows["core.participant"] == 18
    assert leftovers(small.home) == []


@pytest.mark.slow
def test_publishers_wait_for_each_other_and_agree(small: Any) -> None:
    small.commit()
    script = "import sys; from pathlib import Path; from warehouse.lake.home import Home; "
    script += "from warehouse.catalog.publish import publish"
    script += "; print(publish(Home(Path(sys.argv[1]))).snapshot_id)"
    command = [sys.executable, "-c", script, str(small.home.root)]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0].strip() for process in both]
    assert said[0] == said[1] == snapshots.in_force(small.home)


# ---------------------------------------------------------------- retention


def publish_more(lab: Any, count: int, keep: int = 10) -> list[str]:
    found = []
    for _ in range(count):
        lab.participant("alpha", f"m{len(lab.rows['alpha']['core.participant'])}", has_images=False)
        lab.commit()
        found.append(publish(lab.home, keep=keep).snapshot_id)
    return found


@pytest.mark.slow
def test_the_newest_and_the_pinned_snapshots_are_kept(small: Any) -> None:
    first = small.publish().snapshot_id
    snapshots.pin(small.home, first, "model:1")
    snapshots.pin(small.home, first, "model:2")
    made = publish_more(small, 3, keep=2)
    assert set(snapshots.existing(small.home)) == {first, *made[-2:]}
    snapshots.unpin(small.home, first, "model:1")
    publish_more(small, 1, keep=2)
    assert first in snapshots.existing(small.home)
    snapshots.unpin(small.home, first, "model:2")
    publish_more(small, 1, keep=2)
    assert first not in snapshots.existing(small.home)


@pytest.mark.slow
def test_the_snapshot_in_force_is_kept_although_it_is_old(small: Any) -> None:
    first = small.publish().snapshot_id
    publish_more(small, 2)
    small.home.pointer.unlink()
    small.home.pointer.symlink_to(f"snapshots/{first}.duckdb")
    snapshots.retire(small.home, keep=1)
    assert first in snapshots.existing(small.home)
    assert len(snapshots.existing(small.home)) == 2


@pytest.mark.slow
def test_a_snapshot_that_does_not_exist_cannot_be_pinned(small: Any) -> None:
    with pytest.raises(CatalogueError, match="no snapshot nothing"):
        snapshots.pin(small.home, "nothing", "model:1")
    published = small.publish()
    with pytest.raises(CatalogueError, match="not pinned by 'model:1'"):
        snapshots.unpin(small.home, published.snapshot_id, "model:1")


# ---------------------------------------------------------------- the code's version


def test_the_commit_is_read_from_a_repository_of_any_kind(tmp_path: Path) -> None:
    assert git_commit(tmp_path) is None
    git = tmp_path / ".git"
    (git / "refs/heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text("# pack-refs\naaaa refs/heads/main\n")
    assert git_commit(tmp_path) == "aaaa"
    (git / "refs/heads/main").write_text("bbbb\n")
    assert git_commit(tmp_path) == "bbbb"
    linked = tmp_path / "linked"
    (git / "worktrees/linked").mkdir(parents=True)
    (git / "worktrees/linked/HEAD").write_text("ref: refs/heads/main\n")
    (git / "worktrees/linked/commondir").write_text("../..\n")
    linked.mkdir()
    (linked / ".git").write_text(f"gitdir: {git / 'worktrees/linked'}\n")
    assert git_commit(linked) == "bbbb"
    (git / "HEAD").write_text("cccc\n")
    assert git_commit(tmp_path) == "cccc"
