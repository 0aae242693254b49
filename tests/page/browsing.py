"""How the tests visit the page in a browser."""

import contextlib
import io

import numpy as np
import PIL.Image

from tests.page.served import photo_bytes

COMPUTED = "Computed in"


@contextlib.contextmanager
def visit(browser, server, *, width=1280, height=800, expected=(), **options):
    """Yields the page as a new visitor opens it; what goes wrong in it, and is not expected, fails the test."""
    problems = []
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    page.set_default_timeout(120_000)
    own = f"http://127.0.0.1:{server.server_port}/"
    page.on(
        "request", lambda request: request.url.startswith((own, "data:", "blob:")) or problems.append(request.url)
    )
    page.on("console", lambda message: message.type == "error" and problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    try:
        page.goto(own)
        page.locator("#layer_name option").first.wait_for(state="attached")
        yield page
        widest = page.evaluate("() => document.documentElement.scrollWidth")
        assert widest <= width, f"the page is {widest} pixels wide, the window {width}"
        assert [text for text in problems if not any(part in text for part in expected)] == []
    finally:
        context.close()


def give(page, content=None, name="photo.png", kind="image/png"):
    page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": content or photo_bytes()})


def wait(page, text=COMPUTED):
    page.locator("#status", has_text=text).wait_for()


def names(page, kind=".row"):
    return [text.strip() for text in page.locator(f"#results {kind} > span:first-of-type").all_text_contents()]


def layer_of(page):
    """Returns the layer that is shown, as the browser has loaded it: its address, and whether it has pixels."""
    page.locator("#layer").wait_for()
    layer = page.locator("#layer")
    layer.evaluate("image => image.decode()")
    return layer.get_attribute("src"), layer.evaluate("image => image.naturalWidth") > 0


def picture_at(page, address):
    return np.asarray(PIL.Image.open(io.BytesIO(page.request.get(address).body())))
