"""The page in a real browser: each task end to end, bad files, two people at once, phones, the dark."""

import threading

import pytest

from gradcam_jax.page import Limits, explaining
from tests.browser import chromium
from tests.page.browsing import give, layer_of, names, picture_at, visit, wait
from tests.page.served import add_small_defaults, photo_bytes, served

LIMITS = Limits(photo_bytes=200_000, photo_pixels=100_000)


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        add_small_defaults(tmp_path_factory.mktemp("page"), patch)
        with served(LIMITS) as server:
            yield server


def test_a_class_is_clicked_and_its_map_is_there(browser, server):
    with visit(browser, server) as page:
        assert page.locator("#drop").is_visible()
        give(page)
        wait(page)
        assert page.locator(".row").count() == 5
        first, loaded = layer_of(page)
        assert loaded
        page.locator(".row").nth(2).click()
        second, loaded = layer_of(page)
        assert loaded
        assert first.replace("row=0", "row=2") == second
        assert page.locator(".row").nth(2).get_attribute("aria-pressed") == "true"
        page.fill("#label", "boxer")
        page.click("#go")
        page.locator(".row", has_text="boxer").wait_for()
        wait(page)
        assert names(page)[0] == "boxer"
        assert "improbable" in page.text_content("#note") or "boxer" in page.text_content("#note")


def test_a_question_is_asked_and_an_answer_is_clicked(browser, server):
    with visit(browser, server) as page:
        give(page)
        wait(page)
        page.click("[data-task=vqa]")
        wait(page)
        page.fill("#question", "Is there a dog?")
        page.fill("#answer", "no")
        page.click("#go")
        page.locator("#tokens span", has_text="there").wait_for()
        assert page.locator("#tokens span").all_text_contents() == ["is", "there", "a", "dog", "?"]
        wait(page)
        assert names(page)[0] == "no"
        before, _ = layer_of(page)
        page.locator(".row", has_text="Cat").click()
        after, loaded = layer_of(page)
        assert loaded
        assert before != after


def test_a_caption_is_written_or_typed_and_its_words_are_clicked(browser, server):
    with visit(browser, server) as page:
        page.click("[data-task=captioning]")
        give(page)
        wait(page)
        written = names(page)[0]
        assert page.locator(".word").count() == len(written.split())
        assert page.locator("#shared").is_checked()  # a word that nothing speaks for looks so
        page.fill("#caption", "a dog zzz")
        page.click("#go")
        page.locator(".word.unknown", has_text="zzz").wait_for()
        wait(page)
        page.locator(".word").nth(1).click()
        address, loaded = layer_of(page)
        assert loaded
        assert "row=2&shared=1" in address
        page.locator(".word.unknown", has_text="zzz").click()
        assert "does not know" in page.text_content("#note")


def test_opacity_method_layer_and_size_are_chosen(browser, server):
    with visit(browser, server) as page:
        give(page)
        wait(page)
        page.locator("#settings summary").click()
        page.locator("#opacity").fill("20")
        assert page.locator("#layer").evaluate("image => image.style.opacity") == "0.2"
        page.select_option("#layer_name", "relu1_1")
        wait(page, "at relu1_1")
        assert "32 x 32 places" in page.text_content("#note")
        page.select_option("#size", "224")
        wait(page, "224 x 224 pixels")
        before, _ = layer_of(page)
        page.select_option("#method", "counterfactual")
        wait(page)
        page.select_option("#method", "guided_backprop")
        page.locator(".row").nth(1).click()
        page.wait_for_load_state("networkidle")
        after, loaded = layer_of(page)
        assert loaded
        assert before != after
        assert picture_at(page, page.url + after).ndim == 3


def test_pictures_and_numbers_are_kept(browser, server):
    with visit(browser, server) as page:
        give(page)
        wait(page)
        for link, end in {"overlay": ".png", "panel": ".png", "numbers": ".json", "arrays": ".npz"}.items():
            with page.expect_download() as download:
                page.click(f"#{link}")
            assert download.value.suggested_filename.endswith(end)
            assert download.value.path().stat().st_size > 100


def test_a_bad_file_gets_a_sentence_and_the_next_is_taken(browser, server):
    with visit(browser, server, expected=("400 (Bad Request)",)) as page:
        give(page, b"no photo", "notes.txt", "text/plain")
        page.locator("#problem", has_text="'notes.txt' is not an image").wait_for()
        give(page, photo_bytes((400, 300), mode="L"), "large.png")
        page.locator("#problem", has_text="400 x 300 pixels").wait_for()
        give(page, photo_bytes((400, 400)), "heavy.png")
        page.locator("#problem", has_text="MB; at most 0.2 MB").wait_for()
        give(page)
        wait(page)
        assert page.locator("#problem").is_hidden()
        page.fill("#label", "bokser")
        page.click("#go")
        page.locator("#problem", has_text="Nearest: boxer").wait_for()


def test_names_are_shown_as_text(browser, server):
    with visit(browser, server, expected=("400 (Bad Request)",)) as page:
        give(page, b"x", "<img src=x onerror=alert(1)>.png")
        page.locator("#problem", has_text="<img src=x").wait_for()
        assert page.locator("#problem img").count() == 0


def test_two_people_at_once(browser, server, monkeypatch):
    go_on, started = threading.Event(), threading.Event()
    keep = explaining.keep_photo

    def keep_slowly(task, photo):
        if photo.shape[0] == 41:
            started.set()
            assert go_on.wait(60)
        return keep(task, photo)

    monkeypatch.setattr(explaining, "keep_photo", keep_slowly)
    with visit(browser, server) as first, visit(browser, server) as second:
        give(first, photo_bytes((60, 41)))
        assert started.wait(60)
        give(second, photo_bytes((60, 42), seed=1))
        wait(second)
        assert first.locator(".row").count() == 0
        assert "Computing" in first.text_content("#status")
        go_on.set()
        wait(first)
        assert first.locator("#photo").get_attribute("src") != second.locator("#photo").get_attribute("src")


def test_a_photo_that_was_forgotten_is_sent_again(browser, server):
    with visit(browser, server, expected=("404 (Not Found)",)) as page:
        give(page)
        wait(page)
        for name in list(server.answers.visits._visits):
            server.answers.visits.end(name)
        page.fill("#label", "boxer")
        page.click("#go")
        page.locator(".row", has_text="boxer").wait_for()


def test_leaving_forgets_the_photo(browser, server):
    for name in list(server.answers.visits._visits):
        server.answers.visits.end(name)
    with visit(browser, server) as page:
        give(page)
        wait(page)
        assert len(server.answers.visits) == 1
        page.goto("about:blank")
        for _ in range(100):
            if not len(server.answers.visits):
                break
            page.wait_for_timeout(100)
        assert len(server.answers.visits) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
@pytest.mark.parametrize("photo", [(60, 40), (40, 200), (900, 60), (5, 5)])
def test_it_fits_phones_and_desks_by_day_and_night(browser, server, scheme, size, photo):
    with visit(browser, server, width=size[0], height=size[1], color_scheme=scheme) as page:
        give(page, photo_bytes(photo))
        wait(page)
        layer_of(page)
        frame, layer = page.locator("#frame").bounding_box(), page.locator("#layer").bounding_box()
        assert frame["width"] / frame["height"] == pytest.approx(photo[0] / photo[1], rel=0.1)
        assert {name: round(value) for name, value in layer.items()} == {n: round(v) for n, v in frame.items()}
        assert frame["height"] <= size[1]
        ground, ink = (
            page.evaluate(f"() => getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color")
        )
        lightness = [sum(map(int, text.removeprefix("rgb(").rstrip(")").split(", "))) for text in (ground, ink)]
        assert (lightness[0] > lightness[1]) == (scheme == "light")
        for button in page.locator("button:visible").all():
            assert button.bounding_box()["height"] >= 32


def test_it_is_used_by_keyboard(browser, server):
    with visit(browser, server) as page:
        give(page)
        wait(page)
        page.locator(".row").first.focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.locator(".row").nth(1).get_attribute("aria-pressed") == "true"
