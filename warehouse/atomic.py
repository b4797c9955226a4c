"""Files that appear whole or not at all: temporary, fsync, rename; and the locks that keep sweepers away.

Belongs here: the few operations that every writer of a home shares. Does not belong here: what is written.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


def temporary_beside(target: Path) -> Path:
    """Return a fresh hidden name in the target's folder, which is made; `stale_temporaries` finds it again."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent / f".{target.name}-{uuid4().hex}.tmp"


def stale_temporaries(folder: Path) -> list[Path]:
    """Return what interrupted writers left anywhere under a folder, DuckDB's write-ahead logs included."""
    return sorted(path for path in folder.rglob(".*") if ".tmp" in path.suffixes)


def fsync(path: Path) -> None:
    """Ask the disk to keep a file, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move(temporary: Path, target: Path) -> None:
    """Put a finished temporary into place: a reader sees the old file or the new one, never half of it."""
    fsync(temporary)
    os.replace(temporary, target)
    fsync(target.parent)


def write_text(target: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    temporary = temporary_beside(target)
    temporary.write_text(text, encoding="utf-8")
    move(temporary, target)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def lock(path: Path, *, exclusive: bool, wait: bool = True) -> Iterator[bool]:
    """Hold an advisory lock, which the kernel drops when the process dies.

    Parameters
    ----------
    path : Path
        Lock file; made where absent, never removed.
    exclusive : bool
        Alone, or together with others that hold it shared.
    wait : bool
        Wait for it, or give up at once.

    Yields
    ------
    bool
        Whether it is held; always true after waiting.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    mode = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB)
    try:
        try:
            fcntl.flock(handle, mode)
            held = True
        except BlockingIOError:
            held = False
        yield held
    finally:
        os.close(handle)
