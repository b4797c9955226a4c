from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from warehouse.errors import CenterError
from warehouse.ingest import tree
from warehouse.ingest.tree import Entry, fingerprint, walk

KEY = "MD5E-s10542931--0123456789abcdef0123456789abcdef.nii.gz"


def by_path(root: Path, **options: bool) -> dict[str, Entry]:
    return {entry.path: entry for entry in walk(root, **options)}


def test_a_file_is_listed_by_its_path_relative_to_the_root_with_its_size(tmp_path: Path) -> None:
    (tmp_path / "sub-1").mkdir()
    (tmp_path / "sub-1" / "a.json").write_bytes(b"{}")
    assert by_path(tmp_path)["sub-1/a.json"].size_bytes == 2


def test_version_control_is_left_out(tmp_path: Path) -> None:
    for folder in (".git", ".datalad"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x").touch()
    (tmp_path / ".gitattributes").touch()
    assert list(by_path(tmp_path)) == [".gitattributes"]


def test_a_git_annex_link_without_content_is_absent_with_size_and_hash_from_its_key(tmp_path: Path) -> None:
    (tmp_path / "T1w.nii.gz").symlink_to(f".git/annex/objects/ab/cd/{KEY}/{KEY}")
    entry = by_path(tmp_path)["T1w.nii.gz"]
    assert (entry.content, entry.size_bytes, entry.refusal) == ("absent", 10542931, None)
    assert entry.content_hash == "MD5:0123456789abcdef0123456789abcdef"


def test_a_git_annex_link_whose_content_was_fetched_is_present(tmp_path: Path) -> None:
    target = tmp_path / ".git/annex/objects/ab/cd" / KEY / KEY
    target.parent.mkdir(parents=True)
    target.write_bytes(b"12345")
    (tmp_path / "T1w.nii.gz").symlink_to(os.path.relpath(target, tmp_path))
    entry = by_path(tmp_path)["T1w.nii.gz"]
    assert (entry.content, entry.size_bytes) == ("present", 5)


@pytest.mark.parametrize(
    ("key", "size"),
    [
        ("SHA256E-s7--00ff.nii.gz", 7),
        ("MD5-s7--00ff", 7),
        ("SHA256E-s7-m12--00ff.nii", 7),
        ("URL--http&c%%x.y%z", None),
    ],
)
def test_every_form_of_annex_key_is_understood(tmp_path: Path, key: str, size: int | None) -> None:
    (tmp_path / "a.nii.gz").symlink_to(f"../.git/annex/objects/1/2/{key}/{key}")
    entry = by_path(tmp_path)["a.nii.gz"]
    assert (entry.content, entry.size_bytes) == ("absent", size)


@pytest.mark.parametrize(
    ("target", "reason"),
    [("nowhere.nii.gz", "dangling_link"), ("loop.nii.gz", "symlink_loop"), ("/etc/hostname", "leaves_root")],
)
def test_a_link_that_cannot_be_used_is_refused_with_a_mend(tmp_path: Path, target: str, reason: str) -> None:
    (tmp_path / "loop.nii.gz").symlink_to(target)
    refusal = by_path(tmp_path)["loop.nii.gz"].refusal
    assert refusal is not None
    assert refusal.reason == reason
    assert refusal.remedy


def test_a_folder_that_links_to_one_above_it_is_refused_and_not_walked(tmp_path: Path) -> None:
    (tmp_path / "sub-1").mkdir()
    (tmp_path / "sub-1" / "again").symlink_to("..", target_is_directory=True)
    entries = by_path(tmp_path)
    assert [entry.refusal and entry.refusal.reason for entry in entries.values()] == ["symlink_loop"]


def test_a_folder_that_links_to_one_inside_is_an_alias_and_its_files_count_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").touch()
    (tmp_path / "latest").symlink_to("real", target_is_directory=True)
    entries = by_path(tmp_path)
    assert set(entries) == {"latest", "real/a.txt"}
    assert entries["latest"].alias


def test_links_that_leave_the_root_are_followed_only_where_that_was_asked_for(tmp_path: Path) -> None:
    root, store = tmp_path / "root", tmp_path / "store"
    root.mkdir()
    (store / "deep").mkdir(parents=True)
    (store / "deep" / "T1w.nii").write_bytes(b"1")
    (store / "deep" / "back").symlink_to(store, target_is_directory=True)
    (root / "linked").symlink_to(store, target_is_directory=True)
    refused = by_path(root)["linked"].refusal
    assert refused is not None
    assert refused.reason == "leaves_root"
    assert by_path(root, follow_links=True)["linked/deep/T1w.nii"].content == "present"


def test_a_name_that_is_not_utf_8_is_listed_with_its_bytes_escaped(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.json", "wb"):
        pass
    assert list(by_path(tmp_path)) == ["caf\\xe9.json"]


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket may not be long
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("s")
        refusal = by_path(tmp_path)["s"].refusal
    assert refusal is not None
    assert refusal.reason == "not_a_file"


def test_a_folder_that_cannot_be_listed_is_refused_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "open.txt").touch()
    listing = os.scandir

    def guarded(folder: str) -> object:
        if folder.endswith("closed"):
            raise PermissionError(13, "Permission denied", folder)
        return listing(folder)

    monkeypatch.setattr(tree.os, "scandir", guarded)
    entries = by_path(tmp_path)
    assert set(entries) == {"closed/", "open.txt"}
    assert entries["closed/"].refusal is not None
    assert entries["closed/"].refusal.reason == "unreadable_folder"


def test_a_root_that_is_not_there_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CenterError, match="not a folder") as caught:
        walk(tmp_path / "unmounted")
    assert "mount" in caught.value.remedy


@pytest.mark.parametrize("change", ["add", "delete", "grow", "touch"])
def test_the_fingerprint_changes_with_any_file(tmp_path: Path, change: str) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    before = fingerprint(walk(tmp_path))
    assert before == fingerprint(walk(tmp_path))
    if change == "add":
        (tmp_path / "c").touch()
    elif change == "delete":
        (tmp_path / "b").unlink()
    elif change == "grow":
        (tmp_path / "b").write_bytes(b"22")
    else:
        os.utime(tmp_path / "b", ns=(1, 1))
    assert fingerprint(walk(tmp_path)) != before
