import jax
import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.captions import CaptionArrays
from gradcam_jax.experiments.training.caption_reward import Rewards
from gradcam_jax.experiments.training.captioning import (
    NEURALTALK2_HEAD,
    HeadRegularization,
    ImageBranches,
    caption_batches,
    caption_loss,
    folded,
    initial_params,
    statistics_of,
)
from gradcam_jax.experiments.training.evidence import Evidence
from gradcam_jax.models.captioner import captioner_lite0
from gradcam_jax.text.vocabulary import Vocabulary

pytest.importorskip("optax", reason="training needs optax (extra `train`)")
from gradcam_jax.experiments.training.loop import train
from gradcam_jax.experiments.training.optimizers import modern

WORDS, FEATURES, CLASSES = 6, 10, 4


def small_data(count=64):
    """Captions that say which feature is large: nothing but the photo tells."""
    generator = np.random.default_rng(0)
    said = generator.integers(0, WORDS, size=count)
    features = generator.normal(size=(count, FEATURES)).astype(np.float32) / 5
    features[np.arange(count), said] += 2
    classifier = {
        "kernel": generator.normal(size=(FEATURES, CLASSES)).astype(np.float32),
        "bias": generator.normal(size=CLASSES).astype(np.float32),
    }
    logits = features @ classifier["kernel"] + classifier["bias"]
    tokens = np.full((count, 16), WORDS, np.int32)
    tokens[:, 0] = said
    captions = CaptionArrays(tokens, np.ones(count, np.int32), np.arange(count, dtype=np.int32))
    return features, logits, captions, classifier


def small_model(**fields):
    return captioner_lite0(WORDS, embedding_size=8, hidden_size=12, dropout=0.1, **fields)


def small_evidence():
    """Evidence of two kinds: the first is named by words 0 and 3, the second by word 1."""
    generator = np.random.default_rng(1)
    names = np.zeros((2, WORDS + 1), np.float32)
    names[0, [0, 3]] = names[1, 1] = 1
    return Evidence(generator.normal(size=(FEATURES, 2)).astype(np.float32), np.full(2, 2.0, np.float32), names)


@pytest.mark.parametrize("evidence", [None, small_evidence()])
def test_folding_changes_nothing(evidence):
    model = small_model(evidence=0 if evidence is None else 2)
    features, logits, _, classifier = small_data()
    statistics = statistics_of(features, logits)
    regularization = HeadRegularization(0.0, 0.0)
    params = initial_params(model, statistics, regularization, jax.random.key(0), evidence)
    standardised = (features - statistics.feature_mean) / statistics.feature_deviation
    logits = (logits - statistics.logit_mean) / statistics.logit_deviation
    branches = ImageBranches(8, WORDS + 1, regularization, evidence)
    with jax.numpy_rank_promotion("allow"):
        vector, _ = branches.apply({"params": params["branches"]}, standardised, logits)
    head = folded(params, statistics, classifier, evidence)
    ours = model.apply({"params": head}, features, method="embed_features")
    np.testing.assert_allclose(ours, vector, atol=1e-5 * np.abs(vector).max())


def test_a_head_learns_to_look_at_the_photo():
    features, logits, captions, classifier = small_data()
    model, regularization = small_model(), HeadRegularization(0.1, 0.1, 0.0, 0.3)
    statistics = statistics_of(features, logits)
    batch_at = caption_batches(features, logits, captions, batch_size=32, seed=0)
    with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic
        state = train(
            caption_loss(model, statistics, regularization),
            initial_params(model, statistics, regularization, jax.random.key(0)),
            batch_at,
            modern(2e-2, 150),
            150,
            key=jax.random.key(1),
        )
    head = folded(jax.device_get(state.params), statistics, classifier)
    vector = model.apply({"params": head}, features, method="embed_features")
    log_probs = model.apply({"params": head}, vector, captions.tokens[:, :1], method="continuations")
    right = np.argmax(log_probs[:, 0], axis=-1) == captions.tokens[:, 0]
    ends = np.argmax(log_probs[:, 1], axis=-1) == WORDS
    assert right.mean() > 0.95
    assert ends.all()


def test_neuraltalk2s_loss_is_the_mean_negative_log_likelihood_of_words_and_end():
    features, logits, captions, _ = small_data()
    model = captioner_lite0(WORDS, embedding_size=8, hidden_size=12, dropout=0.0)
    statistics = statistics_of(features, logits)
    params = initial_params(model, statistics, NEURALTALK2_HEAD, jax.random.key(0))
    batch = caption_batches(features, logits, captions, batch_size=32, seed=0)(0)
    loss, metrics = caption_loss(model, statistics, NEURALTALK2_HEAD)(params, batch, jax.random.key(0))
    np.testing.assert_allclose(loss, metrics["words"], rtol=1e-6)
    assert abs(float(loss) - np.log(WORDS + 1)) < 1  # untrained: about uniform over the words and END


def test_what_pads_a_batch_does_not_count():
    features, logits, captions, _ = small_data()
    model = captioner_lite0(WORDS, embedding_size=8, hidden_size=12, dropout=0.0)
    statistics = statistics_of(features, logits)
    loss = caption_loss(model, statistics, NEURALTALK2_HEAD)
    params = initial_params(model, statistics, NEURALTALK2_HEAD, jax.random.key(0))
    batch = caption_batches(features, logits, captions, batch_size=32, seed=0)(0)
    assert batch["tokens"].shape == (32, 8)  # captions of one word need no sixteen steps
    longer = {**batch, "tokens": np.pad(batch["tokens"], ((0, 0), (0, 8)), constant_values=2)}
    one, two = (loss(params, either, jax.random.key(0))[0] for either in (batch, longer))
    np.testing.assert_allclose(one, two, rtol=1e-6)


def test_every_caption_comes_once_an_epoch_and_the_order_repeats():
    features, logits, captions, _ = small_data()
    captions = captions._replace(lengths=np.arange(64, dtype=np.int32) % 16 + 1)
    features = np.arange(64, dtype=np.float32)[:, np.newaxis]
    batch_at = caption_batches(features, logits, captions, batch_size=16, seed=0)
    epoch = [batch_at(step)["features"][:, 0] for step in range(4)]
    assert sorted(np.concatenate(epoch)) == list(range(64))
    again = caption_batches(features, logits, captions, batch_size=16, seed=0)
    np.testing.assert_array_equal(again(2)["features"][:, 0], epoch[2])
    assert not np.array_equal(again(4)["features"], again(0)["features"])
    with pytest.raises(InputError, match="at least 65"):
        caption_batches(features, logits, captions, batch_size=65, seed=0)


def test_photos_are_rewarded_from_their_step_on():
    pytest.importorskip("pycocoevalcap", reason="scoring captions needs pycocoevalcap (extra `train`)")
    features, logits, captions, classifier = small_data()
    names = [f"word{index}" for index in range(WORDS)]
    rewards = Rewards(features, logits, [[names[row[0]]] for row in captions.tokens], Vocabulary(names))
    batch_at = caption_batches(features, logits, captions, batch_size=32, seed=0, rewards=rewards, rewarded_from=3)
    assert ["rewarded" in batch_at(step) for step in range(5)] == [False, False, False, True, True]
    model, regularization = small_model(), NEURALTALK2_HEAD._replace(reward_weight=2.0)
    statistics = statistics_of(features, logits)
    params = initial_params(model, statistics, regularization, jax.random.key(0))
    loss = caption_loss(model, statistics, regularization, classifier, rewards)
    with jax.numpy_dtype_promotion("standard"):
        state = train(loss, params, batch_at, modern(2e-2, 60, last=57, last_rate=2e-2), 60, key=jax.random.key(1))
        before, after = (
            loss(either, batch_at(3), jax.random.key(2))[1]["reward"] for either in (params, state.params)
        )
    assert float(after) > 2 * float(before) > 0
