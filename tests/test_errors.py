"""Every error that a user can meet says what is wrong, in words, and what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT
from tests.test_safety import SOURCES
from warehouse import errors

CLASSES = {name for name, value in vars(errors).items() if isinstance(value, type)} | {
    "OperationsError",
    "RefusedScanError",
    "RefusedError",
}
N_BEFORE = {"HarmonizeError": 2, "RefusedError": 1}  # arguments before `what`: stage and reason, reason
# Where the text of another error is handed on: they carry the words of the error that they wrap.
HANDED_ON = re.compile(r"(outcome|result|error|errors|reason|why|done|what|whose|faults|doubt)\b")


def raised() -> Iterator[tuple[str, ast.Call, ast.FunctionDef | None]]:
    """Yield place, call and enclosing function of every error of the project that is made in the source."""
    for path in SOURCES:
        wanted = CLASSES | ({"error"} if path.name == "documents.py" else set())
        for name, node, owner in calls(ast.parse(path.read_text(encoding="utf-8")), None):
            if name in wanted:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node, owner


def calls(parent: ast.AST, owner: ast.FunctionDef | None) -> Iterator[tuple[str, ast.Call, ast.FunctionDef | None]]:
    """Yield the calls of something that has a plain name: the name, the call and its innermost function."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id, node, owner
        yield from calls(node, node if isinstance(node, ast.FunctionDef) else owner)


ERRORS = {place: (call, owner) for place, call, owner in raised()}


def what_and_remedy(call: ast.Call) -> list[ast.expr]:
    before = N_BEFORE.get(getattr(call.func, "id", ""), 0)
    return [*call.args[before:], *(word.value for word in call.keywords if word.arg in ("what", "remedy"))]


def texts(expression: ast.expr, owner: ast.FunctionDef | None) -> list[ast.expr]:
    """Return what an expression can be: itself, or what its function assigns to the name."""
    if isinstance(expression, ast.IfExp):
        return texts(expression.body, owner) + texts(expression.orelse, owner)
    if isinstance(expression, ast.BinOp):
        return texts(expression.left, owner)
    if isinstance(expression, ast.Name) and owner is not None:
        given = [
            node.value
            for node in ast.walk(owner)
            if isinstance(node, ast.Assign) and expression.id in (getattr(target, "id", "") for target in node.targets)
        ]
        return [text for value in given for text in texts(value, owner)] or [expression]
    return [expression]


def fixed_words(text: ast.expr) -> int:
    """Return how many words of a text do not come from values."""
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    fixed = " ".join(part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))
    return len(re.findall(r"[A-Za-z]{2,}", fixed))


def test_the_rules_look_at_every_error() -> None:
    assert len(ERRORS) > 300
    assert {place.split("/")[0] for place in ERRORS} == {"warehouse", "model", "pipelines", "notebooks"}


@pytest.mark.parametrize("place", ERRORS)
def test_an_error_has_a_remedy(place: str) -> None:
    call, owner = ERRORS[place]
    if any(word.arg is None for word in call.keywords):
        return  # what and remedy of an error of another process
    given = what_and_remedy(call)
    assert len(given) >= 2, f"{place}: {ast.unparse(call)} says not what to do"
    for text in texts(given[1], owner):
        assert not (isinstance(text, ast.Constant) and not str(text.value).strip()), f"{place}: the remedy is empty"


@pytest.mark.parametrize("place", ERRORS)
def test_an_error_says_in_words_what_is_wrong(place: str) -> None:
    call, owner = ERRORS[place]
    for text in texts(what_and_remedy(call)[0], owner) if what_and_remedy(call) else []:
        if isinstance(text, (ast.Constant, ast.JoinedStr)):
            hands_on = bool(HANDED_ON.search(ast.unparse(text)))
            assert fixed_words(text) >= (0 if hands_on else 1), f"{place}: {ast.unparse(text)}"
            is_of_a_file = getattr(call.func, "id", "") == "RefusedError"  # shown behind the name of the file
            names_a_value = isinstance(text, ast.JoinedStr) or is_of_a_file
            assert names_a_value or fixed_words(text) >= 3, f"{place}: names no value and no place"


def test_the_rules_find_what_they_forbid() -> None:
    bare = ast.parse("TumsynError(f'{value}')").body[0].value  # type: ignore[attr-defined]
    assert len(what_and_remedy(bare)) == 1
    assert fixed_words(bare.args[0]) == 0
