import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.models.captioner import captioner_lite0, neuraltalk2
from gradcam_jax.tasks.captioning import (
    captions_from_vector,
    explain_caption,
    explain_maps,
    sample_caption,
    span_score,
    write_captions,
)
from gradcam_jax.text.captions import span_mask, word_masks
from tests.comparison import plain_convolutions
from tests.models.small_captioner import (
    LAYER,
    SIZE,
    WORDS,
    random_image,
    random_tokens,
    random_variables,
    small_captioner,
)


@functools.cache
def explained(count: int = 16):
    explain = jax.jit(functools.partial(explain_caption, small_captioner(), random_variables(), LAYER))
    return explain(random_image(), random_tokens(), word_masks(count))


def test_the_words_signed_maps_add_up_to_the_captions():
    whole, *words = explained().cam
    np.testing.assert_allclose(sum(words), whole, atol=1e-6 * np.abs(whole).max())


def test_a_phrase_is_the_sum_of_its_words():
    phrase = explain_caption(
        small_captioner(), random_variables(), LAYER, random_image(), random_tokens(), span_mask(2, 5)[np.newaxis]
    )
    np.testing.assert_allclose(phrase.cam[0], sum(explained().cam[3:6]), atol=1e-6 * np.abs(phrase.cam).max())
    np.testing.assert_allclose(phrase.scores[0], sum(explained().scores[3:6]), rtol=1e-5)


def test_scores_are_the_models_log_probabilities_without_end():
    tokens = random_tokens()
    log_probs = small_captioner().apply(random_variables(), random_image(), tokens)
    picked = np.take_along_axis(np.asarray(log_probs)[:-1], tokens[:, np.newaxis], axis=1)[:, 0]
    np.testing.assert_allclose(explained().outputs, picked, rtol=1e-5)
    np.testing.assert_allclose(explained().scores, [picked.sum(), *picked], rtol=1e-5)


def test_what_pads_a_caption_changes_nothing():
    short = random_tokens(16)
    other = short.copy()
    short[5:], other[5:] = WORDS, 3
    one, two = (
        explain_caption(small_captioner(), random_variables(), LAYER, random_image(), tokens, word_masks(5))
        for tokens in (short, other)
    )
    np.testing.assert_array_equal(one.cam, two.cam)
    np.testing.assert_array_equal(one.scores, two.scores)


def test_the_score_has_the_gradient_that_finite_differences_give():
    model, variables, tokens = small_captioner(), random_variables(), random_tokens()

    def score(image, mask):
        return span_score(model.apply(variables, image, tokens, method="word_scores"), mask)

    image = random_image()
    for mask in (span_mask(0, 16), span_mask(4, 5)):
        gradient = jax.grad(score)(image, mask)
        steepness = jnp.linalg.norm(gradient)
        ahead, behind = (score(image + way * gradient / steepness, mask) for way in (0.02, -0.02))
        np.testing.assert_allclose((ahead - behind) / 0.04, steepness, rtol=5e-2)  # float32, and ReLUs have kinks


def test_word_scores_have_the_gradients_of_the_plain_log_softmax():
    model, variables, image, tokens = small_captioner(), random_variables(), random_image(), random_tokens()
    mask = jnp.asarray(span_mask(3, 9))

    def fast(variables):
        return span_score(model.apply(variables, image, tokens, method="word_scores"), mask)

    def plain(variables):
        log_probs = model.apply(variables, image, tokens)[:-1]
        return span_score(jnp.take_along_axis(log_probs, tokens[:, jnp.newaxis], axis=1)[:, 0], mask)

    for ours, expected in zip(*(jax.tree.leaves(jax.grad(f)(variables)) for f in (fast, plain)), strict=True):
        np.testing.assert_allclose(ours, expected, atol=2e-5 * max(np.abs(expected).max(), 1e-3))


def test_greedy_is_a_beam_of_one_and_its_probability_is_the_models():
    model, variables, image = small_captioner(), random_variables(), random_image()
    (caption,) = (jax.tree.map(lambda leaf: leaf[0], write_captions(model, variables, image)),)
    count = int(caption.length)
    log_probs = np.asarray(model.apply(variables, image, caption.tokens))
    steps = range(min(count + 1, 16))
    said = [int(caption.tokens[step]) for step in steps]
    assert said == [int(np.argmax(log_probs[step])) for step in steps]
    np.testing.assert_allclose(caption.log_prob, sum(log_probs[step, said[step]] for step in steps), rtol=1e-5)


def test_images_are_captioned_in_a_batch_as_alone():
    model, variables = small_captioner(), random_variables()
    images = np.stack([random_image(seed) for seed in range(4)])
    vectors = model.apply(variables, images, method="image_vector")
    batch = jax.vmap(lambda vector: captions_from_vector(model, variables, vector, width=3))(vectors)
    for index, image in enumerate(images):
        alone = write_captions(model, variables, image, width=3)
        np.testing.assert_array_equal(batch.tokens[index], alone.tokens)
        np.testing.assert_allclose(batch.log_prob[index], alone.log_prob, rtol=1e-5)


def test_sampled_captions_differ_by_key_and_repeat_with_it():
    def draw(seed):
        return sample_caption(
            small_captioner(), random_variables(), random_image(), jax.random.key(seed), temperature=5.0
        )

    np.testing.assert_array_equal(draw(0).tokens, draw(0).tokens)
    assert any(not np.array_equal(draw(0).tokens, draw(seed).tokens) for seed in (1, 2, 3))


@pytest.mark.parametrize(
    ("model", "size", "layer"),
    [(captioner_lite0(2600), 224, "cnn/head_relu"), (neuraltalk2(), 224, "cnn/relu5_3")],
    ids=["lite0", "neuraltalk2"],
)
def test_sixteen_words_maps_cost_at_most_a_fifth_more_than_one(model, size, layer):
    """XLA counts a loop's body once, so the LSTM counts as one step, in both and in forward and backward."""
    image = jax.ShapeDtypeStruct((size, size, 3), jnp.float32)
    tokens = jax.ShapeDtypeStruct((16,), jnp.int32)
    variables = jax.eval_shape(model.init, jax.random.key(0), image, tokens)

    maps = functools.partial(explain_maps, model)

    def flops(count):
        masks = jax.ShapeDtypeStruct((count, 16), jnp.float32)
        with plain_convolutions():
            lowered = jax.jit(maps, static_argnums=1).lower(variables, layer, image, tokens, masks)
        return lowered.compile().cost_analysis()["flops"]

    assert flops(16) <= 1.2 * flops(1)


def test_the_guided_rule_holds_after_the_image_embedding_too():
    """A target whose gradient at the image's vector is negative everywhere sends nothing down."""
    model, variables = small_captioner(), random_variables()
    guided = explained().guided_backprop[0]
    ordinary = jax.grad(
        lambda image: span_score(
            model.apply(variables, image, random_tokens(), method="word_scores"), jnp.ones(16)
        )
    )(random_image())
    assert guided.shape == (SIZE, SIZE, 3)
    assert not np.allclose(guided, ordinary)
