"""Answers explained: maps, words, padding, cost."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.attribution.maps import counterfactual_grad_cam, grad_cam
from gradcam_jax.attribution.relu_rules import guided_relu
from gradcam_jax.models.vgg import VGG
from gradcam_jax.models.vqa import VQA, l2_normalize, vqa_lite0
from gradcam_jax.tasks.vqa import explain_answers, word_importances

LAYER = "cnn/relu2_1"
SIZE = 320  # pixels: what the bundled model is explained at


@functools.partial(jax.jit, static_argnums=0, static_argnames="method")
def explain(model, variables, image, ids, length, targets, method=grad_cam):
    return explain_answers(model, variables, LAYER, image, ids, length, targets, method=method)


def small_vqa(**fields) -> VQA:
    cnn = VGG((1, 1), (4, 6), hidden=10, classes=None, input_size=12)
    return VQA(cnn=cnn, words=9, answers=7, **{"embedding": 5, "hidden": 6, "common": 8} | fields)


@pytest.fixture(scope="module")
def arrays():
    model = small_vqa(bias_init=jax.nn.initializers.normal(0.1))
    image = jax.random.normal(jax.random.key(5), (12, 12, 3))
    ids = jnp.array([3, 1, 8, 0, 0, 0], jnp.int32)
    variables = model.init(jax.random.key(0), image, ids, jnp.int32(3))
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
    explained = explain(*arrays, jnp.array([2])).image

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
    jax.tree.map(np.testing.assert_array_equal, padded.image, bare.image)
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
    np.testing.assert_allclose(counter.image.cam, -plain.image.cam, rtol=1e-6)


def test_a_word_matters_as_much_as_its_vector_moves_the_score(arrays):
    model, variables, image, ids, length = arrays
    found = word_importances(model, variables, image, ids, length, jnp.int32(2))

    def score_of_scale(scale):  # d score / d scale at 1 is the gradient times the input, summed over the words
        def scaled(next_call, arguments, options, context):
            value = next_call(*arguments, **options)
            return value * scale if context.module.name == "word_embedding" else value

        with nn.intercept_methods(scaled):
            return model.apply(variables, image, ids, length)[2]

    np.testing.assert_allclose(found.sum(), jax.grad(score_of_scale)(1.0), rtol=1e-4)


def test_guided_backprop_guides_every_relu_of_the_cnn(arrays):
    model, variables, image, ids, length = arrays
    found = explain(*arrays, jnp.array([1])).image.guided_backprop[0]

    def score_of_cnn(values):
        return model.apply(variables, l2_normalize(values), ids, length, method="answer")[1]

    cnn = model.cnn.clone(relu=guided_relu)
    values, pull_back = jax.vjp(lambda pixels: cnn.apply({"params": variables["params"]["cnn"]}, pixels), image)
    (expected,) = pull_back(jax.grad(score_of_cnn)(values))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-8)
    ordinary = jax.grad(lambda pixels: model.apply(variables, pixels, ids, length)[1])(image)
    assert not np.allclose(found, ordinary)


def test_ten_answers_cost_little_more_than_one():
    model = vqa_lite0(words=50, answers=40)
    shapes = jax.eval_shape(
        model.init, jax.random.key(0), jnp.ones((SIZE, SIZE, 3)), jnp.zeros(26, jnp.int32), jnp.int32(4)
    )

    def flops(count: int) -> float:
        def maps(variables, image, ids, length, answers):
            explained = explain_answers(model, variables, "cnn/head_relu", image, ids, length, answers)
            return explained.image.cam, explained.image.scores, explained.words

        arguments = (
            jax.ShapeDtypeStruct((SIZE, SIZE, 3), jnp.float32),
            jax.ShapeDtypeStruct((26,), jnp.int32),
            jax.ShapeDtypeStruct((), jnp.int32),
            jax.ShapeDtypeStruct((count,), jnp.int32),
        )
        return jax.jit(maps).lower(shapes, *arguments).compile().cost_analysis()["flops"]

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
