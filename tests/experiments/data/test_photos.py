"""Photos read from standard files."""

import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.photos import (
    Box,
    LabelledBox,
    read_coco,
    read_labelled_folder,
    read_photos,
    read_table,
)
from tests.experiments.data.made_photos import make_data


def test_coco_boxes_become_fractions_and_names_become_words(tmp_path):
    photos = read_coco(make_data(tmp_path) / "coco")
    assert [photo.key for photo in photos] == ["coco/1", "coco/2", "coco/3", "coco/4"]
    assert photos[1].objects == (
        LabelledBox("cat", Box(0.4, 0.25, 0.8, 0.75)),
        LabelledBox("table", Box(0.0, 0.625, 1.0, 1.0)),
    )
    assert all(photo.complete and photo.path.is_file() for photo in photos)


def test_labelled_photos_get_everyday_words(tmp_path):
    photos = {photo.key: photo for photo in read_photos(make_data(tmp_path)) if not photo.complete}
    words = {key: [item.word for item in photo.objects] for key, photo in photos.items()}
    expected = {"boxer": ["dog"], "tabby": ["cat"], "abacus": [], "jeep": ["car"]}
    assert words == {f"samples/{name}.jpg": found for name, found in expected.items()}


@pytest.mark.parametrize("content", ["{", "[]", '{"images": []}'])
def test_a_file_that_is_not_cocos_is_explained(tmp_path, content):
    (tmp_path / "instances.json").write_text(content)
    with pytest.raises(InputError, match=r"is not JSON|is not the expected file"):
        read_coco(tmp_path)


def test_a_folder_without_photos_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"instances\.json \(COCO\) or a labels\.csv"):
        read_photos(tmp_path)


@pytest.mark.parametrize("content", ["file,name\na.jpg,3\n", ""])
def test_labels_without_their_columns_are_explained(tmp_path, content):
    (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(InputError, match=r"the columns 'file' and 'class_index' in .*labels\.csv"):
        read_labelled_folder(tmp_path, str)


def test_missing_labels_are_named(tmp_path):
    with pytest.raises(InputError, match=r"labels\.csv' cannot be read"):
        read_labelled_folder(tmp_path, str)


def test_tables_and_json_are_read_with_byte_order_marks_and_blanks(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_bytes(b"\xef\xbb\xbfimage, class_index\na.jpg, 3\n")
    assert [row for _, row in read_table(table, "file", "class_index")] == [{"file": "a.jpg", "class_index": "3"}]
    (tmp_path / "instances.json").write_bytes(b'\xef\xbb\xbf{"images": [], "annotations": [], "categories": []}')
    assert read_coco(tmp_path) == []
