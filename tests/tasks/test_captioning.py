"""Captions explained: whole, by phrase and by word; what pads them, what they cost, and how they are written."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from gradcam_jax.models.captioner import captioner_lite0, neuraltalk2
from gradcam_jax.tasks.methods import DEFAULT_METHODS
from gradcam_jax.tasks.spoken import speaking, write_captions
from gradcam_jax.tasks.task import explain_photo
from tests.comparison import assert_close, plain_convolutions
from tests.models.small_captioner import (
    LAYER,
    SIZE,
    WORDS,
    random_image,
    random_tokens,
    random_variables,
    small_captioner,
    softened_word_scores,
    span_mask,
    word_masks,
    word_scores,
)
from tests.tasks.small_tasks import CAPTION_WORDS, photo, small


def span_score(scores, mask):
    """The task's score, of the words' scores alone."""
    return jnp.sum(scores * mask)


def explain_caption(image, tokens, masks, *, guided=True):
    """Explains spans of one caption."""
    forward = gc.tapped(small_captioner(), random_variables(), LAYER, method=word_scores)
    batch = (np.asarray(leaf)[np.newaxis] for leaf in (image, masks, tokens))
    return jax.tree.map(lambda leaf: leaf[0], gc.explain(forward, *batch, score=span_score, guided=guided))


@functools.cache
def explained(count: int = 16):
    return explain_caption(random_image(), random_tokens(), word_masks(count))


def test_the_words_signed_maps_add_up_to_the_captions():
    whole, *words = explained().cam
    np.testing.assert_allclose(sum(words), whole, atol=1e-6 * np.abs(whole).max())


def test_a_phrase_is_the_sum_of_its_words():
    phrase = explain_caption(random_image(), random_tokens(), span_mask(2, 5)[np.newaxis])
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
    one, two = (explain_caption(random_image(), tokens, word_masks(5)) for tokens in (short, other))
    np.testing.assert_array_equal(one.cam, two.cam)
    np.testing.assert_array_equal(one.scores, two.scores)


def test_the_score_has_the_gradient_that_finite_differences_give():
    model, variables, tokens = small_captioner(), random_variables(), random_tokens()

    def score(image, mask):
        return span_score(model.apply(variables, image, tokens, method=word_scores), mask)

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
        return span_score(model.apply(variables, image, tokens, method=word_scores), mask)

    def plain(variables):
        log_probs = model.apply(variables, image, tokens)[:-1]
        return span_score(jnp.take_along_axis(log_probs, tokens[:, jnp.newaxis], axis=1)[:, 0], mask)

    for ours, expected in zip(*(jax.tree.leaves(jax.grad(f)(variables)) for f in (fast, plain)), strict=True):
        np.testing.assert_allclose(ours, expected, atol=2e-5 * max(np.abs(expected).max(), 1e-3))


def test_greedy_is_a_beam_of_one_and_its_probability_is_the_models():
    model, variables, image = small_captioner(), random_variables(), random_image()
    vector = model.apply(variables, image, method="image_vector")
    caption = jax.tree.map(lambda leaf: leaf[0], write_captions(model, variables, vector))
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
    batch = jax.vmap(lambda vector: write_captions(model, variables, vector, width=3))(vectors)
    for index, image in enumerate(images):
        vector = model.apply(variables, image, method="image_vector")
        alone = write_captions(model, variables, vector, width=3)
        np.testing.assert_array_equal(batch.tokens[index], alone.tokens)
        np.testing.assert_allclose(batch.log_prob[index], alone.log_prob, rtol=1e-5)


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

    forward = gc.tapped(model, variables, layer, method=word_scores)

    def maps(forward, images, masks, tokens):
        return gc.explain(forward, images, masks, tokens, score=span_score).cam

    def flops(count):
        batch = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype),
            (image, jax.ShapeDtypeStruct((count, 16), jnp.float32), tokens),
        )
        with plain_convolutions():
            lowered = jax.jit(maps).lower(forward, *batch)
        return lowered.compile().cost_analysis()["flops"]

    assert flops(16) <= 1.2 * flops(1)


def test_the_guided_rule_holds_after_the_image_embedding_too():
    """A target whose gradient at the image's vector is negative everywhere sends nothing down."""
    model, variables = small_captioner(), random_variables()
    guided = explained().guided_backprop[0]
    ordinary = jax.grad(
        lambda image: span_score(model.apply(variables, image, random_tokens(), method=word_scores), jnp.ones(16))
    )(random_image())
    assert guided.shape == (SIZE, SIZE, 3)
    assert not np.allclose(guided, ordinary)


@pytest.mark.parametrize("width", [1, 3])
def test_writing_and_reading_share_one_forward_pass(width):
    """Without a caption the best one that the model writes is read; its words' scores are those of reading it."""
    model, variables = small_captioner(), random_variables()
    forward = gc.tapped(model, variables, LAYER, method=speaking(width, 0.5))
    images, tokens = np.stack([random_image(seed) for seed in (1, 2)]), np.stack([random_tokens()] * 2)
    lengths = np.array([0, 16], np.int32)
    spoken = jax.jit(jax.vmap(lambda *example: forward({}, *example)[0]))(images, tokens, lengths)
    for index, image in enumerate(images):
        vector = model.apply(variables, image, method="image_vector")
        written = write_captions(model, variables, vector, width=width, length_exponent=0.5)
        np.testing.assert_array_equal(spoken.written.tokens[index], written.tokens)
        expected = written.tokens[0] if lengths[index] == 0 else tokens[index]
        np.testing.assert_array_equal(spoken.tokens[index], expected)
        assert spoken.length[index] == (written.length[0] if lengths[index] == 0 else 16)
        scores = model.apply(variables, image, expected, method=word_scores)
        assert_close(spoken.words.log_probs[index], scores, 1e-5)
    assert gc.tasks.captioning is not None
    layers = gc.layer_shapes(forward, images[0], tokens[0], lengths[0])
    assert list(layers) == list(
        gc.layer_shapes(gc.tapped(model, variables, method=word_scores), images[0], tokens[0])
    )


CAPTION = "A dog and the cat"


def task(**options):
    return gc.tasks.captioning(small("captioning"), **{"caption": CAPTION} | options)


@pytest.mark.parametrize(("temperature", "method"), [(1.0, word_scores), (3.0, softened_word_scores)])
def test_the_rows_are_what_explain_gives(temperature, method):
    one = task(temperature=temperature)
    description = explain_photo(one, photo()).description
    preprocessing = one.plan.preprocessing
    image = gc.images.to_network(preprocessing.resize(photo(), one.size).image, preprocessing)
    tokens = one.encode({})["tokens"]
    forward = gc.tapped(one.loaded.model, one.loaded.variables, one.layer, method=method)
    batch = (np.asarray(leaf)[np.newaxis] for leaf in (image, word_masks(5), tokens))
    expected = gc.explain(forward, *batch, score=span_score, guided=True)
    for place, row in enumerate((description.rows[0], *description.words)):
        assert_close(row.cam, expected.cam[0, place])
        assert_close(row.score, expected.scores[0, place], 1e-5)
    assert_close(
        description.rows[0].guided_backprop, expected.guided_backprop[0, 0, ..., ::-1], 5e-6
    )  # BGR to RGB
    assert description.words[0].guided_backprop is None


def test_what_is_said_of_a_caption():
    description = explain_photo(task(phrases="the cat, dog"), photo(), methods=("grad_cam",)).description
    assert description.heading == "Why 'a dog and the cat'?"
    assert [word.name for word in description.words] == ["a", "dog", "and", "the", "cat"]
    assert [part.name for part in description.phrases] == ["the cat", "dog"]
    assert description.fields["phrases"][0]["words"] == [3, 5]
    the, cat = description.words[3:]
    assert_close(description.phrases[0].cam, the.cam + cat.cam, 1e-6)
    assert_close(sum(word.score for word in description.words), description.rows[0].score, 1e-6)
    assert not [line for line in description.lines if line.startswith("No caption provided")]


def test_without_a_caption_the_one_that_is_written_is_explained():
    description = explain_photo(task(caption=""), photo(), methods=DEFAULT_METHODS).description
    words = description.fields["generated"][0]["caption"].split()
    assert words
    assert set(words) <= set(CAPTION_WORDS)
    assert [word.name for word in description.words] == words
    assert description.lines[0].startswith("No caption provided")
    given = explain_photo(task(caption=""), photo(), methods=DEFAULT_METHODS, caption=" ".join(words)).description
    assert_close(given.rows[0].cam, description.rows[0].cam, 2e-6)
    assert_close(given.rows[0].guided_backprop, description.rows[0].guided_backprop, 2e-6)


@pytest.mark.parametrize("beam_size", [0, 10])
def test_a_beam_has_at_most_as_many_captions_as_there_are_words(beam_size):
    with pytest.raises(gc.InputError, match=f"a beam of 1 to 9 .*got {beam_size}"):
        task(beam_size=beam_size)


def test_a_phrase_that_does_not_occur_is_refused():
    with pytest.raises(gc.InputError, match="'two dogs' does not occur"):
        explain_photo(task(phrases="two dogs"), photo(), methods=("grad_cam",))


def test_unknown_words_are_named_once_for_the_task():
    with pytest.warns(UserWarning, match="does not know 'horse'"):
        task(caption="a horse on the grass")
    assert task().encode({"caption": "a horse"})["tokens"].tolist()[:2] == [0, 7]


def test_the_temperature_is_the_models_own_unless_another_is_named():
    model = small("captioning")
    for own, expected in ((None, 1.0), (4.0, 4.0)):
        loaded = model._replace(entry=model.entry._replace(temperature=own))
        assert gc.tasks.captioning(loaded).settings["temperature"] == expected
        assert gc.tasks.captioning(loaded, temperature=2.0).settings["temperature"] == 2
    assert gc.zoo.find("captioner_vgg16").temperature is None
    for wrong in (-1.0, float("nan")):
        with pytest.raises(gc.InputError, match=f"Expected a temperature over 0.* got {wrong}"):
            task(temperature=wrong)


def test_what_is_said_of_the_words_probability_does_not_depend_on_the_temperature():
    one, other = (explain_photo(task(temperature=number), photo()).description for number in (1.0, 3.0))
    assert_close(one.fields["log_prob"], one.rows[0].score, 1e-6)
    assert_close(other.fields["log_prob"], one.fields["log_prob"], 1e-6)
    assert abs(other.rows[0].score - one.rows[0].score) > 0.1
    for word, same in zip(one.words, other.words, strict=True):
        assert_close(same.fields["log_prob"], word.score, 1e-6)
    assert [line.split("map")[0] for line in one.lines] == [line.split("map")[0] for line in other.lines]


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_maps_by_evaluations_ask_about_the_words_that_were_explained(temperature):
    """A photo without a channel may bring about another caption; the written one is scored all the same."""
    methods = ("grad_cam", "ablation_cam", "occlusion")
    one = task(caption="", temperature=temperature)
    written = explain_photo(one, photo(), methods=methods).description
    given = explain_photo(one, photo(), methods=methods, caption=written.rows[0].name).description
    for row, other in zip((*written.rows, *written.words), (*given.rows, *given.words), strict=True):
        assert list(row.maps) == list(methods[1:])
        for name in row.maps:
            assert np.abs(row.maps[name]).max() > 0
            assert_close(row.maps[name], other.maps[name], 1e-5)
