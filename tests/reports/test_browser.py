"""The page as a reader opens it: Chromium, light and dark, phone and desk."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from genmem.reports import report

pytestmark = pytest.mark.browser

ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
# What sticks out of the window to the right, unless inside a box that scrolls by itself.
STICKING_OUT = """() => [...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.scroll, svg') && e.getBoundingClientRect().right > innerWidth + 0.5)
  .map(e => e.tagName + '.' + e.className)"""
# Words that overlap another word of the same figure by more than a third of the smaller.
COVERED = """() => [...document.querySelectorAll('svg.plot')].flatMap(svg => {
  const texts = [...svg.querySelectorAll('text')]
  const boxes = texts.map(t => [t.textContent, t.getBoundingClientRect()])
  const area = b => b.width * b.height
  const shared = (a, b) => Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left))
                         * Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top))
  return boxes.flatMap(([s, a], i) => boxes.slice(i + 1)
    .filter(([, b]) => shared(a, b) > Math.min(area(a), area(b)) / 3).map(([t]) => s + ' / ' + t))
})"""
# Words of a figure that leave its frame.
CUT_OFF = """() => [...document.querySelectorAll('svg.plot')].flatMap(svg => {
  const frame = svg.getBoundingClientRect()
  return [...svg.querySelectorAll('text')].filter(t => {
    const b = t.getBoundingClientRect()
    return b.left < frame.left - 2 || b.right > frame.right + 2 || b.top < frame.top - 2
        || b.bottom > frame.bottom + 2
  }).map(t => t.textContent)
})"""


@dataclass
class Seen:
    """An open page, what the browser said while it opened, and what it asked for."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("no chromium on the path: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as driver:
        yield lambda folder, **options: driver.chromium.launch_persistent_context(
            folder, executable_path=executable, args=ARGUMENTS, headless=True, **options
        )


@pytest.fixture(scope="module")
def path(digits_run: Path) -> Path:
    return report(digits_run)


@pytest.fixture(
    scope="module",
    params=[(390, "light"), (390, "dark"), (1440, "light"), (1440, "dark")],
    ids=str,
)
def seen(
    request: pytest.FixtureRequest,
    browser: Any,
    path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Seen]:
    width, scheme = request.param
    window = {"width": width, "height": 900}
    profile = tmp_path_factory.mktemp("profile")
    context = browser(profile, viewport=window, color_scheme=scheme)
    try:
        opened = Seen(context.pages[0])
        opened.page.on("console", lambda message: opened.said.append(message.text))
        opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
        opened.page.on("requestfailed", lambda request: opened.said.append(request.url[:200]))
        opened.page.on("request", lambda request: opened.asked.append(request.url[:200]))
        opened.page.goto(path.as_uri())
        opened.page.wait_for_load_state()
        yield opened
    finally:
        context.close()


def test_the_page_opens_well(seen: Seen, tmp_path: Path) -> None:
    page = seen.page
    assert seen.said == []
    assert seen.asked == [seen.page.url]
    width = page.evaluate("innerWidth")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(STICKING_OUT) == []
    assert page.evaluate("document.images.length") == 280
    undecoded = "[...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).length"
    assert page.evaluate(undecoded) == 0
    assert page.evaluate(COVERED) == []
    assert page.evaluate(CUT_OFF) == []
    picture = tmp_path / "page.png"
    page.screenshot(path=str(picture), full_page=True)
    assert picture.stat().st_size > 100_000


def test_the_ground_follows_the_scheme(seen: Seen) -> None:
    dark = seen.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    ground, ink = seen.page.evaluate(
        "[getComputedStyle(document.body).backgroundColor,"
        " getComputedStyle(document.querySelector('svg.plot text')).fill]"
    )
    assert ground == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")
    assert ink == ("rgb(232, 234, 237)" if dark else "rgb(25, 29, 34)")


def test_small_pictures_keep_their_pixels(seen: Seen) -> None:
    style = "getComputedStyle(document.querySelector('.face img')).imageRendering"
    assert seen.page.evaluate(style) == "pixelated"
    assert seen.page.evaluate("document.querySelector('.face img').width") >= 96


def test_tables_open_and_stay_inside(seen: Seen) -> None:
    seen.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert seen.page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
    assert seen.page.evaluate("document.querySelectorAll('.numbers tbody tr').length") == 50


def test_the_checks_can_fail(seen: Seen) -> None:
    page = seen.page
    page.evaluate(
        """() => {
          const text = document.querySelector('svg.plot text'), twin = text.cloneNode(true)
          const far = text.cloneNode(true)
          far.setAttribute('x', -500)
          const wide = document.createElement('p')
          wide.style.width = '5000px'
          twin.id = far.id = wide.id = ''
          text.after(twin, far)
          document.body.append(wide)
          window.added = [twin, far, wide]
        }"""
    )
    try:
        assert page.evaluate(COVERED)
        assert page.evaluate(CUT_OFF)
        assert page.evaluate(STICKING_OUT)
    finally:
        page.evaluate("window.added.forEach(element => element.remove())")
    assert page.evaluate(COVERED) == page.evaluate(CUT_OFF) == page.evaluate(STICKING_OUT) == []
