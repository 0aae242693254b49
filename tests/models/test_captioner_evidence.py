"""A decoder that also reads a part of the image's vector says the same in every way of reading and writing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.models.captioner import captioner_lite0
from gradcam_jax.tasks.spoken import write_captions

WORDS, SIZE, HIDDEN, EVIDENCE = 7, 6, 5, 2
MODEL = captioner_lite0(WORDS, embedding_size=SIZE, hidden_size=HIDDEN, evidence=EVIDENCE)
VECTOR = jnp.abs(jax.random.normal(jax.random.key(1), (3, SIZE)))
TOKENS = jax.random.randint(jax.random.key(2), (3, 4), 0, WORDS)


@pytest.fixture(scope="module")
def variables():
    return MODEL.init(jax.random.key(0), VECTOR, TOKENS, method="continuations")


def test_the_decoder_reads_the_hidden_vector_and_the_gated_evidence(variables):
    params = variables["params"]
    assert params["decoder"]["kernel"].shape == (HIDDEN + EVIDENCE, WORDS + 1)
    plain = captioner_lite0(WORDS, embedding_size=SIZE, hidden_size=HIDDEN)
    without = {name: leaf for name, leaf in params.items() if name != "image_gate"}
    without["decoder"] = {"kernel": jnp.eye(HIDDEN, WORDS + 1), "bias": jnp.zeros(WORDS + 1)}
    start = jnp.concatenate([jnp.full((3, 1), WORDS), TOKENS], axis=1)
    hidden = plain.apply({"params": without}, VECTOR, start, method="_hidden")
    gate = jax.nn.sigmoid(hidden @ params["image_gate"]["kernel"] + params["image_gate"]["bias"].reshape(1, 1, 1))
    read = jnp.concatenate([hidden, gate * VECTOR[:, jnp.newaxis, :EVIDENCE]], axis=-1)
    logits = read @ params["decoder"]["kernel"] + params["decoder"]["bias"].reshape(1, 1, -1)
    found = MODEL.apply(variables, VECTOR, TOKENS, method="continuations")
    np.testing.assert_allclose(found, jax.nn.log_softmax(logits), rtol=1e-5, atol=1e-6)


def test_every_way_to_score_a_word_agrees(variables):
    all_words = MODEL.apply(variables, VECTOR, TOKENS, method="continuations")
    expected = jnp.take_along_axis(all_words[:, :-1], TOKENS[..., jnp.newaxis], axis=-1)[..., 0]
    words = MODEL.apply(variables, VECTOR, TOKENS, method="read_words")
    np.testing.assert_allclose(words.log_probs, expected, rtol=1e-5, atol=1e-6)
    softened = 3 * jax.nn.log_softmax(all_words[:, :-1] / 3)
    expected = jnp.take_along_axis(softened, TOKENS[..., jnp.newaxis], axis=-1)[..., 0]
    words = MODEL.apply(variables, VECTOR, TOKENS, 3.0, method="read_words")
    np.testing.assert_allclose(words.scores, expected, rtol=1e-5, atol=1e-6)
    for place in range(4):
        one = MODEL.apply(variables, VECTOR, TOKENS, jnp.full(3, place), 3.0, method="read_word")
        np.testing.assert_allclose(one, expected[:, place], rtol=1e-5, atol=1e-6)
    state = MODEL.apply(variables, VECTOR, method="begin")
    for step, tokens in enumerate((jnp.full(3, WORDS), *TOKENS.T)):
        state, log_probs = MODEL.apply(variables, state, tokens, method="advance")
        np.testing.assert_allclose(log_probs, all_words[:, step], rtol=1e-5, atol=1e-6)


def test_a_captions_probability_is_that_of_its_words(variables):
    written = write_captions(MODEL, variables, VECTOR[0], width=2)
    length = int(written.length[0])
    scores = MODEL.apply(variables, VECTOR[0], written.tokens[0], method="continuations")
    spoken = [*written.tokens[0, :length].tolist(), *([WORDS] if length < len(written.tokens[0]) else [])]
    total = sum(float(scores[step, token]) for step, token in enumerate(spoken))
    np.testing.assert_allclose(written.log_prob[0], total, rtol=1e-5)


def test_evidence_changes_a_words_gradient_in_its_own_place_alone(variables):
    """The part that goes through the LSTM aside, what a word's score gains from evidence is the gate's share."""
    params = jax.tree.map(jnp.zeros_like, variables["params"])
    params["decoder"]["kernel"] = params["decoder"]["kernel"].at[HIDDEN, 3].set(1.0)
    tokens = jnp.array([[3]])

    def score(vector):
        return MODEL.apply({"params": params}, vector, tokens, method="read_words").log_probs[0, 0]

    gradient = jax.grad(score)(VECTOR[:1])[0]
    probability = jnp.exp(score(VECTOR[:1]))
    np.testing.assert_allclose(gradient, [0.5 * (1 - probability), *[0] * (SIZE - 1)], rtol=1e-5, atol=1e-7)
