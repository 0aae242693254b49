"""The published start and the draw of the official questions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.experiments.data.question_sets import QuestionArrays
from gradcam_jax.experiments.training.configs.vqa_official import PUBLISHED, drawn_batches
from gradcam_jax.experiments.training.vqa_head import best_answers, uniform_params
from gradcam_jax.models.vqa import VQA

MODEL = VQA(cnn=None, words=30, answers=7, embedding=8, hidden=16, common=24)
RNG = np.random.default_rng(0)
FEATURES = RNG.random((9, 12)).astype(np.float32)
QUESTIONS = QuestionArrays(
    image=RNG.integers(9, size=40).astype(np.int32),
    ids=RNG.integers(30, size=(40, 26)).astype(np.int32),
    length=RNG.integers(1, 27, size=40).astype(np.int32),
    answer=RNG.integers(7, size=40).astype(np.int32),
)


def test_every_parameter_starts_uniformly_between_minus_and_plus_008():
    leaves = jax.tree.leaves_with_path(uniform_params(MODEL, jax.random.key(0), 12))
    assert len(leaves) == 16  # word table and bias, four maps of the LSTM layers, three projections
    for path, leaf in leaves:
        assert np.abs(leaf).max() <= 0.08, path
        assert np.abs(leaf).max() > 0.05, path
        assert np.abs(np.mean(leaf)) < 0.05, path


def test_the_published_settings():
    assert (PUBLISHED.steps, PUBLISHED.batch_size, PUBLISHED.answers) == (150_000, 500, 1000)
    assert PUBLISHED.dropout == 0.5
    assert not PUBLISHED.keep_best
    updates = PUBLISHED.optimizer(PUBLISHED.steps)
    params = {"w": jnp.zeros(1)}
    state = updates.init(params)
    # m = 0.01 g^2 after one step, so the first step is the rate times 1 / 0.1, whatever g.
    step, _ = updates.update({"w": jnp.full(1, 3.0)}, state, params)
    np.testing.assert_allclose(step["w"], -3e-4 / 0.1, rtol=1e-5)


def test_a_batch_is_drawn_with_replacement_and_is_a_function_of_its_step():
    batch_at = drawn_batches(FEATURES, QUESTIONS, 7, batch_size=500, seed=3)
    first, again, other = batch_at(11), batch_at(11), batch_at(12)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first["ids"], other["ids"])
    assert first["features"].shape == (500, 12)
    np.testing.assert_array_equal(first["targets"].sum(axis=1), 1)
    rows = [np.flatnonzero((QUESTIONS.ids == ids).all(axis=1))[0] for ids in first["ids"]]
    np.testing.assert_array_equal(first["features"], FEATURES[QUESTIONS.image[rows]])
    np.testing.assert_array_equal(np.argmax(first["targets"], axis=1), QUESTIONS.answer[rows])
    counts = np.bincount(rows, minlength=40)
    assert counts.min() >= 1
    assert len(set(counts.tolist())) > 1  # 500 of 40 by turns would be even


@pytest.mark.parametrize("batch_size", [7, 40, 64])
def test_answers_do_not_depend_on_the_batch(batch_size):
    params = uniform_params(MODEL, jax.random.key(0), 12)
    found = best_answers(MODEL, params, FEATURES, QUESTIONS, batch_size=batch_size)
    inputs = FEATURES[QUESTIONS.image], QUESTIONS.ids, QUESTIONS.length
    scores = MODEL.apply({"params": params}, *inputs, method="answer")
    np.testing.assert_array_equal(found, np.argmax(np.asarray(scores), axis=-1))
