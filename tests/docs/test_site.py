"""The site builds without a warning, loads nothing from another host, and its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.conftest import ROOT

pytest.importorskip("material", reason="mkdocs-material is absent: pip install -e '.[docs]'")

LOADS = dict.fromkeys(("script", "img", "iframe", "source", "video", "audio", "embed"), "src")
LOADS |= {"object": "data", "use": "href", "image": "href"}
FROM_CSS = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")
SHOWN = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


class Html(HTMLParser):
    """What a page loads, where it leads, and the anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "id" in found:
            self.anchors.add(found["id"])
        if tag == "a":
            self.links.append(found.get("href", ""))
        elif tag == "link" and found.get("rel") not in ("canonical", "prev", "next"):
            self.loads.append(found.get("href", ""))
        elif tag == "meta" and found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"]
        self.loads += [found[LOADS[tag]]] if found.get(LOADS.get(tag, "")) else []
        self.loads += [one for pair in FROM_CSS.findall(found.get("style", "")) for one in pair if one]


def build(config: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Build a site strictly, not quietly: then no warning would count."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(folder)]
    environment = {"NO_MKDOCS_2_WARNING": "1", "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: any warning fails."""
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Html]:
    """Every page of the site."""
    return {path: Html(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def is_elsewhere(address: str) -> bool:
    """Return whether an address is on another host."""
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme not in ("", "data", "blob")


@pytest.mark.slow
def test_every_page_of_the_navigation_is_built(pages: dict[Path, Html]) -> None:
    assert len(pages) > 40
    titles = {path.name for path in pages}
    assert {"commands.html", "data_dictionary.html", "centers.html", "model_card.html", "RESULTS.html"} <= titles


@pytest.mark.slow
def test_no_page_loads_a_script_a_style_a_font_or_a_picture_from_another_host(pages: dict[Path, Html]) -> None:
    assert all(page.loads for page in pages.values())
    assert {(path.name, one) for path, page in pages.items() for one in page.loads if is_elsewhere(one)} == set()


@pytest.mark.slow
def test_no_style_sheet_loads_from_another_host(site: Path) -> None:
    sheets = sorted(site.rglob("*.css"))
    assert len(sheets) > 2
    found = {(path.name, one) for path in sheets for pair in FROM_CSS.findall(path.read_text()) for one in pair if one}
    assert {(name, one) for name, one in found if is_elsewhere(one)} == set()


@pytest.mark.slow
def test_a_browser_is_told_to_load_nothing_from_another_host(pages: dict[Path, Html]) -> None:
    """The theme's script would fetch others if a page had a diagram for them, or a browser were very old."""
    assert {page.policy.split(";")[0] for page in pages.values()} == {
        "default-src 'self' file: data: blob: 'unsafe-inline'"
    }


def test_what_a_page_loads_and_links_to_exists(site: Path, pages: dict[Path, Html]) -> None:
    lost = set()
    for path, page in pages.items():
        for address in [*page.links, *page.loads]:
            parts = urlsplit(address)
            if is_elsewhere(address) or parts.scheme or path.name == "404.html":  # its addresses begin at the root
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchor = unquote(parts.fragment)
            is_lost = target in pages and anchor not in {*pages[target].anchors, "__skip", ""}
            if not target.is_file() or is_lost:
                lost.add((path.name, address))
    assert lost == set()


@pytest.mark.parametrize("path", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.stem)
def test_a_link_of_a_page_leads_to_a_file_on_github_too(path: Path) -> None:
    links = [link.split("#")[0] for link in SHOWN.findall(path.read_text(encoding="utf-8")) if ":" not in link]
    assert [link for link in links if link and not (path.parent / link).exists()] == []


def small(folder: Path, text: str) -> Path:
    """Write a project of one page and one file outside docs/, with the hooks of the real one; return its settings."""
    (folder / "docs").mkdir()
    (folder / "docs" / "index.md").write_text(text)
    (folder / "code.py").write_text("answer = 42\n")
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    kept = {key: settings[key] for key in ("site_name", "use_directory_urls", "validation", "not_in_nav")}
    hooks = [str(ROOT / hook) for hook in settings["hooks"]]
    (folder / "mkdocs.yml").write_text(yaml.safe_dump({**kept, "hooks": hooks}))
    return folder / "mkdocs.yml"


def test_a_link_to_a_file_outside_docs_becomes_a_page_that_shows_it(tmp_path: Path) -> None:
    done = build(small(tmp_path, "# One\n\n[code](../code.py)\n\n```\n[code](../code.py)\n```\n"), tmp_path / "site")
    assert done.returncode == 0, done.stderr
    made = (tmp_path / "site" / "index.html").read_text()
    assert 'href="repo/code.py.html' in made
    assert "[code](../code.py)" in made  # what stands in a listing is not a link
    assert "answer = 42" in (tmp_path / "site" / "repo" / "code.py.html").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("link", ["../../outside.py", "../absent.py", "#absent"])
def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path, link: str) -> None:
    (tmp_path / "outside.py").write_text("")
    inner = tmp_path / "inner"
    inner.mkdir()
    done = build(small(inner, f"# One\n\n[link]({link})\n"), tmp_path / "site")
    assert done.returncode != 0
    assert "Aborted" in done.stderr + done.stdout
