"""A hostile dataset goes through the pipeline: none of its texts counts as markup, and nothing leaves a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from pipelines.assets.markdown import escaped
from pipelines.assets.metadata import markdown_table, preview
from pipelines.runtime.resources import failure
from tests import hostile
from tests.pipelines.conftest import Command, command_in
from warehouse.catalog.query import Catalogue
from warehouse.errors import TumsynError
from warehouse.lake.home import Home
from warehouse.lake.parts import read_table
from warehouse.tables import HARMONIZED, PARTITIONED

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
OF_A_TABLE = {"table", "thead", "tbody", "tr", "th", "td"}


class Seen(HTMLParser):
    """Elements, attributes and text of a page, as a browser would find them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def tumsyn(attacked: Home) -> Command:
    return command_in(attacked)


def pages(home: Home) -> Iterator[Path]:
    yield from home.quality.rglob("*.html")


# ---------------------------------------------------------------- Markdown, which Dagster shows


@pytest.mark.parametrize("text", hostile.TEXTS)
def test_a_text_in_markdown_is_shown_as_it_is(text: str) -> None:
    seen = Seen(MARKDOWN.render(markdown_table(["name"], [[text]])))
    assert set(seen.tags) <= OF_A_TABLE
    assert seen.tags.count("td") == 1
    assert " ".join(seen.text.split()) == " ".join(["name", *re.sub(r"[\x1b\x07]", shown, text).split()])


def shown(match: re.Match[str]) -> str:
    return f"\\x{ord(match[0]):02x}"


@pytest.mark.parametrize("text", ["T1w_to_T2w", "__init__", "_a_ *b* `c` ~~d~~", "&lt;b&gt;", "a\\|b", "sub-01/ses-1"])
def test_characters_that_mean_something_in_markdown_survive(text: str) -> None:
    seen = Seen(MARKDOWN.render(escaped(text)))
    assert seen.tags == ["p"]
    assert seen.text.strip() == text


def test_a_text_that_is_cut_ends_in_no_half_of_an_escape() -> None:
    seen = Seen(MARKDOWN.render(markdown_table(["name"], [["|" * 99]])))
    assert seen.text.split() == ["name", "|" * 47 + "…"]


@pytest.mark.slow
@pytest.mark.parametrize("table", [*PARTITIONED, *HARMONIZED], ids=lambda table: table.name)
def test_the_preview_of_a_table_holds_a_table_and_text(attacked: Home, table: object) -> None:
    rows = read_table(attacked, "hostile", table.name)  # type: ignore[attr-defined]
    text = preview(rows)
    assert set(Seen(MARKDOWN.render(text)).tags) <= OF_A_TABLE
    assert all(character.isprintable() or character == "\n" for character in text)


def test_a_failure_steers_no_terminal() -> None:
    found = failure(TumsynError(hostile.TERMINAL, hostile.TERMINAL))
    values = [str(found.description), *(str(value.value) for value in found.metadata.values())]
    assert len(values) == 3
    assert not any(re.search(r"[\x1b\x07]", value) for value in values)


# ---------------------------------------------------------------- pages


@pytest.mark.slow
def test_a_quality_page_holds_names_as_text(attacked: Home) -> None:
    [page] = pages(attacked)
    seen = Seen(page.read_text(encoding="utf-8"))
    assert seen.tags.count("script") == 1
    handlers = [(name, value) for name, value in seen.attributes if name.startswith("on")]
    assert handlers == [("onsubmit", "return false")]
    addresses = {value for name, value in seen.attributes if name in ("href", "src")}
    assert addresses == {"data:,"}, "the icon of the page; no address is made of data"
    for name in hostile.NAMES:
        assert name in seen.text


# ---------------------------------------------------------------- the terminal


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["centers", "list"], id="centres"),
        pytest.param(["centers", "check", "hostile"], id="check"),
        pytest.param(["ingest"], id="ingest"),
        pytest.param(["ingest", hostile.TERMINAL], id="a name that is unknown"),
        pytest.param(["sql", "SELECT path, acq, entities FROM core.image"], id="names"),
        pytest.param(["sql", "SELECT * FROM core.rejection"], id="rejections"),
        pytest.param(["sql", "SELECT prompt, record FROM out.prompt"], id="prompts"),
        pytest.param(["sql", f"SELECT '{hostile.TERMINAL}' AS x FROM nowhere"], id="an error of the database"),
        pytest.param(["catalog", "describe", hostile.TERMINAL], id="a table that is unknown"),
        pytest.param(["export", hostile.TERMINAL, "--out", "x"], id="an image that is unknown"),
        pytest.param(["evaluate", "--model", hostile.TERMINAL], id="a model that is unknown"),
        pytest.param(["prompt", hostile.TERMINAL], id="a prompt"),
    ],
)
def test_no_command_lets_a_name_steer_the_terminal(tumsyn: Command, words: list[str]) -> None:
    result = tumsyn(*words)
    assert result.output
    assert "Traceback" not in result.output
    assert {character for character in result.output if not character.isprintable()} <= {"\n"}


# ---------------------------------------------------------------- paths


def test_nothing_is_written_beside_the_home_and_nothing_read_beyond_the_root(attacked: Home) -> None:
    assert sorted(path.name for path in attacked.root.parent.iterdir()) == ["bids", "home"]
    with Catalogue(attacked).connect() as connection:
        refused = connection.execute("SELECT path FROM core.rejection WHERE reason = 'leaves_root'").fetchall()
        people = connection.execute("SELECT participant_id FROM core.participant").fetchall()
    assert sorted(path for (path,) in refused) == ["sub-01/anat/sub-01_T2w.nii.gz", "sub-02", "sub-03"]
    assert people == [("01",)]


def test_no_file_of_the_home_holds_the_salt_but_its_own(attacked: Home, tumsyn: Command) -> None:
    salt = attacked.salt()
    holders = [path.name for path in attacked.root.rglob("*") if path.is_file() and salt in path.read_bytes()]
    assert holders == ["salt"]
    printed = tumsyn("--debug", "centers", "check", "hostile").output
    assert salt.hex() not in printed
    assert repr(salt)[2:-1] not in printed


@pytest.mark.slow
@pytest.mark.parametrize("name", [hostile.UPWARDS, "/etc/passwd", "..", "a/../../b", "/tmp"])
@pytest.mark.parametrize(
    "words",
    [
        pytest.param("centers add {} --layout bids --root .", id="centre"),
        pytest.param("centers remove {}", id="centre to remove"),
        pytest.param("ingest {}", id="centre to ingest"),
        pytest.param("catalog describe {}", id="table"),
        pytest.param("catalog pin {}", id="snapshot to keep"),
        pytest.param("sql --query {}", id="query"),
        pytest.param("export {} --out x", id="image"),
        pytest.param("evaluate --model {}", id="model"),
        pytest.param("models show {}", id="model to show"),
        pytest.param("models promote {}", id="model to promote"),
        pytest.param("models rollback {}", id="champion to take back"),
        pytest.param("models pack {} x", id="model to pack"),
    ],
)
def test_a_name_that_is_a_path_is_refused(tumsyn: Command, attacked: Home, words: str, name: str) -> None:
    before = sorted(attacked.root.parent.rglob("*"))
    result = tumsyn(*[word.format(name) for word in words.split()])
    assert result.exit_code in (1, 2), result.output
    assert "unexpected" not in result.output
    assert sorted(attacked.root.parent.rglob("*")) == before
