"""Answers explained from the command line: files, numbers, and what a user may get wrong."""

import json

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.app.vqa import Options, list_layers, run
from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.errors import InputError
from gradcam_jax.images.preprocessing import ORIGINAL
from gradcam_jax.models.vgg import VGG
from gradcam_jax.models.vqa import VQA
from gradcam_jax.zoo import question_models
from gradcam_jax.zoo.checkpoint import Card, write_checkpoint
from gradcam_jax.zoo.question_models import QUESTION_MODELS
from tests.comparison import kaiming_variables

WORDS, ANSWERS = ("what", "animal", "?", "UNK"), ("yes", "no", "dog", "24/7", "Cat")


def _build(words: int, answers: int, **sizes) -> VQA:
    cnn = VGG((1, 1), (4, 6), hidden=10, classes=None, input_size=32)
    return VQA(cnn=cnn, words=words, answers=answers, **sizes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vqa")
    entry = question_models.Entry(_build, None, "cnn/relu2_1", ORIGINAL, 32, "make it")
    QUESTION_MODELS["small"] = entry
    model = _build(len(WORDS), len(ANSWERS), embedding=4, hidden=5, common=6)
    variables = kaiming_variables(variable_shapes(model, *question_models.example_inputs(entry)))
    card = Card("small", "original", "none", 0, labels=ANSWERS, words=WORDS)
    write_checkpoint(folder / "small.safetensors", variables, card)
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(folder / "photo.png")
    yield folder
    del QUESTION_MODELS["small"]


def _options(folder, **options) -> Options:
    return Options(
        **{
            "input_image_path": str(folder / "photo.png"),
            "model_path": str(folder / "small.safetensors"),
            "out_path": str(folder / "out"),
        }
        | options
    )


def test_files_numbers_and_report_of_two_answers(folder):
    lines = []
    files = run(_options(folder, question="What yak?", answer="DOG, 24/7"), lines.append)
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
    run(_options(folder, top_k=3))
    record = json.loads((folder / "out" / "explanation.json").read_text())
    explained = [target["answer"] for target in record["targets"]]
    assert explained == [prediction["answer"] for prediction in record["predictions"][:3]]


def test_an_answer_given_twice_is_explained_once(folder):
    run(_options(folder, answer="dog,Dog,cat"))
    record = json.loads((folder / "out" / "explanation.json").read_text())
    assert [target["answer"] for target in record["targets"]] == ["dog", "Cat"]


def test_the_counterfactual_map_is_the_negated_one(folder):
    run(_options(folder, answer="dog"))
    plain = np.load(folder / "out" / "explanation.npz")["cam"]
    run(_options(folder, answer="dog", counterfactual=True))
    np.testing.assert_allclose(np.load(folder / "out" / "explanation.npz")["cam"], -plain, rtol=1e-5)


def test_a_long_question_says_what_it_loses(folder):
    lines = []
    run(_options(folder, question="what " * 300), lines.append)
    assert any("first 26 words" in line and "274" in line for line in lines)


def test_a_grey_map_has_the_originals_other_name(folder):
    names = {file.name for file in run(_options(folder, answer="no", save_as_heatmap=False))}
    assert "vqa_gcam_no.png" in names
    assert not any("gcam_hm" in name for name in names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"answer": "dgo"}, r"'dgo' is none of the 5 answers.*Nearest: dog"),
        ({"question": "  "}, "Expected a question"),
        ({"top_k": 9}, "--top_k from 1 to 5, got 9"),
        ({"top_k": 2, "answer": "dog"}, "leave --answer out"),
        ({"model_path": "vqa_lite"}, "Nearest: vqa_lite0"),
        ({"recipe": "none"}, "no recipe 'none'"),
    ],
)
def test_mistakes_are_explained(folder, options, message):
    with pytest.raises(InputError, match=message):
        run(_options(folder, **options))


def test_layers_are_listed_with_their_shapes(folder):
    lines = []
    list_layers(_options(folder), lines.append)
    assert [line.split() for line in lines][-2:] == [["cnn/relu2_1", "16x16x6"], ["cnn/pool2", "8x8x6"]]
