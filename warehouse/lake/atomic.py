"""Atomic writing of files (temporary file, fsync, rename), and advisory locks."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from uuid import uuid4

LOG = logging.getLogger(__name__)  # waits for other processes are logged here
POLL_S = 0.1  # between two attempts to lock; a blocking call could not be stopped in a thread
PATIENCE_S = 1.0  # a shorter wait is not logged
REPEAT_S = 60.0


def temporary_beside(target: Path) -> Path:
    """Return an unused hidden path in the target's folder, which is created; `stale_temporaries` finds it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent / f".{target.name}-{uuid4().hex}.tmp"


def stale_temporaries(folder: Path) -> list[Path]:
    """Return the temporary files below a folder, at any depth, including write-ahead logs of DuckDB."""
    return sorted(path for path in folder.rglob(".*") if ".tmp" in path.suffixes)


def fsync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move(temporary: Path, target: Path) -> None:
    """Replace the target with a finished temporary file; a reader sees either the old or the new file."""
    fsync(temporary)
    os.replace(temporary, target)
    fsync(target.parent)


def write_text(target: Path, text: str) -> None:
    """Write a small file atomically."""
    write_bytes(target, text.encode())


def write_bytes(target: Path, content: bytes) -> None:
    """Write a file that fits in memory atomically."""
    temporary = temporary_beside(target)
    temporary.write_bytes(content)
    move(temporary, target)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def lock(path: Path, *, exclusive: bool, wait: bool = True) -> Iterator[bool]:
    """Hold an advisory lock, which the kernel releases when the process dies.

    The package filelock is not used: its shared lock is an SQLite transaction, and it does not record the holder.

    Parameters
    ----------
    path : Path
        Lock file; created if absent, never removed.
    exclusive : bool
        True for a lock that no other process may hold at the same time, false for a shared one.
    wait : bool
        True to wait for the lock, false to give up at once. A wait of more than a second is logged as a warning with
        the process that holds the lock, and since when.

    Yields
    ------
    bool
        Whether the lock is held; always true with `wait`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    mode = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        held = _try(handle, mode)
        if not held and wait:
            _wait(path, handle, mode)
            held = True
        if held and exclusive:
            _write_holder(handle)
        try:
            yield held
        finally:
            if held and exclusive:
                os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _try(handle: int, mode: int) -> bool:
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(path: Path, handle: int, mode: int) -> None:
    """Poll for a lock, and log which process holds it."""
    began = time.monotonic()
    log_at = began + PATIENCE_S
    while not _try(handle, mode):
        time.sleep(POLL_S)
        if time.monotonic() >= log_at:
            log_at += REPEAT_S
            LOG.warning("waits for %s, %s; waiting for %.0f s", path, holder(path), time.monotonic() - began)


def _write_holder(handle: int) -> None:
    """Write into a lock file which process holds it since when, over any earlier entry."""
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()} since {datetime.now():%H:%M:%S}".encode(), 0)


def holder(path: Path) -> str:
    """Return a description of the process that holds a lock, from its file."""
    entry = path.read_text(encoding="utf-8", errors="replace")
    return f"held by {entry}" if entry else "held by processes that share it"
