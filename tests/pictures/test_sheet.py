"""What a panel holds, as pixels and as SVG: the same texts, pictures and bar at the same places."""

import base64
import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.pictures import Style, save, save_photo_pictures, save_run_pictures, show
from gradcam_jax.pictures.colors import PAPERS
from gradcam_jax.pictures.photo import sheet_of
from gradcam_jax.pictures.sheet import Part, Sheet, drawn, joined, picture_sheet, stacked_sheets, svg, text_line
from gradcam_jax.tasks.task import ExplainedPhoto
from tests.pictures.descriptions import BOX, PHOTO, TASKS, VIEW, classification

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
FOOTER = "vgg16, relu5_3, Grad-CAM, 224x224 pixels, float32"


def texts(root):
    return [element.text for element in root.iter(f"{SVG}text")]


def pictures(root):
    """The embedded pictures, by their places."""
    found = {}
    for element in root.iter(f"{SVG}image"):
        head, _, content = element.attrib[HREF].partition(",")
        assert head == "data:image/png;base64"
        place = int(element.attrib["x"]), int(element.attrib["y"])
        found[place] = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(content))))
    return found


@pytest.mark.parametrize("describe", TASKS.values(), ids=TASKS)
def test_a_panel_as_svg_has_its_texts_and_pictures(describe):
    style = Style("viridis", paper="black", footer=FOOTER, panels="svg")
    description = describe()
    sheet = sheet_of(description, VIEW._replace(style=style))
    root = ElementTree.fromstring(svg(sheet))
    assert root.tag == f"{SVG}svg"
    assert root.attrib["viewBox"] == f"0 0 {sheet.width} {sheet.height}"
    words = texts(root)
    assert words[0] == description.heading[:100]
    assert FOOTER in words  # the caption line
    assert {"photo", "guided backprop", "Guided Grad-CAM", "0"} < set(words)
    tokens = {token for row in description.rows for token, _ in row.tokens}
    assert tokens <= set(words)
    embedded = list(pictures(root).values())
    np.testing.assert_array_equal(embedded[0], PHOTO)  # which is smaller than its tile: whole
    assert any(picture[0, 0].tolist() == [68, 1, 84] and picture.shape == (14, 220, 3) for picture in embedded)
    for element in root.iter(f"{SVG}text"):
        assert float(element.attrib["x"]) + float(element.attrib["textLength"]) <= sheet.width
        assert float(element.attrib["y"]) <= sheet.height


def test_panels_are_written_as_svg_for_one_photo_and_for_many(tmp_path):
    view = VIEW._replace(style=Style(footer=FOOTER, panels="svg"))
    one = save_photo_pictures(tmp_path, "classify", classification(), view)
    many = save_run_pictures(tmp_path, "cats/1.jpg", classification(), view)
    panels = [path for path in one + many if path.suffix == ".svg"]
    names = ["classify_panel_243.svg", "classify_panel_283.svg", "classify_panel.svg", "panels/cats/1.jpg.svg"]
    assert [path.relative_to(tmp_path).as_posix() for path in panels] == names
    for path in panels:
        assert FOOTER in texts(ElementTree.parse(path).getroot())


def test_what_a_notebook_shows_and_plain_pictures_are_saved_as_svg(tmp_path):
    shown = show(ExplainedPhoto(PHOTO, BOX, classification()), style=Style(footer=FOOTER))
    assert FOOTER in texts(ElementTree.parse(shown.save(tmp_path / "a" / "why.svg")).getroot())
    root = ElementTree.parse(save(PHOTO, tmp_path / "photo.SVG")).getroot()
    np.testing.assert_array_equal(pictures(root)[0, 0], PHOTO)


def test_texts_are_data_whatever_they_hold():
    wicked = 'a <b> & "c" \x00\x1b 猫 \ud800'
    root = ElementTree.fromstring(svg(text_line(wicked, 20, (0, 0, 0))))
    assert texts(root) == ['a <b> & "c" \ufffd\ufffd 猫 \ufffd']


def test_a_large_picture_keeps_twice_the_pixels_of_its_place():
    large = np.zeros((400, 1000, 3), np.uint8)
    root = ElementTree.fromstring(svg(picture_sheet(large, (100, 40))))
    assert pictures(root)[0, 0].shape == (80, 200, 3)


def test_a_sheet_is_drawn_part_by_part_at_its_places():
    red, blue = (255, 0, 0), (0, 0, 255)
    square = Sheet((2, 2), [Part((0, 0), (2, 2), red), Part((1, 1), (1, 1), blue)])
    picture = drawn(joined([(square, (1, 0))], (4, 3), (255, 255, 255)))
    white = (255, 255, 255)
    expected = [[white, red, red, white], [white, red, blue, white], [white] * 4]
    assert picture.tolist() == [[list(pixel) for pixel in line] for line in expected]
    grey = picture_sheet(np.full((1, 3), 7, np.uint8))
    below = drawn(stacked_sheets([square, grey], PAPERS["black"].ground))
    assert below.shape == (3, 3, 3)
    assert below[2].tolist() == [[7, 7, 7]] * 3
    assert below[0, 2].tolist() == [0, 0, 0]
