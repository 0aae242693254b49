"""A report opened from disk in a real browser: summary, gallery, search, each photo, phones, the dark."""

import numpy as np
import pytest

from gradcam_jax.pipeline import open_run
from gradcam_jax.report import write_report
from gradcam_jax.report.report import ChunkSizes
from gradcam_jax.report.thumbnails import key_of
from tests.browser import chromium, page_of
from tests.report.made_run import NASTY, made_run, write_photo

COUNT, CARDS = 130, 48
FAILING = {20: "truncated", 21: "truncated", 50: "<b>no such mode</b>"}


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    sizes = [(300, 200), (200, 300), (1600, 100), (10, 10)]
    photos = [
        write_photo(folder / "photos" / f"{'a_long_name' * 12}{number}.png", size)
        for number, size in enumerate(sizes)
    ]
    run = open_run(made_run(folder / "a run", COUNT, photos=photos, failing=FAILING))
    return write_report(run, chunks=ChunkSizes(50, 20), title="<b>a run</b>").page


def ids(page):
    return page.eval_on_selector_all(".card .text div:first-child", "all => all.map(one => one.textContent)")


def found(page):
    return page.text_content(".pages .found")


def open_gallery(page):
    page.click("nav >> text=Photos")
    page.wait_for_selector(".card")


def wait_for(page, text):
    page.wait_for_function("text => document.querySelector('.found').textContent.startsWith(text)", arg=text)


def test_the_summary_counts_and_names_failures_by_reason(browser, page_file):
    with page_of(browser, page_file) as page:
        assert page.text_content("h1") == "<b>a run</b>"
        numbers = page.eval_on_selector_all(".numbers li", "all => all.map(one => one.textContent)")
        assert numbers == ["130photos", "127explained", "3failed", "13with a target that nothing speaks for"]
        reasons = page.eval_on_selector_all(".reason summary", "all => all.map(one => one.textContent)")
        assert reasons == ["cannot be decoded: truncated (2)", "cannot be decoded: <b>no such mode</b> (1)"]
        page.click(".reason summary")
        files = page.eval_on_selector_all(".reason[open] li", "all => all.map(one => one.textContent)")
        assert files == ["photos/000020.png", "photos/000021.png"]


def test_the_gallery_has_pages_of_pictures_that_load_when_they_are_seen(browser, page_file):
    with page_of(browser, page_file) as page:
        open_gallery(page)
        assert found(page) == "130 of 130 photos"
        run = list(open_run(page_file.parent.parent))
        assert ids(page) == run[:CARDS]
        assert ids(page)[: len(NASTY)] == NASTY
        assert page.get_attribute(".card img", "loading") == "lazy"
        page.wait_for_function(
            "[...document.images].slice(0, 4).every(one => one.complete && one.naturalWidth > 0)"
        )
        page.click("text=next >> nth=0")
        page.wait_for_function("document.querySelector('.pages span').textContent === 'page 2 of 3'")
        assert ids(page) == run[CARDS : 2 * CARDS]
        page.go_back()
        page.wait_for_function("document.querySelector('.pages span').textContent === 'page 1 of 3'")
        page.click("text=last >> nth=0")
        page.wait_for_function("document.querySelector('.pages span').textContent === 'page 3 of 3'")
        assert ids(page) == run[2 * CARDS :]


FILTERS = [
    ({"search": "000077"}, {77}),
    ({"search": "onerror ALERT"}, {0}),
    ({"search": "猫"}, {3}),
    ({"search": "mode"}, {50}),
    ({"prediction": "class 3"}, {n for n in range(COUNT) if n % 7 == 3 and n not in FAILING}),
    ({"explained": "boxer"}, set(range(COUNT)) - set(FAILING)),
    ({"from": "90", "to": "95"}, {90, 91, 92, 93, 94, 95}),
    ({"prediction": "class 3", "from": "50"}, {n for n in range(COUNT) if n % 7 == 3 and n % 100 >= 50}),
    ({"search": "there is no such thing"}, set()),
]


@pytest.mark.parametrize(("fields", "numbers"), FILTERS)
def test_search_and_filters_find_what_they_say(browser, page_file, fields, numbers):
    run = list(open_run(page_file.parent.parent))
    with page_of(browser, page_file) as page:
        open_gallery(page)
        for name, value in fields.items():
            page.fill(f"input[name={name}]", value)
        wait_for(page, f"{len(numbers)} of 130")
        assert ids(page) == [run[number] for number in sorted(numbers)][:CARDS]


@pytest.mark.parametrize(
    ("box", "numbers"), [("failed", set(FAILING)), ("blank", set(range(9, COUNT, 10))), ("other", set())]
)
def test_boxes_show_what_failed_and_what_nothing_speaks_for(browser, page_file, box, numbers):
    run = list(open_run(page_file.parent.parent))
    with page_of(browser, page_file) as page:
        open_gallery(page)
        page.check(f"input[name={box}]")
        wait_for(page, f"{len(numbers)} of 130")
        assert ids(page) == [run[number] for number in sorted(numbers)]
        page.click("text=Show all")
        wait_for(page, "130 of 130")


def test_photos_are_ordered_by_probability(browser, page_file):
    with page_of(browser, page_file) as page:
        open_gallery(page)
        page.select_option("select[name=sort]", "high")
        page.wait_for_function("document.querySelector('.card .text').textContent.includes('000099')")
        assert ids(page)[:3] == ["photos/000099.png", "photos/000098.png", "photos/000097.png"]


def test_a_photos_page_shows_its_maps_numbers_and_request(browser, page_file):
    with page_of(browser, page_file) as page:
        open_gallery(page)
        page.fill("input[name=search]", "0000")
        page.fill("input[name=prediction]", "class 5")
        wait_for(page, "14 of 130")
        page.click(".card >> text=photos/000019.png")
        page.wait_for_selector("figure")
        assert page.text_content("h1") == "photos/000019.png"
        captions = page.eval_on_selector_all("figcaption", "all => all.map(one => one.textContent)")
        assert captions == [
            "photo",
            "class 5 19 %, rank 1, no position speaks for it",
            "boxer 0.10 %, rank 2: improbable, strength 100 % of the strongest",
        ]
        page.wait_for_function("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
        text = page.text_content("main")
        assert "labelclass 5, boxer" in text  # what was asked
        assert "3 of 14" in text  # among those that the filters left
        page.keyboard.press("ArrowRight")
        page.wait_for_function("document.querySelector('h1').textContent === 'photos/000026.png'")
        page.click("text=all photos")
        wait_for(page, "14 of 130")


def test_a_photos_page_shows_guided_gradients_where_the_run_stored_them(browser, tmp_path):
    photo = write_photo(tmp_path / "photo.png", (300, 200))
    guided = np.random.default_rng(0).standard_normal((2, 64, 64, 3)).astype(np.float16)
    file = write_report(open_run(made_run(tmp_path / "run", 1, photos=[photo], guided=guided))).page
    with page_of(browser, file) as page:
        page.goto(f"{file.as_uri()}#photo={key_of(NASTY[0])}")
        page.wait_for_selector("figure")
        captions = page.eval_on_selector_all("figcaption", "all => all.map(one => one.textContent)")
        kinds = ("guided backpropagation", "Guided Grad-CAM")
        assert captions[3:] == [f"{name} {kind}" for name in ("class 0", "boxer") for kind in kinds]
        page.wait_for_function("[...document.images].filter(one => one.naturalWidth > 0).length === 7")


def test_a_photo_of_a_wicked_name_is_text_and_a_failed_one_says_why(browser, page_file):
    for number, name in enumerate(NASTY):
        with page_of(browser, page_file.with_name("index.html")) as page:
            page.goto(f"{page_file.as_uri()}#photo={key_of(name)}")
            page.wait_for_selector("figure")
            assert page.text_content("h1") == name
            assert f"{number + 1} of 130" in page.text_content("main")
    with page_of(browser, page_file) as page:
        page.goto(f"{page_file.as_uri()}#photo={key_of('photos/000050.png')}")
        page.wait_for_selector("p.bad")
        assert page.text_content("p.bad").endswith("cannot be decoded: <b>no such mode</b>")


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_phone_and_the_dark(browser, page_file, width, scheme):
    for address in ("", "#gallery=1", f"#photo={key_of('photos/000006.png')}"):
        with page_of(browser, page_file, width=width, color_scheme=scheme) as page:
            page.goto(f"{page_file.as_uri()}{address}")
            page.wait_for_selector("h1, .card")
            red, green, blue = page.evaluate(
                "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
            )
            assert (red + green + blue < 100) == (scheme == "dark")
    # page_of checks that nothing is wider than the window


def test_a_page_that_is_not_whole_says_so(browser, tmp_path):
    photo = write_photo(tmp_path / "photo.png", (30, 20))
    file = write_report(open_run(made_run(tmp_path / "run", 5, photos=[photo]))).page
    (file.parent / "data" / "index-00000.js").unlink()
    seen = []

    def look_at_gallery(browser, file):
        with page_of(browser, file) as page:
            page.goto(f"{file.as_uri()}#gallery=1")
            page.wait_for_selector("p.bad")
            seen.append(page.text_content("p.bad"))

    with pytest.raises(AssertionError, match=r"index-00000\.js"):
        look_at_gallery(browser, file)
    assert seen == ["data/index-00000.js is missing: the report is not whole."]


def test_of_a_long_path_the_gallery_shows_the_files_name(browser, tmp_path):
    photo = write_photo(tmp_path / "photo.png", (30, 20))
    folder = made_run(tmp_path / "run", 6, photos=[photo])
    manifest = folder / "manifest.jsonl"
    manifest.write_text(
        manifest.read_text().replace('"photos/', '"/srv/photos/of/a/folder/with/a/very/long/path/')
    )
    with page_of(browser, write_report(open_run(folder)).page, width=360) as page:
        open_gallery(page)
        assert ids(page)[4] == "/srv/photos/of/a/folder/with/a/very/long/path/000004.png"
        visible = page.evaluate(
            """() => {
                const [card] = [...document.querySelectorAll(".card")].slice(4);
                const end = card.querySelector(".name span:last-child").getBoundingClientRect();
                return end.width > 0 && end.right <= card.getBoundingClientRect().right;
            }"""
        )
        assert visible
