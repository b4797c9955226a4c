"""Lists every file under a centre's root by its file-system record; no file is opened."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from warehouse.errors import CenterError

VERSION_CONTROL = frozenset({".git", ".datalad", ".hg", ".svn"})
ANNEX = re.compile(r"(?:^|/)annex/objects/(?:.*/)?(?P<key>[^/]+)$")
ANNEX_KEY = re.compile(r"(?P<backend>[A-Z0-9_]+?)E?(?:-s(?P<size>\d+))?(?:-[mSC]\d+)*--(?P<digest>[^.]+)")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file is not used, and what to do about it."""

    stage: str
    reason: str
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Entry:
    r"""One file's record.

    Parameters
    ----------
    path : str
        Relative to the root, forward slashes; bytes that are not UTF-8 are written as ``\xNN``.
    location : str
        Where to open it.
    size_bytes : int or None
        Size of the content; from the annex key where the content is absent.
    content : {"present", "absent", "unreadable"}
    content_hash : str or None
        ``backend:digest`` of the annex key.
    """

    path: str
    location: str
    size_bytes: int | None
    mtime_ns: int
    ctime_ns: int
    link_target: str | None = None
    content: str = "present"
    content_hash: str | None = None
    refusal: Refusal | None = None
    alias: bool = False

    @property
    def signature(self) -> tuple[object, ...]:
        """Return a value that changes when the file does."""
        return (self.size_bytes, self.mtime_ns, self.ctime_ns, self.link_target, self.content)


def walk(root: Path, follow_links: bool = False) -> list[Entry]:
    """List every file under a root, sorted by path.

    Folders of version control (`.git`, `.datalad`, …) are left out, because they hold copies of the content.

    Parameters
    ----------
    root : Path
    follow_links : bool
        Whether links that leave the root are followed; otherwise they become refusals.

    Raises
    ------
    CenterError
        When the root is not a folder that can be listed.
    """
    if not root.is_dir():
        raise CenterError(f"root {root} is not a folder", "mount it, or register the centre again with --root")
    top = os.path.realpath(root)
    try:
        entries = list(_folder(top, "", top, follow_links, {_identity(os.stat(top))}))
    except PermissionError as error:
        raise CenterError(f"root {root} cannot be listed: {error}", "give this user read permission") from error
    return sorted(entries, key=lambda entry: entry.path)


def fingerprint(entries: list[Entry]) -> str:
    """Return a hash that changes when any file is added, changed or deleted."""
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(repr((entry.path, entry.signature)).encode())
    return digest.hexdigest()


def _folder(folder: str, prefix: str, top: str, follow: bool, seen: set[tuple[int, int]]) -> Iterator[Entry]:
    with os.scandir(folder) as listing:
        items = sorted(listing, key=lambda item: item.name)
    for item in items:
        if item.name in VERSION_CONTROL:
            continue
        path = prefix + _text(item.name)
        if not _is_utf8(item.name):
            yield _unreadable_name(item, path)
        elif item.is_symlink():
            yield from _link(item.path, path, top, follow, seen)
        elif item.is_dir(follow_symlinks=False):
            yield from _enter(item.path, path, top, follow, seen)
        else:
            yield _plain(item, path)


def _enter(folder: str, path: str, top: str, follow: bool, seen: set[tuple[int, int]]) -> Iterator[Entry]:
    try:
        yield from _folder(folder, path + "/", top, follow, seen)
    except PermissionError as error:
        record = os.lstat(folder)
        refusal = Refusal("read", "unreadable_folder", str(error), f"chmod u+rx '{path}'")
        yield Entry(path + "/", folder, None, record.st_mtime_ns, record.st_ctime_ns, None, "unreadable", None, refusal)


def _is_utf8(name: str) -> bool:
    """Return whether a name is UTF-8; Python represents other bytes as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _unreadable_name(item: os.DirEntry[str], path: str) -> Entry:
    record = item.stat(follow_symlinks=False)
    is_folder = item.is_dir(follow_symlinks=False)
    entry = Entry(path + ("/" if is_folder else ""), item.path, None, record.st_mtime_ns, record.st_ctime_ns)
    what = f"the name of this {'folder' if is_folder else 'file'} is not UTF-8; other bytes are shown as \\xNN"
    return _refused(entry, "name_not_utf8", what, "rename it, e.g. with convmv -f latin1 -t utf8")


def _plain(item: os.DirEntry[str], path: str) -> Entry:
    record = item.stat(follow_symlinks=False)
    entry = Entry(path, item.path, record.st_size, record.st_mtime_ns, record.st_ctime_ns)
    if stat.S_ISREG(record.st_mode):
        return entry
    return _refused(entry, "not_a_file", "a device, pipe or socket", "remove it from the dataset")


def _link(location: str, path: str, top: str, follow: bool, seen: set[tuple[int, int]]) -> Iterator[Entry]:
    own = os.lstat(location)
    target = _text(os.readlink(location))
    entry = Entry(path, location, None, own.st_mtime_ns, own.st_ctime_ns, target)
    annexed = ANNEX.search(target)
    key = ANNEX_KEY.match(annexed["key"]) if annexed else None
    try:
        record = os.stat(location)
    except OSError as error:
        if key and error.errno == errno.ENOENT:
            size_bytes = int(key["size"]) if key["size"] else None
            yield replace(entry, size_bytes=size_bytes, content="absent", content_hash=_hash(key))
        elif error.errno == errno.ELOOP:
            yield _refused(entry, "symlink_loop", f"link to {target} leads back to itself", "remove the link")
        else:
            yield _refused(
                entry, "dangling_link", f"link to {target}: {error.strerror}", "restore the target or remove the link"
            )
        return
    inside = _inside(os.path.realpath(location), top)
    if not inside and not follow:
        remedy = "copy the file in, register the folder it lies in, or register with --follow-links"
        yield _refused(entry, "leaves_root", f"link to {target} leaves the root", remedy)
    elif stat.S_ISDIR(record.st_mode):
        yield from _linked_folder(entry, record, top, inside, follow, seen)
    else:
        entry = replace(entry, size_bytes=record.st_size, content_hash=_hash(key) if key else None)
        yield replace(entry, mtime_ns=record.st_mtime_ns, ctime_ns=record.st_ctime_ns)


def _linked_folder(
    entry: Entry, record: os.stat_result, top: str, inside: bool, follow: bool, seen: set[tuple[int, int]]
) -> Iterator[Entry]:
    real = os.path.realpath(entry.location)
    if _inside(os.path.realpath(os.path.dirname(entry.location)), real):
        yield _refused(
            entry, "symlink_loop", f"link to {entry.link_target} leads back to a folder above it", "remove the link"
        )
    elif inside or _identity(record) in seen:
        yield replace(entry, alias=True)  # the folder is read at its own path, so that its files count once
    else:
        seen.add(_identity(record))
        yield from _enter(real, entry.path, top, follow, seen)


def _refused(entry: Entry, reason: str, detail: str, remedy: str) -> Entry:
    return replace(entry, content="unreadable", refusal=Refusal("discover", reason, detail, remedy))


def _hash(key: re.Match[str]) -> str:
    return f"{key['backend']}:{key['digest']}"


def _identity(record: os.stat_result) -> tuple[int, int]:
    return record.st_dev, record.st_ino


def _inside(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def _text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")
