"""The report as a reader meets it: in a real browser, wide and narrow, without a network."""

from __future__ import annotations

import os
import shutil

import pytest

from penjing.evaluate import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; .ci/run installs it")
QUIET = ("--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    sandbox = () if os.geteuid() else ("--no-sandbox",)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *sandbox])
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_window_and_asks_nobody_anything(browser, full_report, tmp_path, width):
    file = tmp_path / "report.html"
    write_report(file, full_report(("alt.atheism", "体育", "a label that is rather long for its column")))
    page, asked, said = browser.new_page(viewport={"width": width, "height": 900}), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(file.as_uri())
    assert asked == [file.as_uri()]
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").inner_text()
    charts = page.locator("svg")
    assert charts.count() >= 3
    for at in range(charts.count()):
        box = charts.nth(at).bounding_box()
        assert box["width"] > 100
        assert box["height"] > 50
    for link in page.locator("nav a").all():
        assert page.locator(link.get_attribute("href")).count() == 1
    page.close()
