"""Scores other than a class's, each against what it must be."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from tests.comparison import assert_close, random_images
from tests.models.small_vgg import small_vgg

LAYER = "relu3_1"


@pytest.fixture(autouse=True)
def standard_promotion():
    """As users have it."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def forward_at(*layers):
    return gc.tapped(*small_vgg(), layers or LAYER)


def photos(count=2):
    return jnp.asarray(random_images(count, 32))


def test_the_map_of_a_difference_is_the_difference_of_the_maps():
    pairs = jnp.array([[[0, 3], [5, 2]], [[1, 6], [6, 1]]])
    ours = gc.explain(forward_at(), photos(), pairs, score=gc.difference_score)
    this, that = (gc.explain(forward_at(), photos(), pairs[..., index]) for index in range(2))
    assert_close(ours.cam, this.cam - that.cam, 2e-5)
    assert_close(ours.scores, this.scores - that.scores, 1e-6)


def test_a_softened_score_lies_between_the_log_probability_and_the_logit():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=7), jnp.float32)

    def at(temperature):
        return jax.value_and_grad(gc.softened_score)(logits, 2, temperature=temperature)

    value, gradient = at(1.0)
    assert_close(value, jax.nn.log_softmax(logits)[2])
    assert_close(gradient, jax.nn.one_hot(2, 7) - jax.nn.softmax(logits))
    value, gradient = at(3.0)
    assert_close(value, 3 * np.log(np.exp(logits[2] / 3) / np.exp(logits / 3).sum()), 1e-6)
    assert_close(gradient, jax.nn.one_hot(2, 7) - jax.nn.softmax(logits / 3), 1e-6)
    assert_close(at(1e4)[1], jax.nn.one_hot(2, 7) - 1 / 7, 1e-3)
    assert at(jnp.inf)[0] == logits[2]
    assert gc.softened_score(logits, -1) == 0  # no target


def test_a_softened_scores_map_is_the_mean_of_differences_weighted_by_the_softened_probabilities():
    """How much the class exceeds each other one, by how likely that is."""
    found = gc.explain(forward_at(), photos(1), jnp.array([[2]]), score=gc.softened_score)
    pairs = jnp.array([[[2, other] for other in range(7)]])
    differences = gc.explain(forward_at(), photos(1), pairs, score=gc.difference_score).cam[0]
    shares = jax.nn.softmax(found.outputs[0] / 4)
    assert_close(found.cam[0, 0], jnp.einsum("k,khw->hw", shares, differences), 1e-5)


def test_similarity_to_a_concept():
    concept = jnp.asarray(np.random.default_rng(0).standard_normal((2, 1, 7)), jnp.float32)
    explanation = gc.explain(forward_at(), photos(), concept, score=gc.similarity_score)
    outputs = np.asarray(explanation.outputs, np.float64)
    for index in range(2):
        unit = np.asarray(concept[index, 0], np.float64)
        cosine = outputs[index] @ unit / np.linalg.norm(outputs[index]) / np.linalg.norm(unit)
        assert_close(explanation.scores[index, 0], cosine, 1e-5)
        norm = np.linalg.norm(outputs[index])
        weights = (unit / np.linalg.norm(unit) - cosine * outputs[index] / norm) / norm  # of the cosine, by hand
        maps = gc.explain(forward_at(), photos(), gc.all_classes).cam[index]
        assert_close(explanation.cam[index, 0], np.tensordot(weights, np.asarray(maps), 1), 1e-4)


def test_a_unit_of_an_embedding():
    """A unit is explained as a class is: of logits or of an embedding, by its place."""
    unit = gc.explain(forward_at(), photos(), jnp.array([[5], [2]]))
    concept = jnp.eye(7)[jnp.array([[5], [2]])]
    along = gc.explain(forward_at(), photos(), concept, score=along_concept)
    assert_close(unit.scores, along.scores, 1e-6)
    assert_close(unit.cam, along.cam, 1e-6)


def along_concept(embedding, concept):
    return jnp.vdot(embedding, concept)


def test_an_embedding_of_zeros_has_a_gradient_without_nan():
    gradient = jax.grad(gc.similarity_score)(jnp.zeros(3), jnp.ones(3))
    assert np.isfinite(gradient).all()


class Segmenter(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(6, (3, 3), name="conv")(x))
        return {"logits": nn.Conv(4, (1, 1), name="classes")(x), "aux": nn.Dense(2, name="aux")(x.mean((1, 2)))}


def test_the_mean_logit_over_a_mask():
    model, images = Segmenter(), jnp.asarray(random_images(2, 8))
    variables = jax.jit(model.init)(jax.random.key(0), images)
    mask = jnp.zeros((2, 1, 8, 8)).at[:, :, 2:5, 1:4].set(1)
    targets = {"label": jnp.array([[3], [1]]), "mask": mask}
    score = gc.score_of("logits", gc.segmentation_score)
    assert score == gc.score_of("logits", gc.segmentation_score)
    assert hash(score) == hash(gc.score_of("logits", gc.segmentation_score))
    explanation = gc.explain(gc.tapped(model, variables, "conv.relu"), images, targets, score=score)
    logits = model.apply(variables, images)["logits"]
    assert_close(explanation.scores[:, 0], [logits[0, 2:5, 1:4, 3].mean(), logits[1, 2:5, 1:4, 1].mean()], 1e-5)
    activation = nn.relu(nn.Conv(6, (3, 3)).apply({"params": variables["params"]["conv"]}, images))
    kernel = variables["params"]["classes"]["kernel"][0, 0]  # its mean gradient is the kernel's column over 64
    expected = jnp.einsum("nhwk,nk->nhw", activation, kernel.T[jnp.array([3, 1])] / 64)
    assert_close(explanation.cam[:, 0], expected, 1e-5)


class Detector(nn.Module):
    """Boxes from a dense layer, and classes' scores of each."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(6, (3, 3), name="conv")(x)).mean((1, 2))
        boxes = jnp.array([[0.0, 0, 2, 2], [4, 4, 8, 8], [1, 1, 3, 4]])
        scores = nn.Dense(9, name="scores")(x).reshape((x.shape[0], 3, 3))
        return jnp.broadcast_to(boxes, (x.shape[0], 3, 4)), scores


def test_the_score_of_the_detection_at_a_box():
    model, images = Detector(), jnp.asarray(random_images(2, 8))
    variables = jax.jit(model.init)(jax.random.key(0), images)
    targets = {"box": jnp.array([[[5.0, 4, 8, 9]], [[1, 1, 3, 3]]]), "label": jnp.array([[2], [0]])}
    explanation = gc.explain(gc.tapped(model, variables, "conv.relu"), images, targets, score=gc.detection_score)
    _, scores = model.apply(variables, images)
    assert_close(explanation.scores[:, 0], [scores[0, 1, 2], scores[1, 2, 0]], 1e-6)
    assert explanation.cam.shape == (2, 1, 8, 8)


def aux_unit(outputs, unit):
    return outputs["aux"][unit]


def test_a_score_that_cannot_depend_on_the_layer_is_an_error():
    model, images = Segmenter(), jnp.asarray(random_images(2, 8))
    variables = jax.jit(model.init)(jax.random.key(0), images)
    targets = jnp.array([[0], [1]])
    forward = gc.tapped(model, variables, "classes")
    with pytest.raises(gc.LayerError, match=r"does not depend on layer 'classes'.*suggest_layer"):
        gc.explain(forward, images, targets, score=aux_unit)
    with pytest.raises(gc.LayerError, match="does not depend on layer 'classes'"):
        gc.explain(forward.at(["conv", "classes"]), images, targets, score=aux_unit)
    assert gc.explain(forward.at("conv"), images, targets, score=aux_unit).cam.shape == (2, 1, 8, 8)
