import dataclasses
import functools
import json

import jax
import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.captioned_views import people_views, read_captioned_photos
from gradcam_jax.experiments.data.captions import encode_captions
from gradcam_jax.images.preprocessing import ORIGINAL, to_network
from gradcam_jax.text.vocabulary import Vocabulary
from gradcam_jax.zoo import MODELS, Card, Entry, load, write_checkpoint
from tests.experiments.training.captioned_folder import make_captioned_photos
from tests.models.small_captioner import SIZE, WORDS, random_variables, small_captioner

pytest.importorskip("optax", reason="training needs optax (extra `train`)")
from gradcam_jax.experiments.training.caption_finetuning import finetuning_loss, image_batches
from gradcam_jax.experiments.training.configs.captioner_finetuning import NEURALTALK2_FINETUNE
from gradcam_jax.experiments.training.loop import train
from gradcam_jax.experiments.training.optimizers import published_captioning, published_captioning_with_cnn
from gradcam_jax.experiments.training.program import Options, run

PREPROCESSING = ORIGINAL._replace(size=SIZE)
VOCABULARY = Vocabulary(["a", "warm", "cold", "photo", "number", *map(str, range(WORDS - 6)), "UNK"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_captioned_photos(tmp_path_factory.mktemp("photos"), train=8, validation=3)


@pytest.fixture(scope="module")
def data(folder):
    views = people_views(read_captioned_photos(folder)["train"])
    return [view.view for view in views], encode_captions([view.captions for view in views], VOCABULARY)


def trained(data, optimizer, loss, params, steps=2):
    batch_at = image_batches(*data, SIZE, images=4, seed=1)
    return train(loss, params, batch_at, optimizer, steps, key=jax.random.key(0)).params


def largest_step(after, before):
    steps = jax.tree.map(lambda new, old: float(np.abs(new - old).max()), after, before)
    return max(jax.tree.leaves(steps))


def test_both_groups_move_each_at_its_own_rate(data):
    params = random_variables()["params"]
    loss = finetuning_loss(small_captioner(), PREPROCESSING)
    after = trained(data, published_captioning_with_cnn(4e-3, 1e-3), loss, params, steps=1)
    # Adam's first step is the rate itself wherever there is a gradient.
    for name, rate in (("cnn", 1e-3), ("image_embedding", 1e-3), ("lstm", 4e-3), ("decoder", 4e-3)):
        assert largest_step(after[name], params[name]) == pytest.approx(rate, rel=1e-2), name  # float32 weights


def test_at_the_cnns_rate_0_it_is_frozen_training(data):
    params = random_variables()["params"]
    whole = finetuning_loss(small_captioner(), PREPROCESSING)
    fixed = {name: params[name] for name in ("cnn", "image_embedding")}
    language = {name: leaf for name, leaf in params.items() if name not in fixed}

    def frozen(language, batch, key):
        return whole({**language, **fixed}, batch, key)

    together = trained(data, published_captioning_with_cnn(4e-4, 0.0), whole, params)
    alone = trained(data, published_captioning(4e-4), frozen, language)
    for name, leaf in fixed.items():
        jax.tree.map(np.testing.assert_array_equal, together[name], leaf)
    close = functools.partial(np.testing.assert_allclose, atol=1e-6)
    jax.tree.map(close, {name: together[name] for name in language}, alone)
    assert largest_step(alone["lstm"], language["lstm"]) > 1e-4


def test_the_loss_is_the_mean_negative_log_likelihood_of_words_and_end(data):
    model, variables = small_captioner().clone(dropout=0.0), random_variables()
    batch = image_batches(*data, SIZE, images=4, seed=1)(0)
    value, _ = finetuning_loss(model, PREPROCESSING)(variables["params"], batch, jax.random.key(0))
    images = np.repeat(to_network(batch["images"], PREPROCESSING), 5, axis=0)  # one for each caption
    tokens, lengths = batch["tokens"].reshape(20, 16), batch["lengths"].reshape(20)
    log_probs = np.asarray(model.apply(variables, images, tokens))
    losses = [
        -log_probs[row, step, token]
        for row, length in enumerate(lengths)
        for step, token in enumerate([*tokens[row, :length], WORDS])
    ]
    np.testing.assert_allclose(value, np.mean(losses), rtol=1e-5)


def test_every_photo_comes_once_an_epoch_with_five_captions_in_a_row(data):
    batch_at = image_batches(*data, SIZE, images=4, seed=1)
    first, second = batch_at(0), batch_at(1)
    assert first["images"].shape == (4, SIZE, SIZE, 3)
    assert first["tokens"].shape == (4, 5, 16)
    assert (first["tokens"][:, :, 4] == np.arange(5) + 5).all()  # "number 0" to "number 4"
    means = np.concatenate([batch["images"].mean(axis=(1, 2, 3)) for batch in (first, second)])
    assert len(np.unique(means)) == 8
    np.testing.assert_array_equal(batch_at(0)["images"], first["images"])
    views, captions = data
    few = captions._replace(**{name: array[::5] for name, array in captions._asdict().items()})
    assert image_batches(views, few, SIZE, images=4)(0)["tokens"].shape == (4, 5, 16)
    with pytest.raises(InputError, match="at least 9 examples"):
        image_batches(*data, SIZE, images=9)


@pytest.mark.usefixtures("scorer")
def test_a_run_keeps_the_best_by_cider_and_goes_on_where_it_stopped(folder, tmp_path, monkeypatch):
    entry = Entry("small", "captioning", lambda **_: small_captioner(), "cnn/relu2_1", PREPROCESSING, SIZE)
    monkeypatch.setitem(MODELS, "small", entry)
    start, end = (str(tmp_path / name) for name in ("start.safetensors", "end.safetensors"))
    card = Card("small", "original", "its own terms", 0, words=VOCABULARY.entries, notes="made at random")
    write_checkpoint(start, random_variables(), card)

    def finetuned():
        configuration = dataclasses.replace(NEURALTALK2_FINETUNE, images=4)
        options = Options(data=str(folder), start=start, steps=2, every=1, work=str(tmp_path), checkpoint=end)
        run(configuration, options)
        return load(end, task="captioning")

    first = finetuned()
    history = [json.loads(line) for line in (tmp_path / "finetuning" / "history.jsonl").read_text().splitlines()]
    assert [line["step"] for line in history] == [1, 2]
    notes, best = json.loads(first.card.notes), max(line["validation_cider"] for line in history)
    assert notes["validation"]["validation_cider"] == pytest.approx(best, abs=1e-4)
    assert (notes["before"], first.card.licence) == ("made at random", "its own terms")
    assert all(line["validation_perplexity"] > 1 for line in history)
    assert largest_step(first.variables["params"]["cnn"], random_variables()["params"]["cnn"]) > 0
    jax.tree.map(np.testing.assert_array_equal, first.variables, finetuned().variables)
    assert len((tmp_path / "finetuning" / "history.jsonl").read_text().splitlines()) == 2


@pytest.fixture
def scorer():
    pytest.importorskip("pycocoevalcap", reason="scoring captions needs pycocoevalcap (extra `train`)")
