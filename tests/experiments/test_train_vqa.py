"""The bundled VQA model's whole way on a handful of photos: trained, read back, measured."""

import csv
import dataclasses
import functools
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import PIL.Image
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.captioned_views import read_captioned_photos
from gradcam_jax.experiments.data.views import held_out_collages
from gradcam_jax.experiments.evaluators import program
from gradcam_jax.experiments.evaluators import vqa as evaluate_vqa
from gradcam_jax.experiments.training.configs import find_configuration
from gradcam_jax.experiments.training.configs.vqa_lite0 import MODERN
from gradcam_jax.experiments.training.program import Options, run
from gradcam_jax.zoo import load

PHOTOS = 10  # of each kind: enough for every part of the data
BOX = (20, 10, 50, 40)  # pixels of 100x80


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    """Ten COCO photos of a dog in a box, ten labelled ones of each of a dog and a cat, and ten with captions."""
    monkeypatch.setattr(evaluate_vqa, "held_out_collages", functools.partial(held_out_collages, count=1))
    rng = np.random.default_rng(0)
    for part in ("coco", "samples", "captioned"):
        (tmp_path / part / "images").mkdir(parents=True)
    content = {"images": [], "categories": [{"id": 1, "name": "dog"}], "annotations": []}
    for number in range(PHOTOS):
        _photo(tmp_path / "coco" / "images" / f"{number}.jpg", rng)
        content["images"].append({"id": number, "file_name": f"{number}.jpg", "width": 100, "height": 80})
        content["annotations"].append({"image_id": number, "category_id": 1, "bbox": BOX})
    (tmp_path / "coco" / "instances.json").write_text(json.dumps(content))
    rows = [
        (f"{name}{number}.jpg", index) for name, index in (("dog", 242), ("cat", 281)) for number in range(PHOTOS)
    ]
    for name, _ in rows:
        _photo(tmp_path / "samples" / "images" / name, rng)
    with (tmp_path / "samples" / "labels.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([("file", "class_index"), *rows])
    captions = [(f"{number}.jpg", text) for number in range(PHOTOS) for text in ("A dog runs.", "A brown dog")]
    for name, _ in captions[::2]:
        _photo(tmp_path / "captioned" / "images" / name, rng)
    with (tmp_path / "captioned" / "captions.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([("file", "caption"), *captions])
    return tmp_path


def _photo(path: Path, rng: np.random.Generator) -> None:
    PIL.Image.fromarray(rng.integers(0, 255, (80, 100, 3), np.uint8)).save(path)


def test_a_model_is_trained_read_back_and_measured(data, tmp_path):
    lines = []
    with jax.numpy_dtype_promotion("standard"):  # optax raises a Python float to an integer count
        path = run(
            dataclasses.replace(MODERN, batch_size=256, transplants=1, collages=8, members=2, common=48),
            Options(
                data=str(data),
                epochs=1,
                work=str(tmp_path / "run"),
                checkpoint=str(tmp_path / "mine.safetensors"),
            ),
            lines.append,
        )
    assert any(line.startswith("validation: all ") for line in lines)
    history = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert 0 <= history[-1]["pointing"] <= 1  # boxes were found, and maps scored by them

    model = load(path, task="vqa")
    assert {"yes", "no", "none", "dog", "cat"} <= set(model.labels.entries)
    notes = json.loads(model.card.notes)
    captioned = len(read_captioned_photos(data)["train"])
    assert 0 < captioned < PHOTOS
    assert notes["photos"] == 3 * 7 + captioned
    assert model.model.common == 96
    assert "may have been in training for the other task" in notes["splits"]

    written = program.run(
        program.Options(task="vqa", data=str(data), model=str(path), out_path=str(tmp_path / "out"))
    )
    record = json.loads(written.read_text())
    assert record["test_photos"] == 3 * 2
    assert record["pointing_game"]["maps"] == 2
    assert record["pointing_game"]["centre"] == 1
    of_presence = record["pointing_game_is_there"]
    assert (of_presence["maps"], of_presence["centre"]) == (2, 1)
    assert 0 <= of_presence["accuracy"] <= 1
    assert record["collages"]["maps"] == 2
    assert record["templates"]["all"]["questions"] > 0
    assert record["human"] == {}


def test_photos_without_boxes_have_no_maps_that_could_be_scored(data, tmp_path):
    shutil.rmtree(data / "coco")
    for row in (data / "samples" / "images").glob("cat*"):
        row.unlink()
    labels = data / "samples" / "labels.csv"
    lines = labels.read_text().splitlines(keepends=True)
    labels.write_text("".join(line for line in lines if not line.startswith("cat")))
    written = program.run(program.Options(task="vqa", data=str(data), out_path=str(tmp_path / "out")))
    record = json.loads(written.read_text(), parse_constant=pytest.fail)  # no NaN
    assert record["test_photos"] == 2
    assert record["templates"]["all"]["questions"] > 0
    for name in ("pointing_game", "pointing_game_is_there"):
        assert record[name] == {"maps": 0, "maps_small": 0}
    assert record["collages"] == {"maps": 0}


def test_an_unknown_preset_is_an_error():
    with pytest.raises(InputError, match=r"no preset 'fast'\. Nearest: modern, published"):
        find_configuration("vqa", "fast")
