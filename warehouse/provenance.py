"""Identity of the code: release and commit, and hashes of the sources that decide a result.

A source hash covers a module and all modules of this project that it imports, directly or indirectly. Comments,
docstrings and blank lines do not enter, nor does any module that is not imported.
"""

from __future__ import annotations

import ast
import hashlib
import io
import os
import tokenize
from functools import lru_cache
from importlib import metadata
from pathlib import Path

PACKAGE = "tumsyn"
ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("warehouse", "model", "pipelines")
DATA = ("*.csv", "codes/*.csv", "sql/catalog/*.sql")  # read by modules from their own folder


@lru_cache
def release() -> str:
    """Return ``version`` or ``version+commit`` of the package; the environment variable GIT_COMMIT overrides it."""
    try:
        version = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        version = "not installed"
    commit = os.environ.get("GIT_COMMIT") or git_commit(ROOT)
    return f"{version}+{commit[:12]}" if commit else version


def git_commit(root: Path) -> str | None:
    """Return the checked-out commit of a working tree; None where the folder is not a working tree."""
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


@lru_cache
def source_hash(module: str, within: tuple[str, ...] = PACKAGES, root: Path = ROOT) -> str:
    """Return a hash of a module and of all its imports from this project: 16 hexadecimal digits.

    Parameters
    ----------
    module : str
        Its dotted name, e.g. model.training.synthesis.
    within : tuple of str
        Packages and modules that can decide the result; imports of others are not followed.
    root : Path
        Folder that holds the packages.
    """
    digest = hashlib.sha256()
    for path in _with_data(_closure(module, within, root)):
        content = _significant(path) if path.suffix == ".py" else path.read_bytes()
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:16]


def _closure(module: str, within: tuple[str, ...], root: Path) -> set[Path]:
    """Return the files of a module and of all its imports; imports for annotations alone are left out."""
    found: set[Path] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        path = _file(name, root) if any(f"{name}.".startswith(f"{one}.") for one in within) else None
        if path and path not in found:
            found.add(path)
            todo += _imported(path)
    return found


def _file(module: str, root: Path) -> Path | None:
    """Return the file of a module or package; None where the name is neither."""
    place = root.joinpath(*module.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def _imported(path: Path) -> list[str]:
    names = []
    for node in _executed(_tree(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _executed(node: ast.AST) -> list[ast.AST]:
    """Return all nodes below one, except those under `if TYPE_CHECKING`."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        found += [child, *_executed(child)]
    return found


def _with_data(modules: set[Path]) -> list[Path]:
    folders = {path.parent for path in modules}
    return sorted(modules | {path for folder in folders for pattern in DATA for path in folder.glob(pattern)})


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def _significant(path: Path) -> bytes:
    """Return the source without comments, docstrings and blank lines; the same on every version of Python."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for first, last in _docstrings(_tree(path)):
        lines[first:last] = [""] * (last - first)
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip()).encode()


def _docstrings(tree: ast.Module) -> list[tuple[int, int]]:
    """Return first and last line of every docstring, as a slice of the lines."""
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    first = [node.body[0] for node in ast.walk(tree) if isinstance(node, owners) and node.body]
    texts = [one for one in first if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)]
    return [(one.lineno - 1, one.end_lineno or one.lineno) for one in texts if isinstance(one.value.value, str)]  # type: ignore[attr-defined]
