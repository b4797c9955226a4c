"""Addresses of Dagster's databases: a home may lie at any path, and some characters mean something in an address.

Dagster writes the path of its SQLite files into an address as it is, where ``?`` and ``%`` have a meaning: files would
be made elsewhere, or not at all.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from warehouse.errors import TumsynError
from warehouse.lake import atomic

SPECIAL = frozenset("?%")


def addressable(folder: Path) -> Path:
    """Return a folder by a path that an address can hold: its own, or that of a link to it in the user's cache.

    Raises
    ------
    TumsynError
        When a link is needed and cannot be made.
    """
    if not SPECIAL & set(str(folder)):
        return folder
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tumsyn"
    remedy = "set XDG_CACHE_HOME to a folder that can be written and has neither ? nor % in its path, or move the home"
    if SPECIAL & set(str(cache)):
        raise TumsynError(f"no database can be opened in {folder}, nor a link to it in {cache}", remedy)
    link = cache / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    try:
        temporary = atomic.temporary_beside(link)
        temporary.symlink_to(folder, target_is_directory=True)
        os.replace(temporary, link)
    except OSError as error:
        raise TumsynError(f"no link to {folder} can be made for its databases: {error}", remedy) from error
    return link
