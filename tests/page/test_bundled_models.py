"""The page with the bundled models, in a browser, on an example."""

import pytest

from gradcam_jax.page.examples import example_names
from tests.browser import chromium
from tests.page.browsing import layer_of, names, visit, wait
from tests.page.served import served


@pytest.mark.skipif(not example_names(), reason="needs scikit-image's photos")
def test_the_bundled_models_on_an_example():
    with chromium() as browser, served() as server, visit(browser, server) as page:
        page.set_default_timeout(400_000)
        page.locator("#examples button[title=cat]").click()
        wait(page, "by efficientnet_lite0")
        assert "cat" in names(page)[0] or "tabby" in names(page)[0]
        page.click("[data-task=vqa]")
        wait(page, "by vqa_lite0")
        assert names(page)[0] == "cat"
        page.click("[data-task=captioning]")
        wait(page, "by captioner_lite0")
        assert "cat" in names(page)[0]
        assert layer_of(page)[1]
