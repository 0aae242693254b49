"""Pictures and pairs: the right text and answer for each picture, the loss, and predictions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.experiments.data.easy_vqa import EasyQuestion, EasyVqa, kind_of
from gradcam_jax.experiments.training.vqa_end_to_end import (
    EpochsOfPictures,
    end_to_end_loss,
    initial_model_params,
    pair_up,
    predictions,
)
from gradcam_jax.images.preprocessing import EASY_VQA, to_network
from gradcam_jax.models.shape_cnn import ShapeCnn
from gradcam_jax.models.vqa import VQA, identity
from gradcam_jax.text.questions import question_tokens
from gradcam_jax.text.vocabulary import Vocabulary, count_words

ANSWERS = Vocabulary(["yes", "no", "circle", "red", "blue"])
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 12, 12, 3)).astype(np.uint8)


def _questions() -> list[EasyQuestion]:
    texts = [("what shape?", "circle"), ("is it red?", "yes"), ("what color is it?", "red"), ("is it blue?", "no")]
    return [
        EasyQuestion(image, text, answer, kind_of(answer))
        for image in range(6)
        for text, answer in texts[: 2 + image % 3]
    ]


QUESTIONS = _questions()
WORDS = count_words(question_tokens(question.text) for question in QUESTIONS)
PAIRS = pair_up(QUESTIONS, WORDS, ANSWERS)


def _model() -> VQA:
    cnn = ShapeCnn((1, 1), (4, 6), hidden=10)
    return VQA(cnn, len(WORDS), len(ANSWERS), embedding=5, hidden=6, common=8, normalize=identity, dropout=0.0)


@pytest.fixture(scope="module")
def params():
    with jax.numpy_dtype_promotion("standard"):
        return initial_model_params(_model(), jnp.zeros((12, 12, 3)), jax.random.key(0))


def _epochs(**options) -> EpochsOfPictures:
    return EpochsOfPictures(IMAGES, PAIRS, **{"batch_size": 3, "questions_each": 4, "seed": 1} | options)


def _picture_of(image: np.ndarray) -> tuple[int, bool]:
    """Returns which of the pictures this is, and whether it is mirrored."""
    found = np.round(image * 255).astype(np.uint8)
    for index, picture in enumerate(IMAGES):
        for mirrored in (False, True):
            if np.array_equal(found, picture[:, ::-1] if mirrored else picture):
                return index, mirrored
    raise AssertionError("no such picture")


def test_texts_are_encoded_once():
    assert len(PAIRS.length) == 4
    assert PAIRS.text.tolist() == [0, 1, 0, 1, 2, 0, 1, 2, 3] * 2
    assert PAIRS.open_ended.tolist() == [True, False, True, False, True, True, False, True, False] * 2
    assert PAIRS.length.tolist() == [3, 4, 5, 4]
    assert PAIRS.ids.shape == (4, 5)


def test_a_batch_asks_each_picture_its_own_questions_half_of_them_open_ended():
    epochs = _epochs()
    asked_of = {(q.image, PAIRS.text[row]): PAIRS.answer[row] for row, q in enumerate(QUESTIONS)}
    mirrored = []
    for step in range(2 * epochs.steps):
        batch = epochs.batch_at(step)
        for place, image in enumerate(batch["images"]):
            index, flipped = _picture_of(image)
            mirrored.append(flipped)
            rows = slice(4 * place, 4 * place + 4)
            for text, answer in zip(batch["text"][rows], batch["answer"][rows], strict=True):
                assert asked_of[index, text] == answer
            assert [ANSWERS.entries[a] in ("yes", "no") for a in batch["answer"][rows]] == [False] * 2 + [True] * 2
    assert len(set(mirrored)) == 2


def test_an_epoch_shows_every_picture_once_and_a_batch_is_a_function_of_its_step():
    epochs = _epochs()
    shown = [_picture_of(image)[0] for step in range(epochs.steps) for image in epochs.batch_at(step)["images"]]
    assert sorted(shown) == list(range(6))
    jax.tree.map(np.testing.assert_array_equal, epochs.batch_at(3), _epochs().batch_at(3))


def test_pictures_without_one_kind_of_question_are_asked_the_other():
    only = pair_up([q for q in QUESTIONS if q.image != 2 or q.kind != "yes or no"], WORDS, ANSWERS)
    batches = [
        EpochsOfPictures(IMAGES, only, batch_size=3, questions_each=4, seed=1).batch_at(step) for step in range(2)
    ]
    assert all(batch["answer"].shape == (12,) for batch in batches)


def test_the_loss_is_that_of_the_questions_one_by_one(params):
    model, batch = _model(), _epochs().batch_at(0)
    loss, metrics = jax.jit(functools.partial(end_to_end_loss, model, EASY_VQA))(params, batch, jax.random.key(2))
    pixels = jnp.repeat(to_network(batch["images"], EASY_VQA), 4, axis=0)
    questions = batch["ids"][batch["text"]], batch["length"][batch["text"]]
    scores = jax.jit(model.apply)({"params": params}, pixels, *questions)
    expected = -np.asarray(jax.nn.log_softmax(scores))[np.arange(12), batch["answer"]].mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    right = np.argmax(np.asarray(scores), axis=-1) == batch["answer"]
    np.testing.assert_allclose(metrics["accuracy"], right.mean(), rtol=1e-6)


@pytest.mark.parametrize("batch_size", [4, 125])
def test_predictions_are_those_of_the_whole_model(params, batch_size):
    model = _model()
    data = EasyVqa(IMAGES, tuple(QUESTIONS), ANSWERS.entries)
    best = predictions(model, EASY_VQA, params, data, words=WORDS, answers=ANSWERS, batch_size=batch_size)
    pixels = to_network(IMAGES[PAIRS.image].astype(np.float32) / np.float32(255), EASY_VQA)
    scores = jax.jit(model.apply)({"params": params}, pixels, PAIRS.ids[PAIRS.text], PAIRS.length[PAIRS.text])
    assert best == [ANSWERS.entries[index] for index in np.argmax(np.asarray(scores), axis=-1)]
