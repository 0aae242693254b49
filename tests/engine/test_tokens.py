"""Every token, word and phrase of what a vision-language model says, from one forward pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gradcam_jax as gc
from tests.comparison import assert_close, random_images
from tests.models.vision_language import GRID, VOCABULARY, CrossAttending, Decoder, Prefixed

LAYER, LAYOUT, LENGTH = "encoder.norm", gc.token_grid(0, GRID), 5
SPANS = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (1, 4), (0, 5)]  # tokens, a phrase, the whole text


@pytest.fixture(autouse=True)
def standard_promotion():
    """As users have it."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def case(build, dtype=np.float32):
    model = build(rngs=nnx.Rngs(0))
    nnx.update(model, jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), nnx.state(model, nnx.Param)))
    images = jnp.asarray(random_images(2, 12, 16).astype(dtype))
    return model, images, jnp.asarray(np.random.default_rng(0).integers(0, VOCABULARY, (2, LENGTH)))


def explain(model, images, texts, spans=SPANS, **options):
    targets = gc.token_targets(texts, spans)
    return gc.explain(
        gc.tapped(model, LAYER), images, targets, texts, layout=LAYOUT, **{"score": gc.token_score, **options}
    )


@pytest.mark.parametrize("build", [CrossAttending, Prefixed])
def test_all_tokens_from_one_pass_equal_one_explanation_for_each(build):
    model, images, texts = case(build)
    explanation = explain(model, images, texts)
    assert explanation.cam.shape == (2, len(SPANS), *GRID)
    for index, span in enumerate(SPANS):
        alone = explain(model, images, texts, [span])
        assert_close(explanation.scores[:, index], alone.scores[:, 0], 1e-6)
        assert_close(explanation.cam[:, index], alone.cam[:, 0], 2e-6)
    tokens = gc.explain(
        gc.tapped(model, LAYER), images, gc.token_targets(texts), texts, score=gc.token_score, layout=LAYOUT
    )
    assert_close(tokens.cam, explanation.cam[:, :LENGTH], 2e-6)


@pytest.mark.parametrize("build", [CrossAttending, Prefixed])
def test_maps_equal_a_model_cut_by_hand(build):
    with jax.enable_x64(True):
        model, images, texts = case(build, np.float64)
        explanation = explain(model, images, texts)
        tokens = jax.jit(model.encoder)(images)

        @jax.jit
        def scores(tokens):
            log_probs = jax.nn.log_softmax(model.decode(tokens, texts))
            chosen = jnp.take_along_axis(log_probs, texts[..., None], axis=-1)[..., 0]
            return jnp.stack([chosen[:, start:stop].sum(1) for start, stop in SPANS], 1)

        assert_close(explanation.scores, scores(tokens), 1e-6)
        gradients = jax.jit(jax.jacrev(lambda tokens: scores(tokens).sum(0)))(tokens)  # (spans, n, positions, k)
        expected = jnp.einsum("ntk,snk->nst", tokens, gradients.mean(2))
        assert_close(explanation.cam.reshape(2, len(SPANS), -1), expected, 1e-6)
        whole = explanation.cam[:, :LENGTH].sum(1)
        assert_close(explanation.cam[:, 6], whole, 1e-6)  # Grad-CAM is linear in the score


@pytest.mark.parametrize("build", [CrossAttending, Prefixed])
def test_what_comes_after_a_token_changes_nothing_of_its_map(build):
    model, images, texts = case(build)
    changed = texts.at[:, 3:].set((texts[:, 3:] + 1) % VOCABULARY)
    before, after = explain(model, images, texts).cam, explain(model, images, changed).cam
    assert_close(after[:, :3], before[:, :3], 1e-6)
    assert float(jnp.abs(after[:, 4] - before[:, 4]).max()) > 1e-6


class NextToken(Decoder):
    """Is fed image tokens and the text itself, and returns logits of all inputs, or of the text's alone."""

    text_alone = False

    def __call__(self, images, tokens):
        image_tokens = self.encoder(images)
        both = jnp.concatenate([image_tokens, self.embedding(tokens)], axis=1)
        both = both + self.self_attention(both, mask=nnx.make_causal_mask(jnp.ones(both.shape[:2])))
        logits = self.head(nnx.gelu(both))
        return logits[:, image_tokens.shape[1] :] if self.text_alone else logits


def test_logits_for_the_next_token():
    model, images, texts = case(NextToken)
    explanation = explain(model, images, texts, None, score=gc.next_token_score)
    log_probs = jax.nn.log_softmax(model(images, texts))[:, -LENGTH - 1 : -1]
    expected = jnp.take_along_axis(log_probs, texts[..., None], axis=-1)[..., 0]
    assert_close(explanation.scores, expected, 1e-6)
    model.text_alone = True
    alone = explain(model, images, texts, None, score=gc.next_token_score)
    assert_close(alone.scores[:, 1:], expected[:, 1:], 1e-6)
    assert_close(alone.cam[:, 1:], explanation.cam[:, 1:], 2e-6)
    np.testing.assert_array_equal(alone.scores[:, 0], 0)  # nothing stands before the first


def test_a_model_that_takes_its_inputs_otherwise():
    class Reversed(CrossAttending):
        def __call__(self, input_ids, pixel_values=None):
            return super().__call__(pixel_values, input_ids)

    model, images, texts = case(Reversed)
    forward = gc.tapped(model, LAYER, method=lambda model, images, texts: model(texts, pixel_values=images))
    ours = gc.explain(forward, images, gc.token_targets(texts), texts, score=gc.token_score, layout=LAYOUT)
    expected = explain(case(CrossAttending)[0], images, texts, None)
    assert_close(ours.cam, expected.cam, 1e-6)


def test_spans_of_each_text_and_padding():
    texts = jnp.array([[3, 4, 5], [6, 7, -100]])
    targets = gc.token_targets(texts, [[(0, 3), (1, 2)], [(0, 2), (0, 0)]])
    assert targets["mask"].tolist() == [[[1, 1, 1], [0, 1, 0]], [[1, 1, 0], [0, 0, 0]]]
    assert targets["tokens"].shape == (2, 2, 3)
    logits = jnp.zeros((3, 8))
    scores = [gc.token_score(logits, {name: leaf[1, 0] for name, leaf in targets.items()})]
    assert_close(scores, [2 * np.log(1 / 8)], 1e-6)  # -100 does not count, and is no NaN
    gradient = jax.grad(lambda x: gc.token_score(x, {name: leaf[1, 0] for name, leaf in targets.items()}))(logits)
    assert np.isfinite(gradient).all()
    assert not gradient[2].any()


@pytest.mark.parametrize(
    ("tokens", "spans", "message"),
    [
        ([3, 4], None, r"tokens of n texts, \(n, t\) int, got int32 of shape \(2,\).*tokens\[None\]"),
        ([[0.5]], None, "got float32"),
        ([[3, 4]], [0, 1], r"spans of a first token and the one after the last, \(m, 2\) or \(1, m, 2\)"),
        ([[3, 4]], [[(0, 1)], [(0, 1)]], r"got shape \(2, 1, 2\)"),
    ],
)
def test_tokens_and_spans_of_other_shapes_are_refused(tokens, spans, message):
    with pytest.raises(gc.InputError, match=message):
        gc.token_targets(jnp.array(tokens), spans)


def test_logits_of_other_inputs_than_the_tokens_are_refused():
    model, images, texts = case(NextToken)
    with pytest.raises(gc.InputError, match=r"\(5, vocabulary\), got shape \(17, 11\).*next_token_score"):
        explain(model, images, texts)
    with pytest.raises(gc.InputError, match=r"at least 5 inputs.*got shape \(4, 11\)"):
        gc.next_token_score(jnp.zeros((4, 11)), {"tokens": texts[0], "mask": jnp.ones(5)})
