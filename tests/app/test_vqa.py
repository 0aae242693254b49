"""Answers explained from the command line: files, numbers, and what a user may get wrong."""

import json

import numpy as np
import pytest

from gradcam_jax.app.layers import list_layers
from gradcam_jax.app.one_photo import explain_one
from gradcam_jax.app.options import Options
from gradcam_jax.errors import InputError
from tests.app.small_models import add_small_models, write_photo


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vqa")
    write_photo(folder / "photo.png")
    with pytest.MonkeyPatch.context() as patch:
        add_small_models(folder, patch)
        yield folder


def _options(folder, **options) -> Options:
    return Options(
        **{
            "task": "vqa",
            "input_image_path": str(folder / "photo.png"),
            "model": str(folder / "small_vqa.safetensors"),
            "out_path": str(folder / "out"),
        }
        | options
    )


def test_files_numbers_and_report_of_two_answers(folder):
    lines = []
    files = explain_one(_options(folder, question="What yak?", answer="DOG, 24/7"), lines.append)
    names = {file.name for file in files}
    for answer in ("dog", "24_7"):
        pictures = ("gcam_hm", "gb", "gb_gcam", "overlay", "panel")
        assert {f"vqa_{picture}_{answer}.png" for picture in pictures} <= names
    assert {"vqa_panel.png", "explanation.npz", "explanation.json"} <= names

    record = json.loads((folder / "out" / "explanation.json").read_text())
    assert [target["answer"] for target in record["targets"]] == ["dog", "24/7"]
    assert [(t["token"], t["known"]) for t in record["question_tokens"]] == [
        ("what", True),
        ("yak", False),
        ("?", True),
    ]
    assert record["question_tokens"][0]["importance"] == pytest.approx(record["targets"][0]["word_importances"][0])
    probabilities = [prediction["probability"] for prediction in record["predictions"]]
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)
    assert probabilities == sorted(probabilities, reverse=True)

    arrays = np.load(folder / "out" / "explanation.npz")
    assert arrays["cam"].shape == (2, 16, 16)
    assert arrays["heatmap"].shape == (2, 32, 32)
    assert arrays["guided_grad_cam"].shape == (2, 32, 32, 3)
    assert arrays["word_importances"].shape == (2, 3)
    report = "\n".join(lines)
    assert "question: What yak?" in report
    assert "read as UNK: yak" in report


def test_without_an_answer_the_most_probable_ones(folder):
    explain_one(_options(folder, top_k=3))
    record = json.loads((folder / "out" / "explanation.json").read_text())
    explained = [target["answer"] for target in record["targets"]]
    assert explained == [prediction["answer"] for prediction in record["predictions"][:3]]


def test_an_answer_given_twice_is_explained_once(folder):
    explain_one(_options(folder, answer="dog,Dog,cat"))
    record = json.loads((folder / "out" / "explanation.json").read_text())
    assert [target["answer"] for target in record["targets"]] == ["dog", "Cat"]


def test_the_counterfactual_map_is_the_negated_one(folder):
    explain_one(_options(folder, answer="dog"))
    plain = np.load(folder / "out" / "explanation.npz")["cam"]
    explain_one(_options(folder, answer="dog", counterfactual=True))
    np.testing.assert_allclose(np.load(folder / "out" / "explanation.npz")["cam"], -plain, rtol=1e-5)


def test_a_long_question_says_what_it_loses(folder):
    lines = []
    explain_one(_options(folder, question="what " * 300), lines.append)
    assert any("first 26 words" in line and "274" in line for line in lines)


def test_a_grey_map_has_the_originals_other_name(folder):
    names = {file.name for file in explain_one(_options(folder, answer="no", save_as_heatmap=False))}
    assert "vqa_gcam_no.png" in names
    assert not any("gcam_hm" in name for name in names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"answer": "dgo"}, r"'dgo' is none of the 5 answers.*Nearest: dog"),
        ({"question": "  "}, "Expected a question"),
        ({"top_k": 9}, "--top_k from 1 to 5, got 9"),
        ({"top_k": 2, "answer": "dog"}, "--top_k 2 needs -1, the predictions, among --answer, got 'dog'"),
        ({"model": "vqa_lite"}, "Nearest: vqa_lite0"),
        ({"recipe": "none"}, "no recipe 'none'"),
    ],
)
def test_mistakes_are_explained(folder, options, message):
    with pytest.raises(InputError, match=message):
        explain_one(_options(folder, **options))


def test_layers_are_listed_with_their_shapes(folder):
    lines = []
    list_layers(Options(task="vqa", model="small_vqa"), lines.append)
    lines = [line.removesuffix("(default)") for line in lines]
    in_cnn = [line.split() for line in lines if len(line.split()) == 3]
    assert in_cnn[-2:] == [["cnn/relu2_1", "16x16x6", "5"], ["cnn/pool2", "8x8x6", "6"]]
    assert [number for _, _, number in in_cnn] == ["1", "2", "3", "4", "5", "6"]
    assert ["cnn/fc6", "10"] in [line.split() for line in lines]
