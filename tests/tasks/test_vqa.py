"""Answers explained: maps, words, padding, cost."""

import functools
import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from gradcam_jax.attribution.maps import counterfactual_grad_cam, grad_cam, gradient_times_input
from gradcam_jax.engine.core import explain_batch
from gradcam_jax.engine.spec import Spec, as_given, class_score
from gradcam_jax.models.vgg import VGG
from gradcam_jax.models.vqa import VQA, l2_normalize, vqa_lite0
from gradcam_jax.tasks.methods import DEFAULT_METHODS
from gradcam_jax.tasks.task import Setting, explain_photo
from gradcam_jax.tasks.vqa import WORDS_LAYER
from tests.comparison import assert_close, relative_error
from tests.models.guided import guided_gradient
from tests.tasks.small_tasks import ANSWERS, photo, small

LAYER = "cnn/relu2_1"
SIZE = 320  # pixels: what the bundled model is explained at


class Explained(NamedTuple):
    outputs: jax.Array
    scores: jax.Array
    cam: jax.Array
    words: jax.Array
    guided_backprop: jax.Array


@functools.partial(jax.jit, static_argnums=0, static_argnames="method")
def explain(model, variables, image, ids, length, targets, method=grad_cam):
    """Everything of one photo and question, in one pass, as the task asks for it."""
    maps = ("cam", LAYER, method), ("words", WORDS_LAYER, gradient_times_input)
    forward = gc.tapped(model, variables, LAYER)
    batch = jax.tree.map(lambda leaf: leaf[jnp.newaxis], (image, targets, (ids, length)))
    spec = Spec(class_score, maps, as_given, guided=True)
    parts = explain_batch(forward, forward.with_relu_rule(gc.guided), *batch, spec)
    explained = Explained(
        parts.outputs, parts.scores, parts.maps["cam"], parts.maps["words"], parts.guided_backprop
    )
    return jax.tree.map(lambda leaf: leaf[0], explained)


def small_vqa(**fields) -> VQA:
    cnn = VGG((1, 1), (4, 6), hidden=10, classes=None, input_size=12)
    return VQA(cnn=cnn, words=9, answers=7, **{"embedding": 5, "hidden": 6, "common": 8} | fields)


@pytest.fixture(scope="module")
def arrays():
    model = small_vqa(bias_init=jax.nn.initializers.normal(0.1))
    image = jax.random.normal(jax.random.key(5), (12, 12, 3))
    ids = jnp.array([3, 1, 8, 0, 0, 0], jnp.int32)
    variables = jax.jit(model.init)(jax.random.key(0), image, ids, jnp.int32(3))
    return model, variables, image, ids, jnp.int32(3)


def test_parameters_are_named_as_the_checkpoints_expect(arrays):
    shapes = jax.tree.map(jnp.shape, arrays[1]["params"])
    lstm = {"i2h": {"kernel": (5, 24), "bias": (24,)}, "h2h": {"kernel": (6, 24), "bias": (24,)}}
    assert shapes.pop("cnn").keys() == {"conv1_1", "conv2_1", "fc6", "fc7"}
    assert shapes == {
        "word_embedding": {"kernel": (9, 5), "bias": (5,)},
        "lstm_1": lstm,
        "lstm_2": lstm | {"i2h": {"kernel": (6, 24), "bias": (24,)}},
        "question_projection": {"kernel": (24, 8), "bias": (8,)},
        "image_projection": {"kernel": (10, 8), "bias": (8,)},
        "classifier": {"kernel": (8, 7), "bias": (7,)},
    }


def test_the_map_is_alpha_times_activations_computed_by_hand(arrays):
    model, variables, image, ids, length = arrays
    explained = explain(*arrays, jnp.array([2]))

    # The same gradient by another way: finite differences of the score along each channel's mean.
    def score_with(bias):
        _, found = model.apply(
            variables, image, ids, length, capture_intermediates=True, mutable=["intermediates"]
        )
        layer = found["intermediates"]["cnn"]["relu2_1"]["__call__"][0]
        moved = jnp.maximum(layer, 0) + bias.reshape(1, 1, -1)
        pooled = moved.reshape(3, 2, 3, 2, 6).max((1, 3)).reshape(-1)
        parameters = variables["params"]["cnn"]
        for name in ("fc6", "fc7"):
            pooled = jax.nn.relu(pooled @ parameters[name]["kernel"] + parameters[name]["bias"])
        feature = pooled / jnp.sqrt(jnp.sum(pooled**2) + 1e-10)
        return model.apply(variables, feature, ids, length, method="answer")[2], layer

    (_, layer), gradient = jax.value_and_grad(score_with, has_aux=True)(jnp.zeros(6))
    np.testing.assert_allclose(explained.cam[0], layer @ (gradient / layer[..., 0].size), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(explained.scores[0], score_with(jnp.zeros(6))[0], rtol=1e-5)


def test_padding_a_question_changes_nothing_at_all(arrays):
    model, variables, image, ids, length = arrays
    targets = jnp.array([0, 4])
    padded = explain(*arrays, targets)
    bare = explain(model, variables, image, ids[:3], length, targets)
    for name in ("outputs", "scores", "cam", "guided_backprop"):
        np.testing.assert_array_equal(getattr(padded, name), getattr(bare, name))
    np.testing.assert_array_equal(padded.words[:, :3], bare.words)
    np.testing.assert_array_equal(padded.words[:, 3:], 0)


def test_a_batch_of_questions_is_its_questions(arrays):
    model, variables, image, _, _ = arrays
    ids = jnp.array([[3, 0, 0, 0], [1, 2, 3, 4], [8, 8, 0, 0]], jnp.int32)
    lengths = jnp.array([1, 4, 2])

    def explain_one(ids, length):
        return explain(model, variables, image, ids, length, jnp.array([1]))

    batch = jax.vmap(explain_one)(ids, lengths)
    for index in range(3):
        single = explain_one(ids[index], lengths[index])
        picked = jax.tree.map(lambda leaf, index=index: leaf[index], batch)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), picked, single)


def test_the_counterfactual_map_is_the_negated_map(arrays):
    targets = jnp.array([3])
    plain = explain(*arrays, targets)
    counter = explain(*arrays, targets, method=counterfactual_grad_cam)
    np.testing.assert_allclose(counter.cam, -plain.cam, rtol=1e-6)


def test_a_word_matters_as_much_as_its_vector_moves_the_score(arrays):
    model, variables, image, ids, length = arrays
    words = gc.tapped(model, variables, WORDS_LAYER)
    batch = image[jnp.newaxis], jnp.array([[2, 4]]), ids[jnp.newaxis], length[jnp.newaxis]
    found = gc.explain(words, *batch, method=gradient_times_input).cam[0, 0]
    np.testing.assert_allclose(explain(*arrays, jnp.array([2, 4])).words[0], found, rtol=1e-5, atol=1e-9)

    def score_of_scale(scale):  # d score / d scale at 1 is the gradient times the input, summed over the words
        def scaled(next_call, arguments, options, context):
            value = next_call(*arguments, **options)
            return value * scale if context.module.name == "word_embedding" else value

        with nn.intercept_methods(scaled):
            return model.apply(variables, image, ids, length)[2]

    np.testing.assert_allclose(found.sum(), jax.grad(score_of_scale)(1.0), rtol=1e-4)


def test_guided_backprop_guides_every_relu_of_the_cnn(arrays):
    model, variables, image, ids, length = arrays
    found = explain(*arrays, jnp.array([1])).guided_backprop[0]

    def score_of_cnn(values):
        return model.apply(variables, l2_normalize(values), ids, length, method="answer")[1]

    cnn_variables = {"params": variables["params"]["cnn"]}
    cotangent = jax.grad(score_of_cnn)(model.cnn.apply(cnn_variables, image))
    expected = guided_gradient(model.cnn, cnn_variables, lambda values: jnp.vdot(values, cotangent), image)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-8)
    ordinary = jax.grad(lambda pixels: model.apply(variables, pixels, ids, length)[1])(image)
    assert not np.allclose(found, ordinary)


def test_ten_answers_cost_little_more_than_one():
    model = vqa_lite0(words=50, answers=40)
    shapes = jax.eval_shape(
        model.init, jax.random.key(0), jnp.ones((SIZE, SIZE, 3)), jnp.zeros(26, jnp.int32), jnp.int32(4)
    )

    def flops(count: int) -> float:
        maps = ("cam", "cnn/head_relu", grad_cam), ("words", WORDS_LAYER, gradient_times_input)

        def run(forward, image, answers, ids, length):
            parts = explain_batch(forward, None, image, answers, (ids, length), Spec(class_score, maps, as_given))
            return parts.maps, parts.scores

        arguments = (
            jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), jnp.float32),
            jax.ShapeDtypeStruct((1, count), jnp.int32),
            jax.ShapeDtypeStruct((1, 26), jnp.int32),
            jax.ShapeDtypeStruct((1,), jnp.int32),
        )
        forward = gc.tapped(model, shapes, "cnn/head_relu")
        return jax.jit(run).lower(forward, *arguments).compile().cost_analysis()["flops"]

    assert flops(10) <= 1.15 * flops(1)


def test_dropout_is_off_unless_training(arrays):
    model, variables, image, ids, length = arrays
    model = small_vqa(dropout=0.5)
    plain = model.apply(variables, image, ids, length)
    keys = [{"dropout": jax.random.key(seed)} for seed in (1, 1, 2)]
    first, again, other = (model.apply(variables, image, ids, length, train=True, rngs=key) for key in keys)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
    assert not np.allclose(first, plain)


def test_word_importances_at_several_layers_of_one_pass(arrays):
    model, variables, image, ids, length = arrays
    batch = image[jnp.newaxis], jnp.array([[2, 4]]), ids[jnp.newaxis], length[jnp.newaxis]
    both = gc.explain(gc.tapped(model, variables, (WORDS_LAYER, LAYER)), *batch, method=gradient_times_input)
    assert list(both.cam) == [WORDS_LAYER, LAYER]
    explained = explain(*arrays, jnp.array([2, 4]), method=gradient_times_input)
    assert_close(both.cam[WORDS_LAYER][0], explained.words, 2e-6)
    assert_close(both.cam[LAYER][0], explained.cam, 2e-6)


QUESTION = "What animal is this?"


def task(**options):
    return gc.tasks.vqa(small("vqa"), **{"question": QUESTION, "answer": "dog, A cup"} | options)


def explained_photo(methods=("grad_cam",), **options):
    return explain_photo(task(**options), photo(), methods=methods).description


def test_what_is_said_of_an_answer():
    description = explained_photo(DEFAULT_METHODS)
    assert description.heading == QUESTION
    assert [row.name for row in description.rows] == ["dog", "a cup"]
    tokens, importances = zip(*description.rows[1].tokens, strict=True)
    assert tokens == ("what", "animal", "is", "this", "?")
    assert description.fields["targets"][1]["word_importances"] == list(importances)
    assert description.fields["question_tokens"][0] == {
        "token": "what", "known": True, "importance": description.rows[0].tokens[0][1]
    }  # fmt: skip
    assert {one["answer"] for one in description.fields["predictions"]} < set(ANSWERS)
    assert description.rows[0].guided_backprop.shape == (32, 32, 3)


@pytest.mark.parametrize("temperature", [math.inf, 3.0])
def test_the_rows_are_what_explain_gives(temperature):
    one = task(temperature=temperature)
    rows = explained_photo(DEFAULT_METHODS, temperature=temperature)
    preprocessing = one.plan.preprocessing
    image = gc.images.to_network(preprocessing.resize(photo(), one.size).image, preprocessing)
    arrays = one.encode({})
    batch = (np.asarray(leaf)[np.newaxis] for leaf in (image, arrays["targets"], arrays["ids"], arrays["length"]))
    score = functools.partial(gc.softened_score, temperature=temperature)
    expected = gc.explain(one.forward, *batch, score=score, guided=True)
    for place, row in enumerate(rows.rows):
        assert_close(row.cam, expected.cam[0, place], 2e-6)
        assert_close(row.score, expected.scores[0, place], 1e-6)
        assert_close(row.guided_backprop, expected.guided_backprop[0, place, ..., ::-1], 2e-6)  # BGR to RGB


def test_methods_at_a_temperature_and_the_answers_probabilities_which_do_not_depend_on_it():
    methods = ("layer_cam", "finer_cam", "ablation_cam", "rise")
    plain, soft = (explained_photo(methods, temperature=number) for number in (math.inf, 3.0))
    for one, other in zip(plain.rows, soft.rows, strict=True):
        assert one.fields["probability"] == other.fields["probability"]
        assert set(other.maps) == set(methods)
        for name in ("finer_cam", "rise"):  # of a difference of logits, and of the probability
            assert_close(one.maps[name], other.maps[name], 1e-6)
        for name in ("layer_cam", "ablation_cam"):
            assert relative_error(one.maps[name], other.maps[name]) > 1e-3


def test_the_temperature_is_the_models_own_unless_another_is_named():
    model = small("vqa")
    for own, expected in ((None, None), (4.0, 4.0)):
        loaded = model._replace(entry=model.entry._replace(temperature=own))
        assert gc.tasks.vqa(loaded, question=QUESTION).settings["temperature"] == expected
    assert gc.zoo.find("vqa_vgg19").temperature is None


def test_words_that_the_model_does_not_know_are_named():
    lines = explained_photo(question="What yak?").lines
    assert "  words the model does not know, read as UNK: yak" in lines


def test_the_predicted_answers_and_a_question_of_the_photos_own():
    one = task(answer="", top_k=2)
    description = explain_photo(one, photo(), methods=("grad_cam",), question="Is this red?").description
    assert description.heading == "Is this red?"
    predictions = [entry["answer"] for entry in description.fields["predictions"]]
    assert [row.name for row in description.rows] == predictions[:2]
    assert "(rank 2)" in description.rows[1].title


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"answer": "horse"}, "none of the 7 answers"),
        ({"answer": "", "top_k": 8}, "--top_k from 1 to 7, got 8"),
        ({"answer": "dog", "top_k": 2}, "needs -1, the predictions, among --answer"),
        ({"answer": "dog, cat", "max_targets": 1}, "at most 1 answers a photo, got 2"),
        ({"setting": Setting(layer="image_features")}, "no spatial extent"),
        ({"temperature": -1.0}, "Expected a temperature over 0.* got -1"),
    ],
)
def test_what_cannot_be_had_is_said_at_once(options, message):
    with pytest.raises(gc.InputError, match=message):
        task(**options)


def test_a_question_without_a_word_is_refused():
    with pytest.raises(gc.InputError, match="Expected a question"):
        task(question=" ").encode({})
