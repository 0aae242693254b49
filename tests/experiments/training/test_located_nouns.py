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
from gradcam_jax.experiments.training.evidence import Evidence
from gradcam_jax.experiments.training.located_nouns import Located, noun_maps, with_bounded_gradient
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

        maps = noun_maps(MODEL, head, image_vector, batch, 2.0)
        return maps.beside, maps.pointing

    descend = jax.jit(jax.value_and_grad(term, has_aux=True))
    (first, pointing), _ = descend(head)
    assert pointing < 0.6
    for _ in range(300):
        _, gradients = descend(head)
        head = jax.tree.map(lambda p, g: p - 0.03 * g, head, gradients)
    (last, pointing), _ = descend(head)
    assert pointing > 0.75
    assert last < 0.6 * first


def evident(seed=1):
    """A head whose decoder reads two values of the image's vector too, and what embeds features in it."""
    model = MODEL.clone(evidence=2)
    tokens, vector = jnp.zeros(1, jnp.int32), jnp.zeros(8)
    keys = jax.random.split(jax.random.key(seed), 3)
    head = model.init(keys[0], vector, tokens, method="continuations")["params"]
    kernel = jax.random.normal(keys[1], (FEATURES, 8))
    head = {**head, "image_embedding": {"kernel": kernel, "bias": jax.random.normal(keys[2], (8,))}}

    def image_vector(features):
        return model.apply({"params": head}, features, method="embed_features")

    return model, head, image_vector


def test_the_share_through_the_lstm_is_what_the_gated_evidence_leaves_of_a_map():
    model, head, image_vector = evident()
    batch = jax.tree.map(jnp.asarray, located())
    shares = []
    for activations, tokens, noun in zip(batch["activations"], batch["tokens"], batch["noun"], strict=True):
        activations = activations.astype(jnp.float32)
        features = activations.mean(axis=0)

        def logit(features, tokens=tokens, noun=noun):
            arguments = image_vector(features), tokens, np.inf
            return model.apply({"params": head}, *arguments, method="read_words").scores[noun]

        vector = image_vector(features)
        state = model.apply({"params": head}, vector, method="begin")
        for token in [WORDS, *tokens[:noun].tolist()]:
            state, _ = model.apply({"params": head}, state, jnp.int32(token), method="advance")
        gate = jax.nn.sigmoid(state.lstm.hidden @ head["image_gate"]["kernel"] + head["image_gate"]["bias"])
        read = gate * head["decoder"]["kernel"][-2:, tokens[noun]] * (vector[:2] > 0)
        of_evidence = activations @ head["image_embedding"]["kernel"][:, :2] @ read
        of_lstm = activations @ jax.grad(logit)(features) - of_evidence
        shares.append(np.var(of_lstm) / (np.var(of_lstm) + np.var(of_evidence)))
    maps = noun_maps(model, head, image_vector, batch, np.inf)
    assert min(shares) < 0.2
    assert max(shares) > 0.8
    np.testing.assert_allclose(maps.through_lstm, np.mean(shares), rtol=1e-3)


def test_the_share_through_the_lstm_is_a_term_of_the_loss_where_there_is_evidence():
    statistics, _ = started()
    model = MODEL.clone(evidence=2)
    names = np.eye(2, WORDS + 1, dtype=np.float32)
    evidence = Evidence(RNG.normal(size=(FEATURES, 2)).astype(np.float32), np.full(2, 2, np.float32), names)
    params = initial_params(model, statistics, REGULARIZATION, jax.random.key(0), evidence)
    batch, key = word_batch(located()), jax.random.key(0)
    values = {}
    for weight in (0.0, 2.0):
        weighted = REGULARIZATION._replace(lstm_weight=weight)
        loss = jax.jit(caption_loss(model, statistics, weighted, CLASSIFIER, evidence=evidence))
        values[weight], metrics = loss(params, batch, key)
    assert 0 < metrics["through_lstm"] < 1
    np.testing.assert_allclose(values[2.0], values[0.0] + 2 * metrics["through_lstm"], rtol=1e-5)
    loss = caption_loss(MODEL, statistics, REGULARIZATION, CLASSIFIER)
    _, metrics = loss(initial_params(MODEL, statistics, REGULARIZATION, jax.random.key(0)), batch, key)
    assert metrics["through_lstm"] == 0


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
