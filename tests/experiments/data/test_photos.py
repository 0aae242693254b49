"""Photos read from standard files, and how they are dealt out."""

from pathlib import Path

import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.photos import Box, Photo, Thing, photos_of, read_coco, read_photos
from tests.experiments.data.made_photos import make_data


def test_coco_boxes_become_fractions_and_names_become_words(tmp_path):
    photos = read_coco(make_data(tmp_path) / "coco")
    assert [photo.key for photo in photos] == ["coco/1", "coco/2", "coco/3", "coco/4"]
    assert photos[1].things == (
        Thing("cat", Box(0.4, 0.25, 0.8, 0.75)),
        Thing("table", Box(0.0, 0.625, 1.0, 1.0)),
    )
    assert all(photo.complete and photo.path.is_file() for photo in photos)


def test_labelled_photos_get_everyday_words(tmp_path):
    photos = {photo.key: photo for photo in read_photos(make_data(tmp_path)) if not photo.complete}
    words = {key: [thing.word for thing in photo.things] for key, photo in photos.items()}
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


def _photos(count: int, word: str) -> list[Photo]:
    return [Photo(f"{word}/{i}", Path(), (Thing(word, Box(0, 0, 1, 1)),), False) for i in range(count)]


def test_every_photo_is_in_one_part_and_every_part_has_every_word():
    photos = [*_photos(50, "dog"), *_photos(20, "cat"), *_photos(10, "yak")]
    parts = {split: photos_of(photos, split) for split in ("train", "validation", "test")}
    assert sorted(photo.key for part in parts.values() for photo in part) == sorted(p.key for p in photos)
    counts = {split: [sum(p.things[0].word == w for p in part) for w in ("dog", "cat", "yak")]
              for split, part in parts.items()}  # fmt: skip
    assert counts == {"train": [35, 14, 7], "validation": [5, 2, 1], "test": [10, 4, 2]}


def test_dealing_does_not_depend_on_the_order():
    photos = [*_photos(30, "dog"), *_photos(9, "cat")]
    keys = {photo.key for photo in photos_of(photos, "test")}
    assert keys == {photo.key for photo in photos_of(photos[::-1], "test")}
