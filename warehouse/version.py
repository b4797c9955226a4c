"""Which code is at work: the version of the package and the git commit, where they are known."""

from __future__ import annotations

import os
from functools import lru_cache
from importlib import metadata
from pathlib import Path

PACKAGE = "tumsyn"


@lru_cache
def code_version() -> str:
    """Return ``version`` or ``version+commit``; GIT_COMMIT in the environment overrules the repository's."""
    try:
        version = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        version = "not installed"
    commit = os.environ.get("GIT_COMMIT") or git_commit(Path(__file__).resolve().parents[1])
    return f"{version}+{commit[:12]}" if commit else version


def git_commit(root: Path) -> str | None:
    """Return the commit that a working tree is at; None where the folder is no working tree."""
    git = root / ".git"
    try:
        if git.is_file():  # a linked working tree: the file names its folder
            git = (root / git.read_text().removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        common = git / "commondir"
        shared = (git / common.read_text().strip()).resolve() if common.exists() else git
        return _resolve(shared, head.removeprefix("ref: "))
    except OSError:
        return None


def _resolve(git: Path, ref: str) -> str | None:
    if (git / ref).exists():
        return (git / ref).read_text().strip()
    packed = (git / "packed-refs").read_text().splitlines()
    return next((line.split()[0] for line in packed if line.endswith(f" {ref}")), None)
