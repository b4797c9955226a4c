"""The fingerprint of folders changes with what is added, renamed or deleted, however the walk is cut into slices."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from warehouse.errors import CenterError
from warehouse.ingest import folders
from warehouse.ingest.folders import FolderWalk, advance


def fingerprint(root: Path, **options: bool) -> str:
    walk = advance(FolderWalk(), root, lambda: False, **options)
    assert walk.is_complete
    return walk.digest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("sub-1/ses-1/anat", "sub-1/ses-10", "sub-10/anat", "sub-2"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data" / "sub-1" / "ses-1" / "anat" / "T1w.nii").write_bytes(b"old")
    return tmp_path / "data"


def add(root: Path) -> None:
    (root / "sub-1/ses-1/anat/T2w.nii").touch()


def rename(root: Path) -> None:
    (root / "sub-2").rename(root / "sub-3")


def delete(root: Path) -> None:
    (root / "sub-1/ses-1/anat/T1w.nii").unlink()


@pytest.mark.parametrize("change", [add, rename, delete])
def test_a_changed_entry_at_any_depth_changes_the_fingerprint(root: Path, change: Callable[[Path], None]) -> None:
    before = fingerprint(root)
    assert fingerprint(root) == before
    change(root)
    assert fingerprint(root) != before


def test_content_that_changes_in_place_is_not_seen(root: Path) -> None:
    before = fingerprint(root)
    (root / "sub-1/ses-1/anat/T1w.nii").write_bytes(b"new and longer")
    assert fingerprint(root) == before


def test_slices_visit_every_folder_once_and_give_the_fingerprint_of_one_walk(root: Path) -> None:
    walk, slices = FolderWalk(), 0
    while not walk.is_complete:
        walk, slices = advance(walk, root, lambda: True), slices + 1
    n_folders = 1 + sum(len(names) for _, names, _ in os.walk(root))
    assert walk.digest == fingerprint(root)
    assert walk.n_folders == n_folders
    assert slices == n_folders + 1  # the last finds that nothing is left


def test_a_walk_continues_where_its_folder_was_deleted(root: Path) -> None:
    walk = FolderWalk()
    while walk.position != ("sub-10", "anat"):
        walk = advance(walk, root, lambda: True)
    (root / "sub-10" / "anat").rmdir()
    (root / "sub-10").rmdir()
    assert advance(walk, root, lambda: True).position == ("sub-2",)


def test_no_record_of_a_file_is_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        folders.os, "stat", lambda path, stat=os.stat, **more: asked.append(str(path)) or stat(path, **more)
    )
    fingerprint(root)
    assert not [path for path in asked if path.endswith(".nii")]
    assert len(asked) >= 7


def test_version_control_is_left_out(root: Path) -> None:
    (root / ".git").mkdir()
    before = fingerprint(root)
    (root / ".git" / "objects").mkdir()
    assert fingerprint(root) == before


def test_links_are_followed_where_the_centre_says_so_and_a_loop_ends(root: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (root / "linked").symlink_to(tmp_path / "disk")
    (root / "sub-2" / "up").symlink_to(root)
    kept, followed = fingerprint(root), fingerprint(root, follow_links=True)
    (tmp_path / "disk" / "sub-4").mkdir()
    assert fingerprint(root) == kept
    assert fingerprint(root, follow_links=True) != followed


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_cannot_be_listed_stops_nothing(root: Path) -> None:
    before = fingerprint(root)
    (root / "sub-2").chmod(0)
    try:
        assert fingerprint(root) != before
    finally:
        (root / "sub-2").chmod(0o755)


@pytest.mark.parametrize("name", ["gone", "empty"])
def test_an_absent_or_empty_root_is_an_error_that_names_the_remedy(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CenterError, match="mount"):
        advance(FolderWalk(), tmp_path / name, lambda: False)
