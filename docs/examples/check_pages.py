"""Opens pages of 'routegrad … --html' in a headless Chromium, light and dark, and holds them to what they promise.

    pip install playwright          # and chromium, from the distribution or by 'playwright install chromium'
    routegrad report --html report.html > /dev/null
    python3 docs/examples/check_pages.py report.html [--chromium /usr/bin/chromium] [--screenshots FOLDER]

Fails if the console says anything, if anything is requested, if the page scrolls sideways at 360 pixels, if text has a contrast
with its ground below 4.5 or a mark one below 3, if the result within is no JSON, if a table cannot be sorted or a mark not be read by
keyboard alone, or if 10,000 rows take a second to sort.
"""

import argparse
import json
import pathlib

from playwright.sync_api import sync_playwright

# The least contrast of text and of marks with what is behind them (WCAG 2.2, 1.4.3 and 1.4.11).
CONTRAST = """() => {
  const luminance = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = element => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (!/, 0\\)$/.test(colour) && colour !== "transparent") return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const ratio = (ink, element) => {
    const [a, b] = [luminance(ink), luminance(ground(element))];
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  };
  const least = (query, ink) => Math.min(99, ...[...document.querySelectorAll(query)].map(e => ratio(ink(getComputedStyle(e)), e)));
  return {
    text: Math.min(least("h1,h2,p,th,td,button,summary,li,figcaption", style => style.color), least("svg text", style => style.fill)),
    marks: least("svg .mark [fill]", style => style.fill),
  };
}"""

# The longest table with 10,000 rows, sorted by keyboard: milliseconds until it is laid out again; and all of its rows can be had.
SORT = """() => {
  const table = [...document.querySelectorAll("section table")].reduce((a, b) => a.tBodies[0].rows.length >= b.tBodies[0].rows.length ? a : b);
  const body = table.tBodies[0], rows = [...body.rows];
  for (let k = rows.length; k < 10000; k++) {
    const row = rows[k % rows.length].cloneNode(true);
    row.cells[1].textContent = ((k * 7919) % 10007).toString();
    body.append(row);
  }
  table.offsetHeight;
  const button = table.tHead.querySelectorAll("button")[1];
  button.focus();
  // The least of three, ascending, descending and ascending: other programs run, too.
  let milliseconds = Infinity;
  for (let trial = 0; trial < 3; trial++) {
    const start = performance.now();
    button.click();
    table.offsetHeight;
    milliseconds = Math.min(milliseconds, performance.now() - start);
  }
  const keys = [...body.rows].filter(row => row.className !== "secondary").map(row => value(row, 1)).filter(key => key !== null);
  const follows = (a, b) => typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) <= 0 : a <= b;
  const isSorted = keys.every((key, k) => k === 0 || follows(keys[k - 1], key));
  table.nextElementSibling.click();
  const shown = [...body.rows].filter(row => !row.hidden).length;
  return { rows: body.rows.length, shown, isSorted, milliseconds, sorted: button.parentElement.getAttribute("aria-sort") };
}"""


# What has the focus.
FOCUS = """() => {
  const focused = document.activeElement;
  return { inHead: focused.closest("thead") !== null, isMark: focused.matches(".mark"), isRegion: focused.matches(".table") };
}"""


def use_keyboard(page) -> None:
    """Goes through the page by Tab until there is nothing more: every mark that is a stop says its numbers, every table can be reached and sorted."""
    stops = page.evaluate("document.querySelectorAll('.mark[tabindex], .table, thead button').length")
    most = min(stops, 60)
    seen = marks = regions = heads = 0
    while seen < most:
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        seen += focus["inHead"] or focus["isMark"] or focus["isRegion"]
        regions += focus["isRegion"]
        if focus["isMark"]:
            marks += 1
            told = page.evaluate("document.activeElement.closest('figure').querySelector('.told').textContent")
            assert told and told == page.evaluate("document.activeElement.querySelector('title').textContent"), told
        if focus["inHead"]:
            heads += 1
            page.keyboard.press("Enter")
            assert page.evaluate("document.activeElement.parentElement.getAttribute('aria-sort')") == "ascending"
            page.keyboard.press("Space")
            assert page.evaluate("document.activeElement.parentElement.getAttribute('aria-sort')") == "descending"
    assert stops > 60 or (regions and heads), (marks, regions, heads)


def check(browser, path: pathlib.Path, scheme: str, screenshots: pathlib.Path | None) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
    page.goto(path.resolve().as_uri())
    width = page.evaluate("document.documentElement.scrollWidth")
    contrast = page.evaluate(CONTRAST)
    json.loads(page.evaluate("document.getElementById('data').textContent"))
    if screenshots:
        page.screenshot(path=str(screenshots / f"{path.stem}-{scheme}-360.png"))
        page.set_viewport_size({"width": 1100, "height": 900})
        page.screenshot(path=str(screenshots / f"{path.stem}-{scheme}.png"))
        heat = page.locator("section:has(td[class^=shade])")
        if heat.count():
            heat.first.screenshot(path=str(screenshots / f"{path.stem}-{scheme}-heat.png"))
    use_keyboard(page)
    sort = page.evaluate(SORT)
    page.close()
    print(
        f"{path.name}, {scheme}: {path.stat().st_size} bytes, width {width}, contrast of text {contrast['text']:.1f}, of marks"
        f" {contrast['marks']:.1f}, {sort['rows']} rows sorted in {sort['milliseconds']:.0f} ms")
    assert not said, said
    assert width <= 360 and contrast["text"] >= 4.5 and contrast["marks"] >= 3, (width, contrast)
    assert sort["sorted"] == "ascending" and sort["milliseconds"] < 1000, sort
    assert sort["isSorted"] and sort["shown"] == sort["rows"] == 10000, sort


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=pathlib.Path)
    parser.add_argument("--chromium")
    parser.add_argument("--screenshots", type=pathlib.Path)
    arguments = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])
        for path in arguments.pages:
            for scheme in ["light", "dark"]:
                check(browser, path, scheme, arguments.screenshots)
        browser.close()


if __name__ == "__main__":
    main()
