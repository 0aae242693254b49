"""The noun's map that training scores is the one that explaining shows; it is pulled onto the object."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.attribution.maps import grad_cam
from gradcam_jax.experiments.training.captioning import (
    HeadRegularization,
    caption_loss,
    folded,
    initial_params,
    statistics_of,
)
from gradcam_jax.experiments.training.located_nouns import Located, noun_location_loss, with_bounded_gradient
from gradcam_jax.models.captioner import captioner_lite0

WORDS, FEATURES, CLASSES, CELLS = 6, 10, 4, 9
RNG = np.random.default_rng(0)
MODEL = captioner_lite0(WORDS, embedding_size=8, hidden_size=12, dropout=0.0)
REGULARIZATION = HeadRegularization(0.0, 0.0, 0.0, 0.0, location_bound=0.1, location_temperature=2.0)
CLASSIFIER = {
    "kernel": RNG.normal(size=(FEATURES, CLASSES)).astype(np.float32),
    "bias": RNG.normal(size=CLASSES).astype(np.float32),
}


def located(count=16):
    """Nouns whose object is where the second channel is large."""
    activations = np.abs(RNG.normal(size=(count, CELLS, FEATURES))).astype(np.float16)
    return {
        "activations": activations,
        "tokens": RNG.integers(0, WORDS, size=(count, 8)).astype(np.int32),
        "noun": RNG.integers(0, 8, size=count).astype(np.int32),
        "inside": activations[..., 1] == activations[..., 1].max(axis=1, keepdims=True),
    }


def started():
    features = np.abs(RNG.normal(size=(64, FEATURES))).astype(np.float32)
    statistics = statistics_of(features, features @ CLASSIFIER["kernel"] + CLASSIFIER["bias"])
    return statistics, initial_params(MODEL, statistics, REGULARIZATION, jax.random.key(0))


def word_batch(batch):
    """A batch of captions beside the located nouns."""
    features = RNG.normal(size=(16, FEATURES)).astype(np.float32)
    logits = features @ CLASSIFIER["kernel"] + CLASSIFIER["bias"]
    lengths = np.full(16, 8, np.int32)
    return {
        "features": features,
        "logits": logits,
        "tokens": batch["tokens"],
        "lengths": lengths,
        "located": batch,
    }


def test_the_map_scored_in_training_is_the_folded_heads_grad_cam():
    statistics, params = started()
    head, batch = folded(params, statistics, CLASSIFIER), located()
    loss = jax.jit(caption_loss(MODEL, statistics, REGULARIZATION, CLASSIFIER))
    _, metrics = loss(params, word_batch(batch), jax.random.key(0))

    def score(activations, tokens, noun):
        vector = MODEL.apply({"params": head}, jnp.mean(activations, axis=(0, 1)), method="embed_features")
        return MODEL.apply({"params": head}, vector, tokens, 2.0, method="read_words").scores[noun]

    gradient = jax.jit(jax.grad(score))
    cams = np.stack(
        [
            np.asarray(grad_cam(grid, gradient(grid, tokens, noun), rectify=False), np.float64).reshape(-1)
            for grid, tokens, noun in zip(
                batch["activations"].astype(np.float32).reshape(-1, 3, 3, FEATURES),
                batch["tokens"],
                batch["noun"],
                strict=True,
            )
        ]
    )
    strengths = np.sqrt(np.mean(cams**2, axis=1, keepdims=True))
    weights = np.exp(3 * cams / np.maximum(strengths, strengths.mean()))
    shares = (weights * batch["inside"]).sum(axis=1) / weights.sum(axis=1)
    np.testing.assert_allclose(metrics["beside"], np.mean(-np.log(shares)), rtol=1e-3)
    hits = batch["inside"][np.arange(len(cams)), cams.argmax(axis=1)]
    np.testing.assert_allclose(metrics["pointing"], np.mean(hits), rtol=1e-6)


def test_the_term_is_added_and_its_gradient_bounded():
    statistics, params = started()
    batch = word_batch(located())
    alone = {name: values for name, values in batch.items() if name != "located"}
    descend = jax.value_and_grad(caption_loss(MODEL, statistics, REGULARIZATION, CLASSIFIER), has_aux=True)
    (with_term, metrics), gradients = descend(params, batch, jax.random.key(0))
    (without, _), before = descend(params, alone, jax.random.key(0))
    np.testing.assert_allclose(with_term, without + metrics["beside"], rtol=1e-5)
    added = jax.tree.leaves(jax.tree.map(lambda one, two: one - two, gradients, before))
    np.testing.assert_allclose(np.sqrt(sum(np.sum(leaf**2) for leaf in added)), 0.1, rtol=1e-3)


@pytest.mark.parametrize(("bound", "expected"), [(10.0, (3.0, 4.0)), (1.0, (0.6, 0.8))])
def test_a_gradient_is_shortened_to_its_bound_and_a_shorter_one_left_alone(bound, expected):
    def value(params):
        bounded = with_bounded_gradient(params, bound)
        return 3 * bounded["a"] + 4 * bounded["b"]

    result, gradient = jax.value_and_grad(value)({"a": 1.0, "b": 2.0})
    assert result == 11
    np.testing.assert_allclose((gradient["a"], gradient["b"]), expected, rtol=1e-6)


def test_descending_the_loss_moves_the_highest_point_onto_the_object():
    statistics, params = started()
    head = jax.tree.map(jnp.asarray, folded(params, statistics, CLASSIFIER))
    batch = jax.tree.map(jnp.asarray, located())

    def term(head):
        def image_vector(features):
            return MODEL.apply({"params": head}, features, method="embed_features")

        return noun_location_loss(MODEL, head, image_vector, batch, 2.0)

    descend = jax.jit(jax.value_and_grad(term, has_aux=True))
    (first, pointing), _ = descend(head)
    assert pointing < 0.6
    for _ in range(300):
        _, gradients = descend(head)
        head = jax.tree.map(lambda p, g: p - 0.03 * g, head, gradients)
    (last, pointing), _ = descend(head)
    assert pointing > 0.75
    assert last < 0.6 * first


def test_a_batch_has_the_activations_of_the_views_that_its_captions_are_about():
    class Captions:
        def draw(self, rng, count):
            return {"view": rng.integers(3, size=count), "noun": np.zeros(count, np.int32)}

    activations = np.arange(3, dtype=np.float16)[:, np.newaxis, np.newaxis] * np.ones(
        (1, CELLS, FEATURES), np.float16
    )
    batch = Located(Captions(), activations).draw(np.random.default_rng(0))
    assert set(batch) == {"activations", "noun"}
    views = np.random.default_rng(0).integers(3, size=len(batch["noun"]))
    np.testing.assert_array_equal(batch["activations"][:, 0, 0], views)
