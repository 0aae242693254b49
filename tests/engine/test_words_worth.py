"""What a question's words are worth: the score's fall with an average word in the place of each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from gradcam_jax.engine.core import explain_batch
from gradcam_jax.engine.spec import Replacement, Spec, as_given, class_score
from gradcam_jax.models.vgg import VGG
from gradcam_jax.models.vqa import VQA
from gradcam_jax.tasks.vqa import WORDS_LAYER, average_word
from tests.tasks.small_tasks import photo, small

LAYER = "cnn/relu2_1"


def length_of(ids, length):
    return jnp.minimum(length, ids.shape[-1])


@pytest.fixture(scope="module")
def model_and_variables():
    cnn = VGG((1, 1), (4, 6), hidden=10, classes=None, input_size=12)
    model = VQA(
        cnn=cnn, words=9, answers=7, embedding=5, hidden=6, common=8, bias_init=jax.nn.initializers.normal(0.1)
    )
    example = jnp.ones((12, 12, 3)), jnp.zeros(6, jnp.int32), jnp.int32(3)
    return model, jax.jit(model.init)(jax.random.key(0), *example)


def test_a_word_is_worth_what_an_average_word_in_its_place_loses(model_and_variables):
    """The average word is a word of a larger vocabulary here, so that the questions are the model's own."""
    model, variables = model_and_variables
    table, bias = (np.asarray(variables["params"][WORDS_LAYER][name]) for name in ("kernel", "bias"))
    average = np.tanh(table + bias).mean(axis=0)
    added = np.concatenate([table, [np.arctanh(average) - bias]]).astype(np.float32)
    larger = {"params": variables["params"] | {WORDS_LAYER: {"kernel": added, "bias": bias}}}
    images = jax.random.normal(jax.random.key(1), (3, 12, 12, 3))
    ids = np.array([[3, 1, 8, 0, 0, 0], [1, 2, 3, 4, 5, 6], [8, 0, 0, 0, 0, 0]], np.int32)
    lengths, targets = np.array([3, 6, 1], np.int32), np.array([[2, 4], [0, 0], [5, -1]], np.int32)

    words = Replacement("words", WORDS_LAYER, tuple(average.tolist()), length_of)
    spec = Spec(class_score, (("cam", LAYER, gc.grad_cam),), as_given, replaced=(words,))
    forward = gc.tapped(model, variables, LAYER)
    explain = jax.jit(explain_batch, static_argnames="spec")
    parts = explain(forward, None, images, targets, (ids, lengths), spec=spec)
    found = parts.maps["words"]
    guided_forward, guided_spec = forward.with_relu_rule(gc.guided), spec._replace(guided=True)
    guided = explain(forward, guided_forward, images, targets, (ids, lengths), spec=guided_spec)
    np.testing.assert_allclose(guided.maps["words"], found, rtol=1e-5, atol=1e-7)
    plain = explain(forward, None, images, targets, (ids, lengths), spec=spec._replace(replaced=()))
    np.testing.assert_allclose(parts.maps["cam"], plain.maps["cam"], rtol=1e-5, atol=1e-7)

    answers = jax.jit(model.clone(words=10).apply)
    for row, (image, length) in enumerate(zip(images, lengths, strict=True)):
        scores = answers(larger, image, ids[row], length)
        for place in range(6):
            other = ids[row].copy()
            other[place] = 9
            falls = scores - answers(larger, image, other, length)
            expected = [falls[target] if target >= 0 and place < length else 0 for target in targets[row]]
            np.testing.assert_allclose(found[row, :, place], expected, rtol=1e-4, atol=2e-7)
    assert np.abs(found[1]).min() > 1e-6  # every word of the long question counts


def test_the_task_measures_against_the_models_own_words():
    loaded = small("vqa")
    embedding = loaded.variables["params"][WORDS_LAYER]
    average = np.tanh(np.asarray(embedding["kernel"]) + np.asarray(embedding["bias"])).mean(axis=0)
    np.testing.assert_allclose(average_word(loaded), average, rtol=1e-6)
    task = gc.tasks.vqa(loaded, question="What animal is this?", answer="dog")
    resized = task.plan.preprocessing.resize(photo(), task.size)
    image = gc.images.to_network(resized.image, task.plan.preprocessing)
    encoded = task.encode({})
    row = gc.tasks.explain_photo(task, photo(), methods=("grad_cam",)).description.rows[0]

    @jax.jit
    def score_of(vectors):
        def run(model):
            first, outputs = model.lstm_1(vectors, encoded["length"])
            second, _ = model.lstm_2(outputs, encoded["length"])
            question = jnp.concatenate([*first, *second], axis=-1)
            return model.fuse(model.features(image), question)[encoded["targets"][0]]

        return loaded.model.apply(loaded.variables, method=run)

    vectors = np.tanh(np.asarray(embedding["kernel"])[encoded["ids"]] + np.asarray(embedding["bias"]))
    whole = score_of(vectors)
    for place, (_, importance) in enumerate(row.tokens):
        changed = vectors.copy()
        changed[place] = average
        np.testing.assert_allclose(importance, whole - score_of(changed), rtol=1e-3, atol=1e-6)
