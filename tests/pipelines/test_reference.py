"""The reference of the command line in docs/ is what the commands say of themselves."""

import re

import typer

from pipelines import reference
from pipelines.cli import app


def names(command: object, prefix: str = "tumsyn") -> set[str]:
    """Return the full names of all commands and groups below one."""
    found: set[str] = set()
    for name, one in getattr(command, "commands", {}).items():
        found |= {f"{prefix} {name}"} | names(one, f"{prefix} {name}")
    return found


def test_the_reference_has_not_drifted_from_the_commands() -> None:
    assert reference.DOCUMENT.read_text(encoding="utf-8") == reference.text(), "run python -m pipelines.reference"


def test_every_command_and_group_has_a_section() -> None:
    text = reference.text()
    wanted = names(typer.main.get_command(app))
    assert len(wanted) > 20
    assert {name for name in wanted if f"# `{name}`\n" not in text} == set()


def test_no_summary_is_cut_short() -> None:
    assert re.findall(r"^\* .*\.\.\.$", reference.text(), re.MULTILINE) == []


def test_the_reference_names_no_folder_of_the_machine_that_wrote_it() -> None:
    assert str(reference.DOCUMENT.parents[1]) not in reference.text()
