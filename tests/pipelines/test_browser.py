"""An operator's way through Dagster in a real browser: lineage, a partition, its run, its checks, the schedule.

Chromium is the system's; Playwright drives it and downloads nothing. TUMSYN_PICTURES names a folder for pictures of the
pages, such as those in docs/pictures. Waits are long, because several tests may share the processors.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psutil
import pytest

from tests import hostile
from tests.conftest import write_bids
from tests.pipelines.commands.test_ui import BROWSERS, serving
from tests.pipelines.test_hostile import Seen
from warehouse.catalog.publish import publish
from warehouse.centers.registry import Center, Layout, register
from warehouse.lake.home import Home

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LOCATION = "pipelines.definitions"
SCHEDULE = "retraining"
IMAGE = "assets/core/image"
DECISION = "assets/core/retraining_decision"
CENTER = "example"
LAYERS = ("raw", "core", "out", "meta", "model")
PATIENCE_MS = 180_000
RELOAD_MS = 20_000
SIZE = {"width": 1560, "height": 900}
PICTURES = "TUMSYN_PICTURES"


@dataclass
class Visit:
    """A page at an address, and what it did that it must not: windows that it opened, other hosts that it asked."""

    page: Page
    address: str
    windows: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        self.page.goto(f"{self.address}/{path}", wait_until="domcontentloaded")

    def picture(self, name: str) -> None:
        """Save a picture of the page, where that is wanted."""
        if folder := os.environ.get(PICTURES):
            self.page.wait_for_timeout(3000)  # until moving parts have come to rest
            self.page.screenshot(path=Path(folder) / f"{name}.png")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
    )
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        pytest.skip(f"no browser is installed: none of {', '.join(BROWSERS)} is on the path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A fresh home with a registered centre, of which nothing is read yet."""
    folder = tmp_path_factory.mktemp("operated")
    home = Home(folder / "home")
    register(home, Center(center_id=CENTER, title="Example", layout=Layout(kind="bids")), write_bids(folder / "bids"))
    return home


@pytest.fixture(scope="module")
def address(chromium: Browser, home: Home) -> Iterator[str]:
    """The home in Dagster; `chromium` comes first, so that nothing is started where there is no browser."""
    with serving(home) as address:
        yield address


@pytest.fixture(scope="module")
def visit(chromium: Browser, address: str) -> Iterator[Visit]:
    page = chromium.new_page(viewport=SIZE)
    page.set_default_timeout(PATIENCE_MS)
    visit = Visit(page, address)

    def asked(request: Any) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            visit.strangers.append(request.url)

    def opened(window: Any) -> None:
        visit.windows.append(window.message)
        window.dismiss()

    page.on("request", asked)
    page.on("dialog", opened)
    yield visit
    page.close()


@pytest.fixture(scope="module")
def materialise(visit: Visit) -> Callable[[str], None]:
    """Return a function that materialises the tables of a centre, once, as an operator does; it waits for the run."""
    done = set()

    def click(center_id: str) -> None:
        if center_id in done:
            return
        done.add(center_id)
        page = visit.page
        visit.go(f"{IMAGE}?view=partitions&partition={center_id}")
        page.get_by_role("button", name="Materialize").first.click()
        window = page.get_by_role("dialog")
        window.get_by_role("button", name="Confirm").click()  # the tables of a centre are made together
        launch = window.get_by_role("button", name="Launch 1 run")
        launch.wait_for()
        if center_id == CENTER:
            visit.picture("ui_materialise")
        launch.click()
        window.wait_for(state="hidden")
        visit.go(runs_of(center_id))
        page.get_by_text("Success", exact=True).first.wait_for()

    return click


def shown(visit: Visit, path: str, text: str) -> str:
    """Open a page until it shows a text, and return all that it shows.

    A page that was opened while a run ended may keep what it read before.
    """
    end = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < end:
        visit.go(path)
        with suppress(playwright_timeout()):
            visit.page.get_by_text(text).locator("visible=true").first.wait_for(timeout=RELOAD_MS)
            return visit.page.inner_text("body")
    raise AssertionError(f"{path} does not show {text!r}: {visit.page.inner_text('body')}")


def playwright_timeout() -> type[Exception]:
    """Return the error of a wait that took too long; Playwright may be absent."""
    from playwright.sync_api import TimeoutError as TooLong

    return TooLong


def runs_of(center_id: str) -> str:
    """Return the address of the list of a centre's runs, which follows them."""
    return f"runs?q[0]={quote(f'tag:dagster/partition={center_id}', safe='')}"


def test_the_lineage_shows_every_layer(visit: Visit) -> None:
    visit.go("asset-groups")
    for layer in LAYERS:
        visit.page.get_by_text(layer, exact=True).first.wait_for()
    visit.picture("ui_lineage")
    visit.go(f"locations/{LOCATION}/asset-groups/out")
    for name in ("image_catalog", "training_pair"):
        visit.page.get_by_text(name, exact=True).first.wait_for()


def test_a_partition_is_materialised_from_the_page_and_shows_its_rows(
    visit: Visit, materialise: Callable[[str], None]
) -> None:
    materialise(CENTER)
    row = "sub-01/anat/sub-01_T1w.nii.gz"  # of the preview, which the page draws last
    text = shown(visit, f"{IMAGE}?view=partitions&partition={CENTER}", row)
    for word in ("Materialized", "dagster/row_count", row):
        assert word in text
    visit.picture("ui_partition")


def test_its_run_succeeded(visit: Visit, materialise: Callable[[str], None]) -> None:
    materialise(CENTER)
    visit.go(runs_of(CENTER))
    visit.page.get_by_text("Success", exact=True).first.wait_for()
    assert "Failure" not in visit.page.inner_text("body")
    visit.picture("ui_runs")


def test_its_checks_have_passed(visit: Visit, materialise: Callable[[str], None]) -> None:
    materialise(CENTER)
    text = shown(visit, f"{IMAGE}?view=checks", "no rule is broken")
    assert "This is a blocking asset check." in text
    assert "Passed" in text
    visit.picture("ui_checks")


def test_the_schedule_can_be_turned_on(visit: Visit) -> None:
    visit.go(f"locations/{LOCATION}/schedules/{SCHEDULE}")
    visit.page.get_by_text("Execution timezone").first.wait_for()
    switch = visit.page.locator("input[type=checkbox]").first
    assert not switch.is_checked()
    switch.dispatch_event("click")  # what is seen is drawn over it
    visit.page.wait_for_function("document.querySelector('input[type=checkbox]').checked")
    visit.page.reload()
    visit.page.get_by_text("Next tick").first.wait_for()
    assert visit.page.locator("input[type=checkbox]").first.is_checked()
    visit.picture("ui_schedule")


def test_a_tick_says_why_nothing_is_trained(visit: Visit) -> None:
    visit.go(f"locations/{LOCATION}/schedules/{SCHEDULE}")
    visit.page.get_by_role("button", name="Preview tick result").click()
    window = visit.page.get_by_role("dialog")
    window.get_by_role("button", name="Continue").click()
    window.get_by_text("nothing is published").first.wait_for()
    visit.go("overview")  # leaves the window


def test_a_decision_to_train_is_made_from_the_page_and_shows_its_figures(
    visit: Visit, materialise: Callable[[str], None], home: Home
) -> None:
    materialise(CENTER)
    publish(home)
    visit.go(DECISION)
    visit.page.get_by_role("button", name="Materialize").first.click()
    window = visit.page.get_by_role("dialog")
    window.get_by_role("button", name="Confirm").click()  # drift and decision are one step
    window.get_by_text("Are you sure?").wait_for()  # nobody trained, so that assets before it are missing
    window.get_by_role("button", name="Confirm").click()
    window.wait_for(state="hidden")
    assert "skip" in shown(visit, f"{DECISION}?view=events", "there is nothing to train on")
    visit.picture("ui_decision")


def test_what_a_hostile_dataset_says_is_text(
    visit: Visit, materialise: Callable[[str], None], home: Home, tmp_path: Path
) -> None:
    register(home, hostile.center(), hostile.write_hostile(tmp_path / "hostile"))
    end = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < end:  # until the sensor has made a partition of it
        visit.go(f"{IMAGE}?view=partitions")
        visit.page.get_by_text(CENTER, exact=True).first.wait_for()
        if visit.page.get_by_text("hostile", exact=True).count():
            break
        visit.page.wait_for_timeout(5000)
    materialise("hostile")
    for table in ("core/image", "core/acquisition", "core/rejection", "core/center", "raw/sidecar"):
        shown(visit, f"assets/{table}?view=partitions&partition=hostile", "dagster/row_count")
    shown(visit, "assets/core/acquisition?view=partitions&partition=hostile", hostile.PICTURE)
    seen = Seen(visit.page.content())
    sources = [value for name, value in seen.attributes if name == "src"]
    assert not [value for value in sources if value == "x" or "evil" in str(value)]
    # Dagster makes a link of any http address; its text is its target.
    assert not [value for name, value in seen.attributes if name == "href" and "script" in str(value)]
    assert (visit.windows, visit.strangers) == ([], [])


def test_a_quality_page_of_a_hostile_dataset_runs_nothing_that_is_not_its_own(
    chromium: Browser, attacked: Home
) -> None:
    [path] = attacked.quality.rglob("*.html")
    page, happened = chromium.new_page(viewport=SIZE), []
    page.on("dialog", lambda window: (happened.append(window.message), window.dismiss()))
    page.on("request", lambda request: happened.append(request.url))
    page.on("pageerror", lambda error: happened.append(str(error)))
    page.goto(path.as_uri())
    page.get_by_role("button").nth(2).click()  # the page's own script sorts
    shown = page.inner_text("body")
    page.close()
    assert happened == [path.as_uri()]
    for name in hostile.NAMES[:4]:
        assert name in shown


def test_every_process_listens_on_this_machine_alone(address: str) -> None:
    port = int(address.rpartition(":")[2])
    processes = psutil.Process().children(recursive=True)
    listening = {
        connection.laddr
        for process in processes
        if process.is_running()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert port in {place.port for place in listening}
    assert {place.ip for place in listening} <= {"127.0.0.1", "::1"}
