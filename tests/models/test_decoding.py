"""Beam search against plain Python, on random nets."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.models import decoding
from tests.models.reference_decoding import slow_beam_search, slow_greedy

WORDS, HIDDEN, STEPS = 6, 5, 7
END = WORDS


def random_net(seed: int, sharpness: float = 3.0) -> dict[str, np.ndarray]:
    """A small recurrent net with no structure: the next word depends on all words before it."""
    generator = np.random.default_rng(seed)

    def matrix(*shape: int) -> np.ndarray:
        return generator.normal(size=shape).astype(np.float32)

    return {
        "start": matrix(HIDDEN),
        "read": matrix(END + 1, HIDDEN),
        "keep": matrix(HIDDEN, HIDDEN),
        "write": sharpness * matrix(HIDDEN, END + 1),
    }


def step_of(net, state, token):
    state = jnp.tanh(state @ net["keep"] + net["read"][token])
    return state, jax.nn.log_softmax(state @ net["write"])


def slow_step_of(net):
    def step(state, token):
        state = np.tanh(state @ net["keep"] + net["read"][token])
        logits = (state @ net["write"]).astype(np.float64)
        return state, logits - np.log(np.sum(np.exp(logits - logits.max()))) - logits.max()

    return step


def words_of(decoded: decoding.Decoded) -> tuple[int, ...]:
    return tuple(np.asarray(decoded.tokens)[: int(decoded.length)].tolist())


@functools.cache
def compiled(width: int, exponent: float = 0.0):
    @jax.jit
    def run(net):
        step = functools.partial(step_of, net)
        return decoding.beam_search(
            step, net["start"], width=width, end=END, steps=STEPS, length_exponent=exponent
        )

    return run


@functools.cache
def nets() -> list[dict[str, np.ndarray]]:
    return [random_net(seed) for seed in range(200)]


def of_all_nets(decode) -> list[decoding.Decoded]:
    decoded = jax.device_get(jax.vmap(decode)(jax.tree.map(lambda *leaves: np.stack(leaves), *nets())))
    return [jax.tree.map(lambda leaf, index=index: leaf[index], decoded) for index in range(len(nets()))]


def captions_of(decoded: decoding.Decoded) -> list[decoding.Decoded]:
    ranks = range(len(decoded.log_prob))
    captions = [jax.tree.map(lambda leaf, rank=rank: leaf[rank], decoded) for rank in ranks]
    return [caption for caption in captions if caption.log_prob > -np.inf]


@pytest.mark.parametrize(("width", "exponent"), [(2, 0.0), (3, 0.0), (7, 0.0), (3, 1.0)])
def test_beam_search_finds_what_the_slow_reference_finds_on_200_random_nets(width, exponent):
    for net, decoded in zip(nets(), of_all_nets(compiled(width, exponent)), strict=True):
        expected = slow_beam_search(slow_step_of(net), net["start"], width, END, STEPS, exponent)[:width]
        captions = captions_of(decoded)
        assert [words_of(caption) for caption in captions] == [caption for caption, _ in expected]
        log_probs = [caption.log_prob for caption in captions]
        # Near certainty a float32 log-probability keeps six digits after the point, not six in all.
        np.testing.assert_allclose(log_probs, [log_prob for _, log_prob in expected], rtol=1e-5, atol=2e-6)


def test_a_beam_of_one_is_the_greedy_path():
    for net, beam in zip(nets(), of_all_nets(compiled(1)), strict=True):
        words, log_prob = slow_greedy(slow_step_of(net), net["start"], END, STEPS)
        (only,) = captions_of(beam)
        assert words_of(only) == words
        np.testing.assert_allclose(only.log_prob, log_prob, rtol=1e-5, atol=2e-6)


def test_a_batch_decodes_as_each_image_alone():
    for net, decoded in zip(nets()[:20], of_all_nets(compiled(3)), strict=False):
        alone = compiled(3)(net)
        np.testing.assert_array_equal(decoded.tokens, alone.tokens)
        np.testing.assert_allclose(decoded.log_prob, alone.log_prob, rtol=1e-6)


def test_a_wider_beam_than_there_are_words_is_an_error():
    net = random_net(0)
    with pytest.raises(InputError, match="1 to 7"):
        decoding.beam_search(functools.partial(step_of, net), net["start"], width=8, end=END, steps=STEPS)
