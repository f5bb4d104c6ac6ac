"""The page in a real Chromium; without one these tests are skipped."""

import asyncio
import re
import shutil
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from oms_es import OrderRejected
from tests.desk import Clock, desk, submit
from tests.report.conftest import answer, oms

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright's Python package")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
    pytest.mark.xdist_group("browser"),
]
LAPTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
HOSTILE = ("<script>alert(1)</script>", "\u202eevil\u2066", "</script><img src=x onerror=alert(1)>", "a'b\"c&d")
FIGURES = "Array.from(document.querySelectorAll('[data-row] [data-name]'), (cell) => cell.textContent)"


class Shown:
    """A page in a browser, with everything that it reported and asked for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.problems: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.problems.append(message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def open(self, path: Path, fragment: str = "") -> "Shown":
        self.page.goto(f"{path.as_uri()}{fragment}")
        self.frame()
        return self

    def frame(self) -> None:
        """Wait until the page shows what was done."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
        self.frame()

    def has(self, selector: str, text: str, seconds: float) -> bool:
        """Return whether an element has a text before the time is over; the page's policy allows no polling in it."""
        until = time.monotonic() + seconds
        while self.page.text_content(selector) != text and time.monotonic() < until:
            self.page.wait_for_timeout(20)
        return bool(self.page.text_content(selector) == text)

    @property
    def seq(self) -> int:
        return int(re.sub(r"\D", "", self.page.inner_text("#moment-seq")))

    @property
    def figures(self) -> list[str]:
        found: list[str] = self.page.evaluate(FIGURES)
        return found

    def click(self, selector: str) -> None:
        self.page.click(selector)
        self.frame()


@pytest.fixture(scope="module")
def browser(demo_page: Path, hostile_page: Path) -> Iterator[Any]:  # noqa: ARG001 - made before, for they run a loop
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of a day whose names are meant to do harm."""
    folder = tmp_path_factory.mktemp("hostile")

    async def trade() -> None:
        made = desk(folder / "day.db")
        for number, name in enumerate(HOSTILE):
            await submit(made, f"{name}{number}", symbol=name, quantity=100, price=1)
            await made.add_fill(f"{name}{number}", 100, 1, name, fee="0.1")
            with pytest.raises(OrderRejected):
                await submit(made, f"r{name}{number}", symbol=name, quantity=999_999, price=1)
        await made.close()

    asyncio.run(trade())
    oms("report", "--log", str(folder / "day.db"), "-o", str(folder / "day.html"))
    return folder / "day.html"


@pytest.fixture
def shown(browser: Any) -> Iterator[Shown]:
    """Return an empty page on a laptop; at the end nothing may have been reported, and nothing asked for."""
    context = browser.new_context(viewport=LAPTOP, reduced_motion="reduce")
    found = Shown(context.new_page())
    yield found
    context.close()
    assert found.problems == []
    assert [url for url in found.requests if not url.startswith("file:")] == []


def as_shown(positions: list[dict[str, Any]]) -> list[str]:
    """Return quantity, average price at ten digits and P&L in all, as the page shows them."""
    from decimal import Decimal

    from oms_es.decimals import canonical, short
    from oms_es.report.markup import number

    cells = []
    for row in positions:
        average, unrealized = row["avg_price"], row["unrealized_pnl"]
        pnl = None if unrealized is None else canonical(Decimal(row["realized_pnl"]) + Decimal(unrealized))
        cells += [
            number(Decimal(row["quantity"])),
            number(None if average is None else short(Decimal(average))),
            number(pnl, signed=True),
        ]
    return cells


@pytest.mark.parametrize("seq", [61, 77])
def test_an_arrow_key_goes_to_the_next_event_and_shows_the_positions_of_at_seq(
    shown: Shown, demo_page: Path, demo_log: Path, seq: int
) -> None:
    shown.open(demo_page, f"#seq={seq - 1}")

    shown.press("ArrowRight")

    assert shown.seq == seq
    held = answer("positions", "--at-seq", str(seq), "--log", str(demo_log))["positions"]
    names = [row["account"] for row in held]
    assert [cell for cell in shown.figures if cell != "\u2013"][-3 * len(names) :] == as_shown(held)


def test_the_keys_step_by_one_by_ten_and_by_order(shown: Shown, demo_page: Path) -> None:
    shown.open(demo_page, "#seq=50")
    steps = [("ArrowLeft", 49), ("Shift+ArrowRight", 59), ("PageUp", 52), ("PageDown", 64), ("Home", 0), ("End", 81)]

    for key, seq in steps:
        shown.press(key)
        assert shown.seq == seq, key


def test_the_clock_by_event_time_counts_the_late_fill_before_it_was_recorded(shown: Shown, demo_page: Path) -> None:
    shown.open(demo_page, "#seq=50&clock=recorded&symbol=BOLT&account=default")
    recorded = shown.figures[-3]

    shown.page.check("[name=clock][value=event]", force=True)
    shown.frame()

    assert (recorded, shown.figures[-3]) == ("95", "80")
    shown.page.wait_for_url("**clock=event**")


def test_clicks_lead_from_a_position_to_its_lot_its_order_and_its_checks(shown: Shown, demo_page: Path) -> None:
    shown.open(demo_page)

    shown.click("[data-row='2'] [data-name=quantity]")
    assert shown.page.inner_text("#panel-title") == "BOLT"
    assert shown.page.inner_text("#panel tr.sum").split() == ["in", "all", "70", "860.5"]
    shown.click("#panel [data-open='fill:55']")
    shown.click("#panel [data-open='order:default/b-4']")

    panel = shown.page.inner_text("#panel")
    assert all(words in panel for words in ("POSITION_SIZE", "passed", "20 @ 12.25, trade b-4-t1"))
    assert shown.page.inner_text("#crumbs").split() == ["BOLT", "\u203a", "Fill", "55", "\u203a"]
    shown.press("Escape")
    assert shown.page.inner_text("#panel-title") == "Fill 55"
    shown.press("Escape", "Escape")
    assert shown.page.is_hidden("#panel")


def test_a_rejection_is_explained_after_two_clicks(shown: Shown, demo_page: Path) -> None:
    shown.open(demo_page)

    shown.click("[data-open='list:refused']")
    shown.click("#panel [data-open='order:default/a-2']")

    assert "POSITION_SIZE: 1000 ACME would exceed the limit of 500" in shown.page.inner_text("#panel .violations")


def test_the_address_restores_the_finding(shown: Shown, demo_page: Path) -> None:
    shown.open(demo_page, "#seq=46&clock=event&symbol=ACME&from=30&open=order%3Adefault%2Fa-2")
    shown.page.wait_for_timeout(200)
    first = (shown.page.url, shown.figures, shown.page.inner_text("#panel"), shown.page.inner_text("#diff"))

    shown.page.goto("about:blank")
    shown.open(demo_page, first[0][first[0].index("#") :])

    shown.page.wait_for_timeout(200)
    assert (shown.page.url, shown.figures, shown.page.inner_text("#panel"), shown.page.inner_text("#diff")) == first
    assert shown.seq == 46


def test_the_comparison_of_two_events_is_that_of_diff(shown: Shown, demo_page: Path, demo_log: Path) -> None:
    shown.open(demo_page, "#seq=77&from=37")

    rows = shown.page.evaluate(
        "Array.from(document.querySelectorAll('#diff [data-figure]'), (row) => [row.dataset.figure,"
        " ...Array.from(row.querySelectorAll('.num'), (cell) => cell.textContent)])"
    )

    theirs = answer("diff", "seq:37", "seq:77", "--log", str(demo_log))["positions"]
    expected = [
        [name, each["from"] or "\u2013", each["to"], each["change"]]
        for row in theirs
        for name, each in row.items()
        if isinstance(each, dict)
    ]
    plain = [[name, *(cell.replace(",", "").replace("+", "") for cell in cells)] for name, *cells in rows]
    assert plain == expected


@pytest.mark.parametrize("fragment", ["", "#seq=50&from=20&open=position%3A2", "#open=order%3Adefault%2Fa-2"])
def test_nothing_is_wider_than_a_phone(shown: Shown, demo_page: Path, fragment: str) -> None:
    shown.page.set_viewport_size(PHONE)
    shown.open(demo_page, fragment)

    wide = shown.page.evaluate(
        "Array.from(document.querySelectorAll('body *')).filter((each) => each.getBoundingClientRect().right > 391 &&"
        " each.checkVisibility() && !each.closest('.legend, .clock legend')).map((each) => each.outerHTML.slice(0, 90))"
    )

    assert shown.page.evaluate("document.documentElement.scrollWidth") == 390
    assert wide == []


def test_names_that_are_markup_stay_text(shown: Shown, hostile_page: Path) -> None:
    shown.open(hostile_page)
    shown.page.on("dialog", lambda dialog: shown.problems.append(dialog.message))

    for row in range(len(HOSTILE)):
        shown.click(f"[data-row='{row}'] .pick")
        shown.click(f"[data-row='{row}'] [data-name=quantity]")
        shown.click("#panel [data-open^='order:']")
        shown.press("Escape", "Escape")
    shown.press("Home", "ArrowRight", "End")

    text = shown.page.inner_text("body")
    assert all(
        name in text for name in ("<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", "\\u202eevil")
    )
    assert "\u202e" not in shown.page.inner_html("body main")
    assert shown.page.evaluate("document.images.length") == 0


def test_without_scripts_the_figures_and_tables_are_there(browser: Any, demo_page: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(demo_page.as_uri())

    assert {"+39.75", "BOLT", "12.29285714", "rejected"} <= set(re.split(r"[\s●◐✕]+", page.inner_text("body")))
    assert page.is_hidden("#chart-card")
    context.close()


def test_scrubbing_shows_thirty_events_a_second_or_more(shown: Shown, demo_page: Path) -> None:
    shown.open(demo_page, "#seq=0")

    # The time of one frame is that of the page's work and of the layout: on a busy machine, frames come later.
    times = shown.page.evaluate(
        "(async () => { const range = document.querySelector('#seq'), times = []; let begun;"
        " for (let seq = 1; seq <= 60; seq++) { requestAnimationFrame(() => { begun = performance.now(); });"
        " range.value = seq; range.dispatchEvent(new Event('input'));"
        " await new Promise((done) => requestAnimationFrame(() => { document.body.offsetHeight;"
        " times.push(performance.now() - begun); done(); })); } return times; })()"
    )

    assert shown.seq == 60
    assert sorted(times)[len(times) // 2] < 1000 / 30


def test_a_fill_is_on_the_live_page_within_a_second(browser: Any, tmp_path: Path) -> None:
    """The desk runs in a thread, because the driver of the browser has the event loop of this one."""
    pytest.importorskip("uvicorn", reason="needs oms_es[serve]")
    from tests.report.test_server import TOKEN, Served

    runner, thread = asyncio.Runner(), ThreadPoolExecutor(1)
    made = desk(tmp_path / "day.db", Clock())

    def carry_out(command: Coroutine[Any, Any, object]) -> None:
        thread.submit(runner.run, command).result()

    carry_out(submit(made, "o-1", quantity=100))
    carry_out(made.add_fill("o-1", 10, 10, "t-1"))
    context = browser.new_context(viewport=LAPTOP)
    with Served(tmp_path / "day.db") as served:
        live = Shown(context.new_page())
        live.page.goto(f"http://{served.name}/?token={TOKEN}")
        assert live.has("#live", "\u25cf live", seconds=10)
        was = live.seq
        carry_out(made.add_fill("o-1", 25, 10, "t-2"))

        assert live.has("[data-name=quantity]", "35", seconds=1)
        assert live.seq == was + 1
        assert TOKEN not in live.page.url
        live.click("[data-name=quantity]")
        live.page.wait_for_selector("#panel tr.sum")
        assert live.page.inner_text("#panel tr.sum").split() == ["in", "all", "35", "350"]
        assert live.problems == []
        context.close()
    carry_out(made.close())
    thread.submit(runner.close).result()
    thread.shutdown()
