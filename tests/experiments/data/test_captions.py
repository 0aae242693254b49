import json

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.captioned_views import (
    read_captioned_photos,
    template_captions,
    template_views,
)
from gradcam_jax.experiments.data.captions import (
    caption_vocabulary,
    encode_captions,
    read_caption_table,
    read_coco_captions,
    training_words,
)
from gradcam_jax.experiments.data.photos import WHOLE, Box, LabelledBox, Photo, read_photos
from gradcam_jax.experiments.data.splits import split_of_boxed
from gradcam_jax.experiments.data.views import Part, collage, view_of
from gradcam_jax.text.vocabulary import Vocabulary
from tests.comparison import SHARED_DATA, needs_shared_data


def photo_of(word, box=WHOLE, complete=False):
    return Photo(word, f"{word}.jpg", (LabelledBox(word, box),), complete)


@pytest.fixture
def coco(tmp_path):
    content = {
        "images": [{"id": 7, "file_name": "7.jpg"}, {"id": 8, "file_name": "8.jpg"}],
        "annotations": [{"image_id": 7, "caption": "A dog."}, {"image_id": 7, "caption": "Dogs"}],
    }
    (tmp_path / "captions.json").write_text(json.dumps(content))
    return tmp_path


def test_coco_captions_by_photo(coco):
    (photo,) = read_coco_captions(coco / "captions.json", coco / "images")
    assert photo.captions == ("A dog.", "Dogs")
    assert (photo.key, photo.path) == ("coco/7", coco / "images" / "7.jpg")


@pytest.mark.parametrize("content", ["{", "[]", '{"images": []}', '{"images": [{"id": 1}], "annotations": []}'])
def test_other_json_is_an_error_that_says_what_was_expected(tmp_path, content):
    (tmp_path / "captions.json").write_text(content)
    with pytest.raises(
        InputError,
        match=r"is not JSON|is not the expected file|captions.json images.0.: expected a file_name, got None",
    ):
        read_coco_captions(tmp_path / "captions.json", tmp_path)


def test_tables_as_flickr8k_and_flickr30k_are_published(tmp_path):
    for column in ("file", "image"):
        (tmp_path / "captions.csv").write_text(
            f'{column},caption\na.jpg,"A dog, running ."\na.jpg,Two\nb.jpg,Three\n'
        )
        photos = read_caption_table(tmp_path / "captions.csv", tmp_path / "images")
        assert [photo.captions for photo in photos] == [("A dog, running .", "Two"), ("Three",)]
    (tmp_path / "captions.csv").write_text("name,text\na.jpg,dog\n")
    with pytest.raises(InputError, match=r"'file' and 'caption'.*'name', 'text'"):
        read_caption_table(tmp_path / "captions.csv", tmp_path)
    (tmp_path / "captions.csv").write_text("file,caption\na.jpg\n")
    with pytest.raises(InputError, match="'file' and 'caption'"):
        read_caption_table(tmp_path / "captions.csv", tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_caption_table(tmp_path / "none.csv", tmp_path)


@needs_shared_data
def test_a_photos_captions_and_templates_are_in_one_split():
    captioned = read_captioned_photos(SHARED_DATA)
    views = template_views(read_photos(SHARED_DATA), np.random.default_rng(0), collages=50, pets=5)
    templates = {part.photo.key for view in views for part in view.view.parts}
    for split in ("validation", "test"):
        kept_apart = {photo.key for photo in captioned[split]}
        assert any(key.startswith("coco/") for key in kept_apart)
        assert not kept_apart & templates


def test_no_photo_is_in_two_splits_and_captions_stay_together(tmp_path):
    folder = tmp_path / "flickr"
    folder.mkdir()
    lines = "".join(f"{number}.jpg,caption {text}\n" for number in range(300) for text in "abc")
    (folder / "captions.csv").write_text("file,caption\n" + lines)
    splits = read_captioned_photos(tmp_path)
    keys = [photo.key for photos in splits.values() for photo in photos]
    assert len(keys) == len(set(keys)) == 300
    assert all(len(photo.captions) == 3 for photos in splits.values() for photo in photos)
    assert len(splits["train"]) > len(splits["test"]) > len(splits["validation"]) > 0


def test_a_folder_without_captions_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"captions\.json .*captions\.csv"):
        read_captioned_photos(tmp_path)


def test_words_as_neuraltalk2_prepares_them():
    assert training_words("A man's well-known DOG , isn't it ?") == ["a", "mans", "wellknown", "dog", "isnt", "it"]


def test_rare_words_become_unk_and_long_captions_are_cut():
    vocabulary = caption_vocabulary(["a dog"] * 5 + ["a cat"] * 4)
    assert vocabulary.entries == ("a", "dog", "UNK")
    arrays = encode_captions([["a cat " * 10], ["dog"]], vocabulary)
    assert arrays.tokens.shape == (2, 16)
    assert arrays.tokens[0].tolist() == [0, 2] * 8
    assert arrays.tokens[1].tolist() == [1] + [3] * 15  # END pads
    assert arrays.lengths.tolist() == [16, 1]


def test_an_object_that_people_name_often_needs_no_template_of_its_own(tmp_path):
    folder = tmp_path / "objects"
    (folder / "images").mkdir(parents=True)
    rows = [(f"{name}{number}.jpg", index) for name, index in (("dog", 242), ("cat", 281)) for number in range(9)]
    (folder / "labels.csv").write_text("file,class_index\n" + "".join(f"{file},{index}\n" for file, index in rows))
    views = template_views(read_photos(tmp_path), np.random.default_rng(0), collages=0, pets=6, named=["dog"])
    alone = {view.captions[0] for view in views if len(view.view.parts) == 1}
    together = [view for view in views if len(view.view.parts) == 2]
    assert alone == {"a cat"}
    assert len(together) == 6
    assert {view.captions[0] for view in together} == {"a dog and a cat", "a cat and a dog"}


def test_collages_name_both_and_only_what_is_plainly_there():
    dog, cat, cup = (photo_of(word) for word in ("dog", "cat", "cup"))
    captions = template_captions(collage(dog, cat, layout="beside"))
    assert captions[:3] == ("a dog and a cat", "a cat and a dog", "a dog next to a cat")
    assert captions[3] == "a dog and a cat posing for a picture"
    assert template_captions(collage(dog, cup, layout="above"))[-1] == "a dog next to a cup"
    small = photo_of("bird", Box(0.4, 0.4, 0.5, 0.5), complete=True)
    assert template_captions(view_of(Part(small))) == ()
    assert template_captions(collage(dog, small, layout="beside")) == ()


@needs_shared_data
def test_template_views_are_drawn_from_training_photos_alone():
    views = template_views(read_photos(SHARED_DATA), np.random.default_rng(0), collages=50, pets=5)
    assert {split_of_boxed(part.photo.key) for view in views for part in view.view.parts} == {"train"}
    assert any(len(view.view.parts) == 2 for view in views)


def test_without_labelled_photos_there_are_no_templates(tmp_path):
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert (
        template_views(read_photos(tmp_path, required=False), np.random.default_rng(0), collages=5, pets=5) == []
    )


def test_a_vocabulary_without_unk_cannot_encode_unknown_words():
    with pytest.raises(KeyError):
        encode_captions([["a dog"]], Vocabulary(["a"]))
