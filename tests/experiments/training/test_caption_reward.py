import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("pycocoevalcap", reason="scoring captions needs pycocoevalcap (extra `train`)")
from gradcam_jax.experiments.training import caption_reward
from gradcam_jax.experiments.training.caption_reward import Rewards, drawn_captions, drawn_steps, reward_loss
from gradcam_jax.models.captioner import MAX_WORDS, captioner_lite0
from gradcam_jax.text.vocabulary import Vocabulary

WORDS = 2
END = WORDS


def small_model():
    model = captioner_lite0(WORDS, embedding_size=4, hidden_size=5, dropout=0.0)
    key, vector = jax.random.key(3), jnp.ones((1, 4))
    params = model.init(key, vector, jnp.zeros((1, 1), jnp.int32), method="continuations")["params"]
    scaled = jax.tree.map(lambda leaf: 3 * leaf, params)
    return model, {**scaled, "decoder": {**scaled["decoder"], "bias": jnp.array([0.0, 0.0, 1.0])}}


def test_captions_are_drawn_as_often_as_they_are_probable():
    model, params = small_model()
    count = 4000
    tokens = np.asarray(drawn_captions(model, params, jnp.ones((count, 4)), jax.random.key(0)))
    assert tokens.shape == (count, MAX_WORDS)
    ended = np.cumsum(tokens == END, axis=1) > 0
    assert np.all(tokens[ended] == END)
    for caption in ([END, END], [0, END], [1, END], [0, 1], [1, 1]):
        log_probs = model.apply({"params": params}, jnp.ones((1, 4)), jnp.array([caption]), method="continuations")
        said = [log_probs[0, place, token] for place, token in enumerate(caption)]
        probability = float(np.exp(sum(said[:1] if caption[0] == END else said)))
        often = np.mean(np.all(tokens[:, :2] == caption, axis=1))
        assert often == pytest.approx(probability, abs=4 * np.sqrt(probability / count))


def test_words_and_the_first_end_count():
    tokens = jnp.array([[0, 1, END, END], [END, END, END, END], [0, 0, 1, 0]])
    assert drawn_steps(tokens, END).tolist() == [[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]]


def test_the_gradient_is_that_of_the_expected_score(monkeypatch):
    """Against the sum over every caption of up to two words: its probability's gradient times its score."""
    monkeypatch.setattr(caption_reward, "MAX_WORDS", 2)
    model, params = small_model()
    vector = jnp.ones((1, 4))

    def score_of(tokens):
        return 1.0 + 2.0 * (tokens[:, 0] == 1) - 1.5 * (tokens[:, 1] == 0)

    captions = np.array([[END, END], *itertools.product((0, 1), (0, 1, END))], np.int32)

    def expected(params):
        log_probs = model.apply(
            {"params": params}, jnp.tile(vector, (7, 1)), jnp.asarray(captions), method="continuations"
        )
        said = jnp.take_along_axis(log_probs[:, :2], captions[..., np.newaxis], axis=-1)[..., 0]
        return jnp.sum(jnp.exp(jnp.sum(said * drawn_steps(captions, END), axis=1)) * score_of(captions))

    photos = 8_000
    batch = {
        "photo": jnp.zeros(photos, jnp.int32),
        "features": jnp.zeros((photos, 3)),
        "logits": jnp.zeros((photos, 3)),
    }

    def scored(tokens, _photos):
        return np.asarray(score_of(np.asarray(tokens)), np.float32)

    def image_vector(features, _logits):
        return jnp.ones((features.shape[0], 4))

    def loss(params):
        return reward_loss(model, params, image_vector, batch, scored, jax.random.key(1))

    (_, mean), found = jax.value_and_grad(loss, has_aux=True)(params)
    tokens = drawn_captions(model, params, jnp.ones((photos * caption_reward.DRAWN, 4)), jax.random.key(1))
    words_a_caption = float(jnp.mean(jnp.sum(drawn_steps(tokens, END), axis=1)))
    value, wanted = jax.value_and_grad(expected)(params)
    assert float(mean) == pytest.approx(float(value), abs=0.02)
    for path, gradient in jax.tree_util.tree_leaves_with_path(wanted):
        ours = -words_a_caption * dict(jax.tree_util.tree_leaves_with_path(found))[path]
        np.testing.assert_allclose(ours, gradient, atol=0.03 * max(1e-3, float(jnp.abs(gradient).max())) + 2e-3)


def test_photos_are_drawn_with_their_features_and_captions_scored_with_their_end():
    features = np.arange(3, dtype=np.float32)[:, np.newaxis]
    references = [["dog runs"], ["dog"], ["runs runs"]]
    rewards = Rewards(features, 10 * features, references, Vocabulary(["dog", "runs"]))
    batch = rewards.draw(np.random.default_rng(0))
    assert batch["photo"].shape == (caption_reward.PHOTOS,)
    np.testing.assert_array_equal(batch["features"][:, 0], batch["photo"])
    np.testing.assert_array_equal(batch["logits"][:, 0], 10 * batch["photo"])
    whole, cut = rewards.score(np.array([[0, 1, END, END], [0, 1, 0, 1]]), np.array([0, 0]))
    assert whole > 4
    stopped, right = rewards.score(np.array([[0, END], [0, 1]]), np.array([1, 1]))
    assert stopped > right
    assert whole > cut
