"""The page in a real browser: no errors, no network, hover, zoom, keyboard, and the width of a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.jobs.page.pages import page as made_page

pytestmark = pytest.mark.extras

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"there is no browser: none of {', '.join(BROWSERS)} is on the PATH")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(made_page(), encoding="utf-8")
    return path


class Opened:
    """The page, with what it complained of and asked for."""

    def __init__(self, browser: Browser, file: Path, **options: object) -> None:
        self.page: Page = browser.new_context(**options).new_page()  # type: ignore[arg-type]
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("#plot-map canvas")


@pytest.fixture(scope="module")
def opened(browser: Browser, file: Path) -> Opened:
    return Opened(browser, file, viewport={"width": 1280, "height": 900})


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 820, 1280])
def test_no_errors_no_network_and_no_sideways_scroll(browser: Browser, file: Path, width: int, scheme: str) -> None:
    seen = Opened(browser, file, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert seen.complaints == []
    assert seen.asked == [file.as_uri()]
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.page.locator("[id^=plot-] svg, [id^=plot-] canvas").count() == seen.page.locator("[id^=plot-]").count()
    seen.page.context.close()


def test_pointing_at_a_content_shows_its_title(opened: Opened) -> None:
    plot = opened.page.locator("#plot-map")
    plot.scroll_into_view_if_needed()
    opened.page.evaluate("""() => echarts.getInstanceByDom(document.getElementById("plot-map"))
        .dispatchAction({ type: "showTip", seriesIndex: 0, dataIndex: 0 })""")
    assert "onerror=alert(2)" in plot.inner_text(), "a hostile title is shown as text"
    assert plot.locator("img").count() == 0
    x, y = opened.page.evaluate("""() => echarts.getInstanceByDom(document.getElementById("plot-map"))
        .convertToPixel({ seriesIndex: 0 }, [JSON.parse(document.getElementById("figures").textContent).map.data.x[7],
        JSON.parse(document.getElementById("figures").textContent).map.data.y[7]])""")
    box = plot.bounding_box()
    assert box is not None
    opened.page.mouse.move(box["x"] + x, box["y"] + y)
    opened.page.wait_for_timeout(300)
    assert "semantic ID" in plot.inner_text()


SPAN = """() => { const [x] = echarts.getInstanceByDom(document.getElementById("plot-map")).getOption().xAxis;
    return [x.min, x.max] }"""


def test_the_map_zooms_into_a_code_by_list_button_and_keys(opened: Opened) -> None:
    page = opened.page
    whole = page.evaluate(SPAN)
    page.select_option("#map-code", "3")
    low, high = page.evaluate(SPAN)
    assert high - low < (whole[1] - whole[0]) * 0.7
    assert "First code 3: 20 contents" in page.locator("#map-told").inner_text()
    page.locator("#plot-map").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(SPAN)[0] > low
    page.keyboard.press("+")
    assert page.evaluate(SPAN)[1] - page.evaluate(SPAN)[0] < high - low
    page.keyboard.press("Escape")
    assert page.evaluate(SPAN) == whole
    assert page.locator("#map-told").inner_text() == ""
    page.locator("button[data-code='4']").press("Enter")
    assert page.locator("#map-code").input_value() == "4"
    page.get_by_role("button", name="Whole map").click()
    assert page.evaluate(SPAN) == whole


def test_everything_is_reached_by_keyboard(opened: Opened) -> None:
    page = opened.page
    page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(150):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"plot-map", "map-code", "SUMMARY", "BUTTON", "A"} <= reached


def test_a_heading_sorts_its_table(opened: Opened) -> None:
    page = opened.page
    table = page.get_by_role("table", name="Ranker and baselines")
    heading = table.get_by_role("columnheader", name="ranker")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    values = [float(text) for text in table.locator("tbody tr td:nth-child(4)").all_inner_texts()]
    assert values == sorted(values, reverse=True)
    heading.get_by_role("button").press("Enter")
    values = [float(text) for text in table.locator("tbody tr td:nth-child(4)").all_inner_texts()]
    assert values == sorted(values)


CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const shares = [0.2126, 0.7152, 0.0722];
  const light = (rgb) => shares.reduce((sum, share, i) => sum + share * linear(rgb[i] / 255), 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const found = parse(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const node of document.body.querySelectorAll("*")) {
    const own = [...node.childNodes].some((one) => one.nodeType === Node.TEXT_NODE && one.textContent.trim());
    if (!own || node.closest(".plot, script, svg")) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.push(`${node.tagName} ${node.innerText.slice(0, 40)} ${ratio.toFixed(2)}`);
  }
  return low;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_the_contrast_of_wcag_aa(browser: Browser, file: Path, scheme: str) -> None:
    seen = Opened(browser, file, viewport={"width": 1280, "height": 800}, color_scheme=scheme)
    assert seen.page.evaluate(CONTRAST) == []
    seen.page.context.close()
