"""Take files outside docs/ into the site: those that `nav` names under repo/, and all that pages link to.

On GitHub a page links to a file of the repository by its relative path, such as `../NOTICE`. A site holds only docs/.
So each linked file becomes a page under repo/, Markdown as it is and anything else as a listing, and links to it are
rewritten. A link to a file that does not exist is left alone, and a strict build then fails.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

PREFIX = "repo/"
FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1`*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[)\s#])")  # target without its anchor; a colon means another host
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".sql": "sql", ".csv": "text"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file of the repository that the navigation names or a page links to."""
    root = _root(config)
    waiting = [_repository_path(file.src_uri) for file in files.documentation_pages()]
    waiting += [name.removeprefix(PREFIX) for name in _names(config.nav) if name.startswith(PREFIX)]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen or not (root / path).is_file():
            continue
        seen.add(path)
        if not path.startswith("docs/"):
            files.append(_page(config, root, path))
        if path.endswith(".md"):
            text = FENCE.sub("", (root / path).read_text(encoding="utf-8"))
            waiting += [target for link in LINK.findall(text) if (target := _target(root, path, link))]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to files of the repository at their pages."""
    root, here = _root(config), page.file.src_uri

    def moved(match: re.Match[str]) -> str:
        target = _target(root, _repository_path(here), match[1])
        return posixpath.relpath(_uri(target), posixpath.dirname(here)) if target else match[1]

    parts, last = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [LINK.sub(moved, markdown[last : fence.start()]), fence[0]]
        last = fence.end()
    return "".join([*parts, LINK.sub(moved, markdown[last:])])


def _root(config: MkDocsConfig) -> Path:
    return Path(config.config_file_path).parent


def _names(nav: object) -> Iterator[str]:
    """Return all paths in a navigation."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, (list, dict)):
        for entry in nav.values() if isinstance(nav, dict) else nav:
            yield from _names(entry)


def _uri(path: str) -> str:
    """Return the source of the site's page, or of the file in docs/, for a path in the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return PREFIX + (path if path.endswith(".md") else f"{path}.md")


def _repository_path(uri: str) -> str:
    return uri.removeprefix(PREFIX) if uri.startswith(PREFIX) else f"docs/{uri}"


def _target(root: Path, source: str, link: str) -> str | None:
    """Return the path in the repository that a link of a page leads to; None where there is no such file."""
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    return None if path.startswith("..") or not (root / path).is_file() else path


def _page(config: MkDocsConfig, root: Path, path: str) -> File:
    if path.endswith(".md"):
        return File.generated(config, _uri(path), abs_src_path=str(root / path))
    language = LANGUAGES.get(posixpath.splitext(path)[1], "text")
    text = (root / path).read_text(encoding="utf-8")
    return File.generated(config, _uri(path), content=f"# `{path}`\n\n``````{language}\n{text.rstrip()}\n``````\n")
