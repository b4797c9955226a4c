"""Rules of safety that span the project: no pickle is loaded, no template shows data as markup, secrets stay unread."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT
from warehouse.lake.home import Home

FOLDERS = ("warehouse", "model", "pipelines", "notebooks")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
TEMPLATES = sorted(path for folder in FOLDERS for end in ("html", "j2") for path in (ROOT / folder).rglob(f"*.{end}"))
# Modules that run code which is hidden in what they read, or unpack paths that leave a folder.
DANGEROUS_MODULES = {
    *("pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle", "pty"),
    *("tarfile", "zipfile", "py7zr", "rarfile"),
}
DANGEROUS_CALLS = {
    *("torch.load", "torch.save", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.Loader"),
    *("pd.read_pickle", "pandas.read_pickle", "pd.read_hdf", "pandas.read_hdf", "shutil.unpack_archive"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "eval", "exec", "__import__"),
}
# Exchanged as pickles by the processes that one torchrun started, which run the same code anyhow; nothing is stored.
EXCHANGES = {"broadcast_object_list": {"model/training/processes.py"}}
EVERYWHERE = ("0.0.0.0", "::", "[::]")  # addresses by which a server listens beyond this machine
WRITES_MARKUP = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write")
# Variables that the project reads; none of them holds a secret.
VARIABLES = {
    *("DAGSTER_HOME", "DAGSTER_PIPES_CONTEXT", "GIT_COMMIT", "LOCAL_RANK", "OMP_WAIT_POLICY", "RANK"),
    *("TORCHELASTIC_RUN_ID", "TUMSYN_HOME", "TUMSYN_PARENT", "TUMSYN_SAMPLES", "TUMSYN_TERMINAL", "XDG_CACHE_HOME"),
    *("GOMP_SPINCOUNT", "THP_MEM_ALLOC_ENABLE", "DAGSTER_GRPC_TIMEOUT_SECONDS", "DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD"),
}


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    """Return every node of the source code with the file that holds it."""
    trees = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
    return [(path, node) for path, tree in trees.items() for node in ast.walk(tree)]


def places(dangerous: Callable[[str, ast.AST], bool]) -> list[str]:
    """Return file and line of the nodes for which a function is true."""
    return [f"{path}:{getattr(node, 'lineno', 0)}" for path, node in nodes() if dangerous(path, node)]


def called(node: ast.AST) -> str:
    """Return the dotted name that a node calls; empty where it calls none."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def is_true(node: ast.expr) -> bool:
    return not (isinstance(node, ast.Constant) and node.value is False)


def test_the_rules_look_at_every_package() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in SOURCES} == set(FOLDERS)
    assert len(SOURCES) > 150
    assert len(TEMPLATES) >= 12


# ---------------------------------------------------------------- code that runs by being read


@pytest.mark.slow
def test_no_module_is_imported_that_runs_or_unpacks_what_it_reads() -> None:
    def dangerous(_: str, node: ast.AST) -> bool:
        names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        return any(name.split(".")[0] in DANGEROUS_MODULES for name in names)

    assert places(dangerous) == []


@pytest.mark.slow
def test_no_function_is_called_that_runs_what_it_reads() -> None:
    assert places(lambda _, node: called(node) in DANGEROUS_CALLS) == []


@pytest.mark.slow
def test_no_array_is_read_as_pickle_and_no_command_through_a_shell() -> None:
    def dangerous(_: str, node: ast.AST) -> bool:
        words = node.keywords if isinstance(node, ast.Call) else []
        return any(word.arg in ("allow_pickle", "shell") and is_true(word.value) for word in words)

    assert places(dangerous) == []


@pytest.mark.parametrize("name", EXCHANGES)
def test_objects_are_exchanged_between_own_processes_only(name: str) -> None:
    found = {path for path, node in nodes() if called(node).endswith(f".{name}")}
    assert found <= EXCHANGES[name]


def test_the_rules_find_what_they_forbid() -> None:
    bad = ast.parse("import pickle\nimport torch\ntorch.load('x')\nnp.load('x', allow_pickle=True)")
    assert {called(node) for node in ast.walk(bad)} & DANGEROUS_CALLS == {"torch.load"}
    assert is_true(next(node for node in ast.walk(bad) if isinstance(node, ast.keyword)).value)


# ---------------------------------------------------------------- network


def test_no_server_listens_beyond_this_machine() -> None:
    assert places(lambda _, node: isinstance(node, ast.Constant) and node.value in EVERYWHERE) == []


# ---------------------------------------------------------------- pages


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_escapes_whatever_it_shows(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\|\s*safe\b|autoescape\s+false|Markup|\|\s*tojson", text)
    for script in re.findall(r"<script.*?</script>", text, re.DOTALL):
        assert "{{" not in script, "inside of a script, escaping is another"
    addresses = set(re.findall(r"\b(?:href|src)=\"?({{.*?}})", text))
    assert addresses <= {"{{ link }}"}, "an address from data may be javascript:"


def test_no_script_of_a_page_writes_markup() -> None:
    scripts = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.js")]
    written = [path.name for path in (*scripts, *TEMPLATES) if WRITES_MARKUP.search(path.read_text(encoding="utf-8"))]
    assert written == []


def test_every_environment_of_templates_escapes() -> None:
    found = [node for _, node in nodes() if called(node).split(".")[-1] == "Environment"]
    assert len(found) >= 2
    for node in found:
        assert isinstance(node, ast.Call)
        [escapes] = [word.value for word in node.keywords if word.arg == "autoescape"]
        assert isinstance(escapes, ast.Constant)
        assert escapes.value is True


def test_only_the_projects_own_styles_count_as_markup() -> None:
    marked = [ast.unparse(node) for _, node in nodes() if called(node).split(".")[-1] == "Markup"]
    assert marked
    assert all("report.css" in one for one in marked)


# ---------------------------------------------------------------- secrets


def test_the_salt_of_a_home_is_readable_by_its_owner_alone(home: Home) -> None:
    salt = home.salt()
    assert len(salt) == 32
    assert salt != Home(home.root.with_name("other")).salt()
    assert (home.root / "salt").stat().st_mode & 0o777 == 0o600
    assert home.salt() == salt
    assert [path.name for path in home.root.iterdir()] == ["salt"]


def test_no_variable_of_the_environment_is_read_that_could_be_a_secret() -> None:
    read = set()
    for _, node in nodes():
        if called(node) in ("os.environ.get", "os.getenv", "os.environ.pop", "os.environ.setdefault"):
            assert isinstance(node, ast.Call)
            read.add(ast.unparse(node.args[0]))
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            read.add(ast.unparse(node.slice))
    constants = {"PARENT", "TERMINAL", "SAMPLES"}  # hold names of VARIABLES
    assert {name.strip("'") for name in read} - VARIABLES - constants == set()
