"""The API's documentation in a real browser that reaches nothing but the service."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.support.product import Product


@pytest.fixture
def page(product: Product) -> Iterator[Page]:
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    assert chromium, "no Chromium: scripts/system-packages test"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            # Names lead nowhere: whatever is asked for beyond loopback fails, and is seen to.
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"],
        )
        yield browser.new_page()
        browser.close()


def test_the_documentation_shows_every_call_without_the_network(
    product: Product, page: Page
) -> None:
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    answer = page.goto(f"{product.url}/docs", wait_until="networkidle")
    assert answer is not None
    assert answer.ok
    page.get_by_text("/v1/signatures", exact=True).first.wait_for()
    text = page.inner_text("body")
    described = product.call("GET", "/openapi.json", who=None).body["paths"]
    assert [path for path in described if path not in text] == []
    assert complaints == []
    assert [url for url in asked if not url.startswith((product.url, "data:", "blob:"))] == []
