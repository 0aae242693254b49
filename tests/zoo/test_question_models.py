"""Checkpoints of VQA models: found, read, and refused with a reason."""

import jax
import numpy as np
import pytest

from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.errors import CheckpointError, InputError, LayerError
from gradcam_jax.images.preprocessing import ORIGINAL
from gradcam_jax.models.vqa import VQA
from gradcam_jax.zoo import question_models
from gradcam_jax.zoo.checkpoint import Card, write_checkpoint
from gradcam_jax.zoo.question_models import QUESTION_MODELS, find_layer, load_question_model
from tests.comparison import kaiming_variables
from tests.tasks.test_vqa import small_vqa

CARD = Card("small", "original", "none", 0, labels=("yes", "no", "dog"), words=("what", "?", "UNK"))


def _build(words: int, answers: int, **sizes) -> VQA:
    return small_vqa().clone(words=words, answers=answers, **sizes)


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    entry = question_models.Entry(_build, None, "cnn/relu2_1", ORIGINAL, 12, "make it")
    monkeypatch.setitem(QUESTION_MODELS, "small", entry)
    model = _build(3, 3, embedding=4, hidden=7, common=9)
    variables = kaiming_variables(variable_shapes(model, *question_models.example_inputs(entry)))
    path = tmp_path / "mine.safetensors"
    write_checkpoint(path, variables, CARD)
    return path, variables


def test_a_checkpoint_brings_its_sizes_words_and_answers(checkpoint):
    path, variables = checkpoint
    loaded = load_question_model(str(path))
    assert (loaded.model.embedding, loaded.model.hidden, loaded.model.common) == (4, 7, 9)
    assert loaded.words.entries == CARD.words
    assert loaded.answers.entries == CARD.labels
    jax.tree.map(np.testing.assert_array_equal, variables, loaded.variables)


def test_a_vocabulary_of_other_length_does_not_fit(checkpoint, tmp_path):
    path = tmp_path / "other.safetensors"
    write_checkpoint(path, checkpoint[1], CARD._replace(labels=("yes", "no")))
    with pytest.raises(CheckpointError, match=r"mis-shaped: params/classifier"):
        load_question_model(str(path))


def test_a_classifier_answers_no_questions(tmp_path):
    path = tmp_path / "vgg.safetensors"
    write_checkpoint(path, {"params": {"fc8": {"bias": np.zeros(2, np.float32)}}}, CARD._replace(model="vgg16"))
    with pytest.raises(CheckpointError, match="holds vgg16, which answers no questions"):
        load_question_model(str(path))


def test_a_strange_name_lists_the_nearest():
    with pytest.raises(InputError, match=r"Nearest: vqa_lite0"):
        load_question_model("vqa_lite")


def test_the_originals_file_is_told_how_to_be_converted(tmp_path):
    path = tmp_path / "lstm.t7"
    path.touch()
    with pytest.raises(InputError, match=r"convert_checkpoint\.py --model vqa_vgg19"):
        load_question_model(str(path))


def test_missing_weights_say_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setattr("gradcam_jax.zoo.classifiers.checkpoint_folders", lambda: [tmp_path])
    with pytest.raises(InputError, match=r"Get them with:  python scripts/train\.py --task vqa"):
        load_question_model("vqa_lite0")


@pytest.mark.parametrize("name", ["", "relu2_1", "cnn/relu2_1", "5"])
def test_layers_go_by_name_with_or_without_the_cnn_or_by_number(checkpoint, name):
    assert find_layer(load_question_model(str(checkpoint[0])), name) == "cnn/relu2_1"


def test_a_strange_layer_lists_the_nearest(checkpoint):
    model = load_question_model(str(checkpoint[0]))
    with pytest.raises(LayerError, match="relu2_1"):
        find_layer(model, "relu2_7")
    with pytest.raises(InputError, match="from 1 to 6, got 99"):
        find_layer(model, "99")
