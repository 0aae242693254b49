"""What is folded away changes no answer; transplants look like their class; batches are functions of the step."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.experiments.data.photos import WHOLE, Box, LabelledBox, Photo
from gradcam_jax.experiments.data.views import Part, view_of
from gradcam_jax.experiments.training.class_units import with_class_units
from gradcam_jax.experiments.training.located import Locations
from gradcam_jax.experiments.training.members import as_one, loss_of_each, together
from gradcam_jax.experiments.training.mixtures import LEAST, LEAST_BESIDE_NOTHING, mix
from gradcam_jax.experiments.training.principal_axes import fold, principal_axes
from gradcam_jax.experiments.training.transplants import transplant, transplanted_views
from gradcam_jax.experiments.training.vqa_examples import SAME_TEXT, EpochsOfQuestions, encode, vocabularies
from gradcam_jax.experiments.training.vqa_head import best_answers, head_loss, initial_params
from gradcam_jax.models.vqa import VQA, l2_normalize
from gradcam_jax.text.vocabulary import Vocabulary

RNG = np.random.default_rng(0)
POOLED = np.abs(RNG.normal(size=(60, 12))).astype(np.float32)
CLASSIFIER = RNG.normal(size=(12, 7)).astype(np.float32)


@pytest.fixture(scope="module")
def photos() -> list[Photo]:
    words = ("dog", "cat", "car", "pizza")
    return [Photo(f"coco/{i}", Path(), (LabelledBox(words[i % 4], WHOLE),), True) for i in range(20)]


def _epochs(photos, batch_size=32, seed=5):
    views = [view_of(Part(photo)) for photo in photos]
    words, answers = vocabularies(views, [])
    features = np.arange(len(views), dtype=np.float32)[:, np.newaxis]
    drawn = EpochsOfQuestions(views, lambda _: features, [], words, answers, batch_size=batch_size, seed=seed)
    return drawn, views, words, answers


def test_the_axes_have_mean_0_and_mean_variance_1_and_are_uncorrelated():
    axes = principal_axes(POOLED, CLASSIFIER, count=8)(POOLED)
    np.testing.assert_allclose(axes.mean(axis=0), 0, atol=1e-5)
    covariance = np.cov(axes.T, bias=True)
    np.testing.assert_allclose(np.trace(covariance) / 8, 1, rtol=1e-4)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-4)


def _members(model):
    return [initial_params(model, jax.random.key(number), 8) for number in range(3)]


def test_members_are_one_head_whose_scores_are_their_mean():
    model = VQA(cnn=None, words=9, answers=5, embedding=4, hidden=6, common=8)
    members = _members(model)
    ids, length, features = (
        jnp.array([1, 2, 3], jnp.int32),
        jnp.int32(3),
        jnp.asarray(RNG.normal(size=8), jnp.float32),
    )
    own = ("question_projection", "image_projection", "classifier")
    encoder = {name: leaf for name, leaf in members[0].items() if name not in own}
    scores = [
        model.apply({"params": member | encoder}, features, ids, length, method="answer") for member in members
    ]
    one = model.clone(common=24).apply(
        {"params": as_one(together(members))}, features, ids, length, method="answer"
    )
    np.testing.assert_allclose(one, np.mean(scores, axis=0), rtol=1e-5, atol=1e-6)


def test_each_member_is_trained_as_a_head_alone_with_dropout_of_its_own():
    def loss(params, batch, key):
        hidden = jax.random.uniform(key)
        distance = sum(jnp.sum(jnp.abs(leaf - batch)) for leaf in jax.tree.leaves(params))
        return distance + 0 * hidden, {"hidden": hidden, "squared": hidden**2}

    model = VQA(cnn=None, words=9, answers=5, embedding=4, hidden=6, common=8)
    members, key = _members(model), jax.random.key(1)
    value, metrics = loss_of_each(loss)(together(members), 0.5, key)
    encoder = {name: leaf for name, leaf in members[0].items() if "embedding" in name or "lstm" in name}
    np.testing.assert_allclose(value, np.mean([loss(one | encoder, 0.5, key)[0] for one in members]), rtol=1e-5)
    assert metrics["squared"] > metrics["hidden"] ** 2 + 1e-6  # not the same numbers three times


def test_a_folded_head_gives_the_same_answers():
    model = VQA(cnn=None, words=9, answers=5, embedding=4, hidden=6, common=8)
    axes = principal_axes(POOLED, CLASSIFIER, count=8)
    params = initial_params(model, jax.random.key(0), 8)
    ids, length = jnp.array([1, 2, 3], jnp.int32), jnp.int32(3)
    trained_on = model.apply({"params": params}, axes(POOLED)[4], ids, length, method="answer")
    alone = l2_normalize(jnp.asarray(POOLED[4]))
    folded = model.apply({"params": fold(params, axes)}, alone, ids, length, method="answer")
    np.testing.assert_allclose(folded, trained_on, rtol=1e-4, atol=1e-5)


def test_a_head_starts_with_words_of_unit_variance_and_open_forget_gates():
    model = VQA(cnn=None, words=400, answers=5, embedding=16, hidden=3, common=8)
    params = initial_params(model, jax.random.key(0), 8)
    np.testing.assert_allclose(np.std(params["word_embedding"]["kernel"]), 1, rtol=0.05)
    np.testing.assert_array_equal(params["lstm_2"]["i2h"]["bias"], [0] * 3 + [1] * 3 + [0] * 6)


def test_a_transplant_is_taken_for_its_new_class():
    centres = 6 * np.eye(12)[:7]
    classes = np.arange(60) % 7
    pooled = (centres[classes] + np.abs(RNG.normal(size=(60, 12), scale=0.3))).astype(np.float32)
    classifier = np.ascontiguousarray(centres.T, dtype=np.float32)
    views = [view_of(Part(Photo(f"x/{i}", Path(), (), False, int(c)))) for i, c in enumerate(classes)]
    wanted = [view_of(Part(Photo("class/6", Path(), (), False, 6)))] * 20
    moved = transplant(views, pooled, wanted, classifier, np.random.default_rng(1))
    assert moved.shape == (20, 12)
    assert moved.min() >= 0
    np.testing.assert_array_equal(np.argmax(moved @ classifier, axis=1), 6)


def test_transplants_are_of_every_class_that_has_a_word():
    views = transplanted_views(2)
    assert len(views) == 2 * len({view.parts[0].photo.class_index for view in views})
    assert all(len(view.objects) == 1 and not view.complete for view in views)


def test_a_batch_is_a_function_of_its_step(photos):
    forward, *_ = _epochs(photos)
    backward, *_ = _epochs(photos)
    steps = range(2 * forward.steps)
    batches = [forward.batch_at(step) for step in steps]
    for step in reversed(steps):
        jax.tree.map(np.testing.assert_array_equal, batches[step], backward.batch_at(step))
    assert any(not np.array_equal(batches[0]["ids"], batch["ids"]) for batch in batches[1:])


def test_features_are_drawn_anew_each_epoch(photos):
    views = [view_of(Part(photo)) for photo in photos]
    words, answers = vocabularies(views, [])

    def features(epoch):
        return np.full((len(views), 1), epoch, np.float32)

    drawn = EpochsOfQuestions(views, features, [], words, answers, batch_size=32, seed=5)
    for epoch in (1, 0, 2):
        np.testing.assert_array_equal(drawn.batch_at(epoch * drawn.steps)["features"], epoch)


def test_mixtures_have_both_photos_answers():
    answers = Vocabulary(["dog", "cat", "none", "yes"])
    dog, cat, none, yes = np.eye(4, dtype=np.float32)
    targets = np.stack([dog, cat, none, none, dog, yes, (dog + cat) / 2, dog])
    what, nothing = "what animal", "false premise"
    kinds = [what, what, nothing, nothing, "what is this", "is there", what, what]
    partners = np.array([1, 2, 1, 2, 4, 0, 0, 5])  # an example is no partner of itself, a yes none of a dog
    features = 10.0 ** np.arange(8, dtype=np.float32)[:, np.newaxis]
    mixed = [True, True, True, True, False, False, True, False]
    own = []
    for seed in range(200):
        found = mix(features, targets, kinds, partners, answers, rng=np.random.default_rng(seed), share=1.0)
        np.testing.assert_array_equal(found.mixed, mixed)
        expected = np.stack([(dog + cat) / 2, cat, cat, none, dog, yes, (dog + cat) / 2, dog])
        np.testing.assert_array_equal(found.targets, expected)
        np.testing.assert_array_equal(found.features[~found.mixed], features[~found.mixed])
        others = features[partners][found.mixed]
        own.append(((found.features[found.mixed] - others) / (features[found.mixed] - others))[:, 0])
    lowest, highest = np.min(own, axis=0), np.max(own, axis=0)
    beside = LEAST_BESIDE_NOTHING
    np.testing.assert_allclose(lowest, [LEAST, beside, LEAST, LEAST, LEAST], atol=0.02)
    np.testing.assert_allclose(1 - highest, [LEAST, LEAST, beside, LEAST, LEAST], atol=0.02)
    unmixed = mix(features, targets, kinds, partners, answers, rng=np.random.default_rng(0), share=0.0)
    np.testing.assert_array_equal(unmixed.features, features)
    np.testing.assert_array_equal(unmixed.targets, targets)


def test_image_units_start_as_classes():
    model = VQA(cnn=None, words=9, answers=5, embedding=4, hidden=6, common=5)
    params = initial_params(model, jax.random.key(0), 8)
    features = RNG.normal(size=(200, 8)).astype(np.float32)
    directions = RNG.normal(size=(8, 6))
    directions[:, 5] = 0  # a class whose score never changes
    scores = features @ directions + 3
    classes = [0, 2, 5]
    started = with_class_units(params, features, scores, classes, np.random.default_rng(0))
    units = features @ np.asarray(started["image_projection"]["kernel"]) + np.asarray(
        started["image_projection"]["bias"]
    )
    order = np.random.default_rng(0).permutation(classes)
    for unit, index in enumerate(order.tolist()):
        if index == 5:
            np.testing.assert_allclose(units[:, unit], -1, atol=1e-4)
        else:
            standard = (scores[:, index] - scores[:, index].mean()) / scores[:, index].std()
            np.testing.assert_allclose(units[:, unit], standard - 1, atol=1e-4)
    kernels = [np.asarray(one["image_projection"]["kernel"])[:, 3:] for one in (started, params)]
    np.testing.assert_array_equal(*kernels)
    few = with_class_units(params, features, scores, [0, 1, 2, 3, 4, 0, 1], np.random.default_rng(0))
    assert few["image_projection"]["kernel"].shape == (8, 5)


def test_runs_share_a_text_and_targets_fit_the_views(photos):
    drawn, views, words, answers = _epochs(photos)
    batch = drawn.batch_at(0)
    assert batch["ids"].shape[0] * SAME_TEXT == batch["features"].shape[0] == 32
    what = [words.index(word) for word in ("what", "animal")]
    for run, ids in enumerate(batch["ids"]):
        if not set(what) <= set(ids.tolist()):
            continue
        for row in range(run * SAME_TEXT, (run + 1) * SAME_TEXT):
            right = {answers.entries[index] for index in np.flatnonzero(batch["targets"][row])}
            seen = {item.word for item in views[int(batch["features"][row, 0])].objects}
            assert right <= seen | {"none"}


def test_an_answer_outside_the_vocabulary_is_never_right(photos):
    drawn, _, words, answers = _epochs(photos)
    question = drawn._epoch(0)[0].questions[0]._replace(answers=("yak",))
    assert encode([question], words, answers).targets.sum() == 0


def test_the_loss_is_that_of_the_answers_one_by_one(photos):
    drawn, _, words, answers = _epochs(photos)
    model = VQA(cnn=None, words=len(words), answers=len(answers), embedding=4, hidden=5, common=6, dropout=0.0)
    params = initial_params(model, jax.random.key(0), 1)
    batch = drawn.batch_at(0)
    found, metrics = jax.jit(functools.partial(head_loss, model))(params, batch, jax.random.key(1))
    ids, length = (np.repeat(batch[name], SAME_TEXT, axis=0) for name in ("ids", "length"))
    scores = model.apply({"params": params}, batch["features"], ids, length, method="answer")
    expected = -np.mean(np.sum(batch["targets"] * np.asarray(jax.nn.log_softmax(scores)), axis=1))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    right = batch["targets"][np.arange(32), np.argmax(scores, axis=1)] > 0
    np.testing.assert_allclose(metrics["accuracy"], right.mean(), rtol=1e-6)


@pytest.mark.parametrize("batch_size", [7, 512])
def test_answers_do_not_depend_on_the_batch(photos, batch_size):
    drawn, views, words, answers = _epochs(photos)
    model = VQA(cnn=None, words=len(words), answers=len(answers), embedding=4, hidden=5, common=6)
    params = initial_params(model, jax.random.key(0), 1)
    features = np.arange(len(views), dtype=np.float32)[:, np.newaxis]
    examples = drawn._epoch(0)[0]
    best = best_answers(model, params, features, examples, batch_size=batch_size)
    inputs = features[examples.image], examples.ids, examples.length
    scores = np.asarray(model.apply({"params": params}, *inputs, method="answer"))
    np.testing.assert_array_equal(best, scores.argmax(axis=-1))


def test_located_examples_add_how_far_their_maps_lie_beside_their_objects(photos):
    _, views, words, answers = _epochs(photos)
    model = VQA(cnn=None, words=len(words), answers=len(answers), embedding=4, hidden=5, common=6, dropout=0.0)
    params = initial_params(model, jax.random.key(0), 1)
    half = Box(0.0, 0.0, 0.5, 1.0)
    located = [view._replace(objects=(view.objects[0]._replace(box=half),)) for view in views]
    positions = {index: RNG.normal(size=(4, 1)).astype(np.float16) for index in range(len(views))}
    features = np.arange(len(views), dtype=np.float32)[:, np.newaxis]
    locations = Locations(located, positions, answers)
    epochs = EpochsOfQuestions(
        located, lambda _: features, [], words, answers, batch_size=32, seed=5, locations=locations, mixed=0.3
    )

    batch = epochs.batch_at(1)
    jax.tree.map(np.testing.assert_array_equal, batch, epochs.batch_at(1))
    assert 0 < batch["weight"].sum() <= 32
    losses = [
        head_loss(model, params, batch, jax.random.key(1), location_weight=weight)[0] for weight in (0.0, 1.0, 2.0)
    ]
    np.testing.assert_allclose(losses[2] - losses[1], losses[1] - losses[0], rtol=1e-4)
    assert losses[1] > losses[0]
    _, metrics = head_loss(model, params, batch, jax.random.key(1), location_weight=1.0)
    assert 0 <= metrics["pointing"] <= 1
