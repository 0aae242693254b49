"""A real browser without a window: the system's Chromium, driven by Playwright; tests skip where there is none."""

import contextlib
import os
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def chromium_path():
    """Returns the browser's program, or skips the test with the reason."""
    pytest.importorskip("playwright", reason="needs the package playwright")
    path = os.environ.get("GRADCAM_JAX_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not path:
        pytest.skip(f"needs one of {', '.join(NAMES)}; Debian's package chromium has it")
    return path


@contextlib.contextmanager
def chromium():
    """Yields a running browser."""
    path = chromium_path()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def page_of(browser, path, *, width=1280, height=800, **options):
    """Yields a page that a file is opened in; what goes wrong in it fails the test.

    A request that leaves the disk, an error, an alert and a page wider than the window are what goes wrong.
    """
    problems = []
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or problems.append(request.url))
    page.on("requestfailed", lambda request: problems.append(f"{request.url} failed"))
    page.on("console", lambda message: message.type == "error" and problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: (problems.append(f"alert: {dialog.message}"), dialog.dismiss()))
    try:
        page.goto(path.as_uri())
        yield page
        widest = page.evaluate("document.documentElement.scrollWidth")
        assert widest <= width, f"the page is {widest} pixels wide, the window {width}"
        assert not problems, problems
    finally:
        context.close()
