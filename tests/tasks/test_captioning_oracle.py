"""The captioner, its maps and guided gradients against a twin in PyTorch with the same random weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from tests.models.small_captioner import (
    LAYER,
    random_image,
    random_tokens,
    random_variables,
    small_captioner,
    softened_word_scores,
    word_masks,
    word_scores,
)

pytest.importorskip("torch", reason="the twin needs torch (extra `oracle`)")
from tests.models import torch_captioner

pytestmark = pytest.mark.oracle

CASES = [(0, 0), (1, 0), (2, 0), (3, 5)]
"""Seeds of the weights, and how many values of the image's vector the decoder reads itself."""


def close(ours, theirs, relative: float = 1e-5) -> None:
    """Within 1e-5 of the largest magnitude."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=relative * np.abs(theirs).max())


def span_score(scores, mask):
    return jnp.sum(scores * mask)


def explain_caption(variables, image, tokens, masks, *, evidence=0, method=word_scores, guided=False):
    forward = gc.tapped(small_captioner(evidence), variables, LAYER, method=method)
    batch = (np.asarray(leaf)[np.newaxis] for leaf in (image, masks, tokens))
    return jax.tree.map(lambda leaf: leaf[0], gc.explain(forward, *batch, score=span_score, guided=guided))


@functools.cache
def explained(seed: int, evidence: int):
    arrays = random_variables(seed, evidence), random_image(seed), random_tokens(seed=seed), word_masks(16)
    return explain_caption(*arrays, evidence=evidence, guided=True)


@pytest.mark.parametrize(("seed", "evidence"), CASES)
def test_log_probabilities_at_every_step(seed, evidence):
    variables, image, tokens = random_variables(seed, evidence), random_image(seed), random_tokens(seed=seed)
    ours = small_captioner(evidence).apply(variables, image, tokens)
    theirs, _, _ = torch_captioner.run(variables["params"], image, tokens)
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize(("seed", "evidence"), CASES)
def test_the_map_of_the_caption_and_of_every_word(seed, evidence):
    variables, image, tokens = random_variables(seed, evidence), random_image(seed), random_tokens(seed=seed)
    for cam, mask in zip(explained(seed, evidence).cam, word_masks(16), strict=True):
        # Some words' maps are small sums of large terms: both programs' float32 rounding reaches 1.1e-5 of them.
        close(cam, torch_captioner.signed_map(variables["params"], image, tokens, mask), 3e-5)


@pytest.mark.parametrize(("seed", "evidence"), CASES)
def test_the_map_of_the_caption_and_of_every_word_at_a_temperature(seed, evidence):
    variables, image, tokens = random_variables(seed, evidence), random_image(seed), random_tokens(seed=seed)
    found = explain_caption(
        variables, image, tokens, word_masks(16), evidence=evidence, method=softened_word_scores
    )
    theirs, _, _ = torch_captioner.run(variables["params"], image, tokens, temperature=3.0)
    close(found.scores[1:], theirs.detach().numpy()[np.arange(16), tokens])
    for cam, mask in zip(found.cam, word_masks(16), strict=True):
        close(cam, torch_captioner.signed_map(variables["params"], image, tokens, mask, temperature=3.0), 3e-5)


def test_in_float64_log_probabilities_agree_far_closer_and_no_word_needs_more_than_1e_5():
    """Nothing but rounding tells the two programs apart; maps are float32 whatever they come from."""
    with jax.enable_x64(True):
        variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), random_variables())
        image, tokens, masks = (np.asarray(array) for array in (random_image(), random_tokens(), word_masks(16)))
        image = image.astype(np.float64)
        ours = small_captioner().apply(variables, image, tokens)
        cams = explain_caption(variables, image, tokens, masks.astype(np.float64)).cam
        assert ours.dtype == np.float64
        theirs, _, _ = torch_captioner.run(variables["params"], image, tokens)
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-12)
        for cam, mask in zip(cams, masks, strict=True):
            close(cam, torch_captioner.signed_map(variables["params"], image, tokens, mask))


@pytest.mark.parametrize(("seed", "evidence"), CASES)
def test_guided_backpropagation_of_the_caption_and_of_every_word(seed, evidence):
    variables, image, tokens = random_variables(seed, evidence), random_image(seed), random_tokens(seed=seed)
    for gradient, mask in zip(explained(seed, evidence).guided_backprop, word_masks(16), strict=True):
        close(gradient, torch_captioner.guided_gradient(variables["params"], image, tokens, mask))
