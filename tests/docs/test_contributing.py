"""What CONTRIBUTING.md tells a reader to open, change and run exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CODE = re.compile(r"`([^`]+)`", re.DOTALL)
TOP = {path.name for path in ROOT.iterdir()}
NAME = re.compile(
    r"_?[A-Z][A-Z_]{2,}|_[a-z]\w+|[A-Z][a-z]+[A-Z]\w+|[a-z]+_[a-z]\w+"
)  # of a constant, function or class
PLACEHOLDERS = {"NAME", "DIR", "FILE"}


def words(text: str) -> list[str]:
    """Return the words of all code in a text."""
    listings = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    return [
        word
        for code in [*listings, *CODE.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL))]
        for word in code.split()
    ]


def paths(text: str) -> set[str]:
    """Return the files and folders of this project that a text names, without those that a reader will make."""
    found = {word.split("::")[0] for word in words(text)} | set(re.findall(r"\]\(([^):#]+)", text))
    return {path for path in found if path.split("/")[0] in TOP and not PLACEHOLDERS & set(re.split(r"[/_.]", path))}


def steps() -> list[str]:
    """Return the numbered steps of all recipes."""
    return re.findall(r"^\d\. (.*?)(?=^\d\. |^#|^$)", TEXT, re.MULTILINE | re.DOTALL)


def symbols(step: str) -> set[str]:
    """Return the names in the code that a step mentions."""
    return {word for word in words(step) if NAME.fullmatch(word)} - PLACEHOLDERS


def test_every_file_that_is_named_exists() -> None:
    found = paths(TEXT)
    assert len(found) > 40
    assert {path for path in found if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("step", steps(), ids=lambda step: re.sub(r"\W+", "-", step[:50]))
def test_a_name_in_a_step_is_found_in_a_file_of_that_step(step: str) -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / one for one in paths(step)) if path.is_file()]
    texts += [path.read_text(encoding="utf-8") for one in paths(step) for path in Path(ROOT / one).glob("*.yaml")]
    assert {name for name in symbols(step) if not any(re.search(rf"\b{name}\b", text) for text in texts)} == set()


def test_the_steps_name_what_they_change() -> None:
    assert len(steps()) > 15
    assert len({name for step in steps() for name in symbols(step)}) > 15


def test_every_test_that_is_named_exists() -> None:
    named = [word.split("::") for word in words(TEXT) if "::" in word]
    assert named
    assert all(f"def {test}(" in (ROOT / file).read_text(encoding="utf-8") for file, test in named)


def test_every_target_of_make_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {word for line in re.findall(r"make ([a-z -]+)", "\n".join(CODE.findall(TEXT))) for word in line.split()}
    listed = {word for line in re.findall(r"^make ([a-z ]+?)  ", TEXT, re.MULTILINE) for word in line.split()}
    assert {"setup", "test", "site"} <= named | listed
    assert {target for target in named | listed if f"\n{target}:" not in makefile} == set()
