"""Notices that a tree changed by its folders alone, in slices; neither a file nor its record is read.

A new, renamed or deleted entry changes the modification time of its folder. Content that is changed in place does not,
and neither does content that an annex gets or drops: `is_current` sees these, at the price of a record of every file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from warehouse.errors import CenterError
from warehouse.ingest.tree import VERSION_CONTROL

Identity = tuple[int, int]  # device and inode


@dataclass(frozen=True)
class FolderWalk:
    """A walk over the folders of a tree, as far as it has come.

    Parameters
    ----------
    position : tuple of str or None
        Names that lead from the root to the last folder that was listed; None before the first.
    digest : str
        Hash of what was listed so far.
    n_folders : int
        Folders listed so far.
    is_complete : bool
        Whether no folder is left; `digest` is then the fingerprint of the tree.
    """

    position: tuple[str, ...] | None = None
    digest: str = ""
    n_folders: int = 0
    is_complete: bool = False


def advance(walk: FolderWalk, root: Path, is_over: Callable[[], bool], follow_links: bool = False) -> FolderWalk:
    """Continue a walk until it is complete or the time is over; at least one folder is listed.

    Parameters
    ----------
    walk : FolderWalk
        Where to continue; a folder that was deleted meanwhile does no harm.
    root : Path
    is_over : callable
        Whether to stop; asked after each folder.
    follow_links : bool
        Whether links to folders are followed, as in `walk`.

    Raises
    ------
    CenterError
        When the root is not a folder that can be listed, or is empty.
    """
    if not root.is_dir():
        raise CenterError(f"root {root} is not a folder", "mount it, or register the centre again with --root")
    try:
        with os.scandir(root) as listing:
            is_empty = next(listing, None) is None
    except OSError as error:
        raise CenterError(f"root {root} cannot be listed: {error}", "give this user read permission") from error
    if is_empty:
        raise CenterError(f"root {root} is empty", "mount its disk; to give the centre up: tumsyn centers remove")
    position, digest, n_folders = walk.position, walk.digest, walk.n_folders
    for names, record in _folders(os.path.realpath(root), (), position, follow_links, frozenset()):
        position, n_folders = names, n_folders + 1
        digest = hashlib.sha256(repr((digest, names, record)).encode()).hexdigest()
        if is_over():
            return FolderWalk(position, digest, n_folders)
    return FolderWalk(position, digest, n_folders, is_complete=True)


def _folders(
    folder: str, names: tuple[str, ...], after: tuple[str, ...] | None, follow: bool, above: frozenset[Identity]
) -> Iterator[tuple[tuple[str, ...], tuple[int, int]]]:
    """Yield the names, modification time and number of entries of a folder and of those in it, in order of names.

    `after` is the position of the last folder that was yielded; it and those before it are passed over. A folder that
    cannot be listed, or that a link leads back to, yields no entries.
    """
    try:
        record = os.stat(folder)
        with os.scandir(folder) as listing:
            items = [(item.name, _is_entered(item, follow)) for item in listing if item.name not in VERSION_CONTROL]
    except OSError:
        record, items = None, []
    identity = (record.st_dev, record.st_ino) if record else (0, 0)
    if identity in above:
        items = []
    if after is None:
        yield names, (record.st_mtime_ns if record else -1, len(items))
    for name in sorted(name for name, is_entered in items if is_entered):
        if not after or name > after[0]:
            yield from _folders(os.path.join(folder, name), (*names, name), None, follow, above | {identity})
        elif name == after[0]:
            yield from _folders(os.path.join(folder, name), (*names, name), after[1:], follow, above | {identity})


def _is_entered(item: os.DirEntry[str], follow: bool) -> bool:
    try:
        return item.is_dir(follow_symlinks=follow)
    except OSError:
        return False
