"""A headless Chromium that reaches nothing but this machine."""

import os
import shutil
from collections.abc import Iterator
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Page, Route, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of a new, empty profile; `page.refused` lists the addresses it was kept from."""
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        assert not os.environ.get("CI"), "CI must install Chromium, see .ci/run"
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.refused = []

        def only_this_machine(route: Route) -> None:
            url = urlparse(route.request.url)
            if url.scheme in ("file", "data", "blob") or url.hostname in ("127.0.0.1", "localhost"):
                route.continue_()
            else:
                page.refused.append(route.request.url)
                route.abort()

        page.route("**/*", only_this_machine)
        yield page
        browser.close()
