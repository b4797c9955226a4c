"""The page of a centre: what stands in it, and that it works in a browser from the disk."""

from __future__ import annotations

import html.parser
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from warehouse.quality.measures import MEASURES as OF_INTENSITIES
from warehouse.quality.page import COLUMNS, write_page
from warehouse.quality.resolution import RESOLUTION_MEASURES

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
VOID = {"meta", "link", "input", "img", "br"}
Row = Mapping[str, Any]
MEASURES = (*OF_INTENSITIES, *RESOLUTION_MEASURES)
CJV = {"a": 0.40, "b": 0.42, "c": 0.41, "d": 0.43, "e": 0.39, "f": 0.95}


def tables(values: Mapping[str, float | None] = CJV, **verdicts: str) -> dict[str, Sequence[Row]]:
    """Rows of one reference scan per visit, named by their letter."""
    volumes = [
        {
            "image_id": name,
            "session_id": f"alpha/sub-{name}",
            "form": form,
            "recipe": "standard",
            "is_reference": True,
            "verdict": "flag" if name in verdicts else "pass",
            "verdict_reason": verdicts.get(name),
            "mask_volume_ml": 1400.0,
            "seconds": 30.0,
        }
        for name in values
        for form in ("native", "session")
    ]
    quality = [
        {"image_id": name, "measure": measure, "value": value if measure == "cjv" else None, "reason": reason}
        for name, value in values.items()
        for measure in MEASURES
        for reason in ["the scan was <stripped>"]
    ]
    moves = [
        {"image_id": name, "kind": kind, "translation_mm": 2.0, "similarity_after": similarity}
        for name in values
        for kind, similarity in (("reference_to_mni_rigid", 0.61), ("native_to_session", None))
    ]
    return {"core.volume": volumes, "core.quality": quality, "core.transform": moves, "core.volume_rejection": []}


def images(names: str = "abcdef", contrast: str = "T1w") -> dict[str, dict[str, str]]:
    return {
        name: {"session_id": f"alpha/sub-{name}", "contrast": contrast, "name": f"sub-{name}_{contrast}.nii.gz"}
        for name in names
    }


def text_of(path: Path, **more: Any) -> str:
    given: dict[str, Any] = {"rows": tables(), "mosaics": {}, "images": images()} | more
    write_page("alpha", given["rows"], given["mosaics"], path, given["images"])
    return path.read_text(encoding="utf-8")


def row_of(text: str, name: str) -> str:
    return next(row for row in re.findall(r"<tr data-.*?</tr>", text, re.S) if f"sub-{name}<" in row)


class Balance(html.parser.HTMLParser):
    """Counts on every element being closed by its own end."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_scan_has_one_row_with_every_measure(tmp_path: Path) -> None:
    text = text_of(tmp_path / "quality.html")
    balance = Balance()
    balance.feed(text)
    assert balance.open == []
    assert text.count("<tr data-verdict=") == 6
    assert "6 visits, 6 scans; recipe standard" in text
    assert all(f">{column.name}" in text for column in COLUMNS)
    assert row_of(text, "a").count('<td class="n') == len(COLUMNS)


def test_the_page_needs_no_network(tmp_path: Path) -> None:
    text = text_of(tmp_path / "quality.html")
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text
    assert set(re.findall(r'(?:src|href)="([^"]*)"', text)) == {"data:,"}


def test_a_missing_value_says_why_and_has_nothing_to_sort_by(tmp_path: Path) -> None:
    row = row_of(text_of(tmp_path / "quality.html"), "a")
    assert row.count('title="the scan was &lt;stripped&gt;"') == len(MEASURES) - 1
    assert 'data-v="0.4"' in row
    assert "<stripped>" not in row


def test_what_was_never_measured_says_so(tmp_path: Path) -> None:
    rows = tables() | {"core.quality": []}
    assert row_of(text_of(tmp_path / "quality.html", rows=rows), "a").count('title="not measured"') == len(MEASURES)


def test_values_far_from_their_like_are_marked_by_the_rule_of_the_catalogue(tmp_path: Path) -> None:
    text = text_of(tmp_path / "quality.html")
    assert text.count('class="n far"') == 1
    assert "▲ 0.950" in row_of(text, "f")


def test_four_scans_of_a_contrast_tell_nothing(tmp_path: Path) -> None:
    some = {name: CJV[name] for name in "abcf"}
    assert 'class="n far"' not in text_of(tmp_path / "quality.html", rows=tables(some))


def test_contrasts_are_not_compared_with_each_other(tmp_path: Path) -> None:
    mixed = images("abcde") | images("f", "FLAIR")
    assert 'class="n far"' not in text_of(tmp_path / "quality.html", images=mixed)


def test_verdicts_are_counted_and_explained(tmp_path: Path) -> None:
    rows = tables(a="the brain is small & dark")
    rows["core.volume_rejection"] = [
        {"image_id": "z", "stage": "register", "detail": "worse than nothing", "remedy": "look at the scan"}
    ]
    text = text_of(tmp_path / "quality.html", rows=rows, images=images("abcdefz"))
    assert "the brain is small &amp; dark" in row_of(text, "a")
    assert "register: worse than nothing → look at the scan" in row_of(text, "z")
    assert re.findall(r"(all|pass|flag|rejected) <b>(\d+)</b>", text) == [
        ("all", "7"),
        ("pass", "5"),
        ("flag", "1"),
        ("rejected", "1"),
    ]


def test_pictures_are_linked_beside_the_page_and_loaded_late(tmp_path: Path) -> None:
    picture = tmp_path / "sessions" / "alpha sub-a#1.png"
    picture.parent.mkdir()
    picture.write_bytes(b"")
    mosaics = {"alpha/sub-a": picture, "alpha/sub-b": tmp_path / "absent.png"}
    text = text_of(tmp_path / "quality.html", mosaics=mosaics)
    assert 'src="sessions/alpha%20sub-a%231.png"' in row_of(text, "a")
    assert 'loading="lazy"' in row_of(text, "a")
    assert "no picture" in row_of(text, "b")


def test_names_that_look_like_markup_stay_names(tmp_path: Path) -> None:
    evil = {"a": {"session_id": "alpha/sub-a", "contrast": "T1w", "name": "<script>alert(1)</script>"}}
    text = text_of(tmp_path / "quality.html", images=evil)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>alert" not in text
    assert "{{" not in text


def test_a_centre_without_volumes_has_a_page(tmp_path: Path) -> None:
    text = text_of(tmp_path / "quality.html", rows={}, images={})
    assert "0 visits, 0 scans; recipe none" in text


def test_the_same_rows_give_the_same_page(tmp_path: Path) -> None:
    assert text_of(tmp_path / "a.html") == text_of(tmp_path / "b.html")


@pytest.mark.browser
def test_sorting_and_filtering_work_from_the_disk(tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    values: dict[str, float | None] = {"a": 0.9, "b": None, "c": 0.2, "d": 1.5}
    text = text_of(tmp_path / "quality.html", rows=tables(values, c="dark"))
    column = 4 + [column.name for column in COLUMNS].index("cjv")
    driver = f"""<script>
        const order = () => [...document.querySelectorAll("tbody tr:not([hidden]) .id")]
            .map((item) => item.textContent.at(-1)).join("");
        const said = [order()];
        for (let round = 0; round < 2; round++) {{
            document.querySelectorAll("thead th")[{column}].querySelector("button").click(); said.push(order());
        }}
        document.querySelector("input[value=flag]").click(); said.push(order());
        document.querySelector("td.none").click(); said.push(document.getElementById("reason").textContent);
        document.title = said.join("|");
    </script></body>"""
    driven = tmp_path / "driven.html"
    driven.write_text(text.replace("</body>", driver), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run([browser, *flags, driven.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    title = re.search("<title>(.*)</title>", done.stdout)
    assert title is not None
    assert title[1].split("|")[:4] == ["abcd", "cadb", "dacb", "c"]
    assert "the scan was" in title[1]
