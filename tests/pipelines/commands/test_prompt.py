"""`tumsyn prompt` shows what a prompt says, what it leaves out, and what was not understood."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.pipelines.commands.test_cli import HEAVY
from tests.pipelines.conftest import Command
from warehouse.prompts.parse import parse_prompt
from warehouse.prompts.record import render

SPACE = "T2w SPACE, 3T Siemens Prisma, TR 3.2 s, TE 563 ms, 0.8 mm isotropic"


def test_fields_are_shown_with_their_units_then_the_sentence_and_what_is_missing(tumsyn: Command) -> None:
    done = tumsyn("prompt", SPACE)
    assert done.exit_code == 0
    table, sentence, missing = done.stdout.strip().split("\n\n")
    rows = dict(line.split("  ", 1) for line in table.splitlines())
    assert {name.strip(): value.strip() for name, value in rows.items()} == {
        "contrast": "T2w",
        "contrast agent": "not given",
        "vendor": "Siemens",
        "scanner model": "Prisma",
        "field strength": "3 T",
        "voxel size": "0.8 × 0.8 × 0.8 mm",
        "TR": "3200 ms",
        "TE": "563 ms",
        "flip angle": "variable",
    }
    assert sentence == f"Sentence:\n{render(parse_prompt(SPACE))}"
    assert missing == "Missing: age, sex, TI"


def test_what_was_not_understood_is_shown_with_a_suggestion_within_80_columns(tumsyn: Command) -> None:
    words = "lesion, in, the, left, temporal, lobe, with, oedema, around, and, haemorrhage, inside"
    done = tumsyn("prompt", f"T2w, Siemnes, {words}")
    assert done.exit_code == 0
    last = done.stdout.strip().split("\n\n")[-1]
    assert last.startswith("Not understood: Siemnes (did you mean Siemens?), lesion, left, ")
    assert max(map(len, last.splitlines())) <= 80


def test_a_prompt_may_stand_without_quotes_or_come_from_standard_input(tumsyn: Command) -> None:
    assert tumsyn("prompt", "T2w", "3T", "TE", "90").stdout == tumsyn("prompt", "-", input="T2w 3T\nTE 90\n").stdout


def test_programs_get_one_object_in_seconds(tumsyn: Command) -> None:
    shown = json.loads(tumsyn("prompt", "T2w; TE 90 ms; Siemnes", "--json").stdout)
    assert shown["record"]["echo_time_s"] == 0.09
    assert shown["record"]["words"] == ["siemnes"]
    assert shown["sentence"] == render(parse_prompt("T2w; TE 90 ms"))
    assert shown["missing"][:2] == ["vendor", "field strength"]
    assert shown["not_understood"] == [{"text": "Siemnes", "did_you_mean": "Siemens"}]


def test_a_prompt_that_says_that_all_is_missing_is_understood(tumsyn: Command) -> None:
    done = tumsyn("prompt", "TE None")
    assert done.exit_code == 0
    assert done.stdout.startswith("Sentence:\nAge: None;")


@pytest.mark.parametrize("text", ["", "banana", "TE ninety", "T2w 12", "T2w, TE 90, TE 100", "T2w, lesion of 12 mm"])
def test_what_is_not_understood_at_all_or_contradicts_itself_is_an_error(tumsyn: Command, text: str) -> None:
    done = tumsyn("prompt", text)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith("tumsyn: ")
    assert "->" in done.stderr


def test_the_example_of_the_documentation_is_what_the_command_prints(tumsyn: Command) -> None:
    text = (ROOT / "docs" / "prompts.md").read_text(encoding="utf-8")
    command, shown = text.split("```console\n")[1].split("```")[0].split("\n", 1)
    assert tumsyn(*shlex.split(command.removeprefix("$ tumsyn "))).stdout == shown


def test_characters_that_steer_the_terminal_are_escaped(tumsyn: Command) -> None:
    # A vendor may be any text. Of ESC nothing would be seen here: the parser refuses it, and Typer strips colours.
    text = render(parse_prompt("T2w")).replace("None None;", "None Acme\u202e;")
    done = tumsyn("prompt", text)
    assert done.exit_code == 0
    assert "\u202e" not in done.stdout
    assert "vendor          Acme\\x202e" in done.stdout


def test_a_prompt_is_shown_without_what_takes_long_to_import() -> None:
    heavy = [name for name in HEAVY if name != "pydantic"]  # which the check of the home's version needs
    code = (
        "import sys\n"
        "from pipelines.cli import app\n"
        "try:\n    app(['prompt', 'T2w lesion'])\n"
        "except SystemExit:\n    pass\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Not understood: lesion" in done.stdout
    assert done.stderr.splitlines()[-1] == "[]"
