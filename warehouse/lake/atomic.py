"""Files that appear whole or not at all: temporary, fsync, rename; and the locks that keep sweepers away."""

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

LOG = logging.getLogger(__name__)  # a wait for another process is said here
POLL_S = 0.1  # between two tries of a lock: a call that blocks could not be stopped in a thread
PATIENCE_S = 1.0  # a shorter wait is not worth a word
REPEAT_S = 60.0


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

    The shared lock of the package filelock is a transaction of SQLite, and does not tell who holds it since when.

    Parameters
    ----------
    path : Path
        Lock file; made where absent, never removed.
    exclusive : bool
        Alone, or together with others that hold it shared.
    wait : bool
        Wait for it, or give up at once. A wait of more than a second is logged as a warning with the process that
        holds the lock, and since when; a holder that dies loses the lock.

    Yields
    ------
    bool
        Whether it is held; always true after waiting.
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
            _sign(handle)
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
    """Wait for a lock without using the processor, and say for whom."""
    began = time.monotonic()
    say_at = began + PATIENCE_S
    while not _try(handle, mode):
        time.sleep(POLL_S)
        if time.monotonic() >= say_at:
            say_at += REPEAT_S
            LOG.warning("waits for %s, %s; waiting for %.0f s", path, holder(path), time.monotonic() - began)


def _sign(handle: int) -> None:
    """Write into a lock file who holds it; what one that died left there is read by nobody."""
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()} since {datetime.now():%H:%M:%S}".encode(), 0)


def holder(path: Path) -> str:
    """Return who holds a lock, in words, as far as its file says."""
    said = path.read_text(encoding="utf-8", errors="replace")
    return f"held by {said}" if said else "held by processes that share it"
