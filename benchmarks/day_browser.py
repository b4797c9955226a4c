"""What an operator does in Dagster's pages, for `benchmarks.day`: Playwright drives the system's Chromium."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOCATION = "locations/pipelines.definitions"
SIZE = {"width": 1560, "height": 900}
PATIENCE_MS, RELOAD_MS, SETTLE_MS = 120_000, 10_000, 2_500
IMAGE = "assets/core/image?view=partitions"


class Operator:
    """A person at a browser.

    Parameters
    ----------
    page : Page
    address : str
        Of Dagster's web server.
    pictures : Path or None
        Folder for pictures of pages; None where none are wanted.
    """

    def __init__(self, page: Page, address: str, pictures: Path | None) -> None:
        self.page, self.address, self.pictures = page, address, pictures

    def go(self, path: str) -> None:
        """Open a page."""
        self.page.goto(f"{self.address}/{path}", wait_until="domcontentloaded")

    def switch_on(self, path: str) -> None:
        """Turn on a sensor or a schedule, on its own page."""
        self.go(f"{LOCATION}/{path}")
        switch = self.page.locator("input[type=checkbox]").first
        switch.wait_for(state="attached")
        if not switch.is_checked():
            switch.dispatch_event("click")  # what is seen is drawn over it
            self.page.wait_for_function("document.querySelector('input[type=checkbox]').checked")
        self.leave()

    def show(self, name: str, path: str, *texts: str) -> None:
        """Open a page until it shows these texts, and save a picture of it where that is wanted."""
        end = time.monotonic() + PATIENCE_MS / 1000
        while time.monotonic() < end:
            self.go(path)
            with suppress(self._too_long()):
                for text in texts:
                    self.page.get_by_text(text).locator("visible=true").first.wait_for(timeout=RELOAD_MS)
                break
        else:
            raise AssertionError(f"{path} does not show {texts}: {self.page.inner_text('body')}")
        self.picture(name)
        self.leave()

    def picture(self, name: str) -> None:
        """Save a picture of the page, where that is wanted."""
        if self.pictures:
            self.page.wait_for_timeout(SETTLE_MS)
            self.page.screenshot(path=self.pictures / f"{name}.png")

    def leave(self) -> None:
        """Leave the page: an open one asks the server again and again."""
        self.page.goto("about:blank")

    def backfill(self) -> None:
        """Ingest all centres: each partition gets a run of its own."""
        self.go(IMAGE)
        self.page.get_by_role("button", name="Materialize").first.click()
        window = self.page.get_by_role("dialog")
        window.get_by_role("button", name="Confirm").click()  # the tables of a centre are made together
        window.get_by_role("button", name="All", exact=True).click()
        self.picture("day_backfill")
        window.get_by_role("button", name="Launch backfill").click()
        window.wait_for(state="hidden")
        self.leave()

    def materialise(self, center_id: str) -> None:
        """Ingest one centre."""
        self.go(f"{IMAGE}&partition={center_id}")
        self.page.get_by_role("button", name="Materialize").first.click()
        window = self.page.get_by_role("dialog")
        window.get_by_role("button", name="Confirm").click()
        window.get_by_role("button", name="Launch 1 run").click()
        window.wait_for(state="hidden")
        self.leave()

    @staticmethod
    def _too_long() -> type[Exception]:
        from playwright.sync_api import TimeoutError as TooLong

        return TooLong


@contextmanager
def operator(address: str, pictures: Path | None) -> Iterator[Operator]:
    """Open a browser, which ends with the block."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise SystemExit(f"no browser is installed: none of {', '.join(BROWSERS)} is on the path")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE_MS)
        yield Operator(page, address, pictures)
        browser.close()
