"""The map that training scores is the one that explaining shows; it is pulled onto the object."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.attribution.maps import grad_cam
from gradcam_jax.experiments.data.photos import WHOLE, Box, LabelledBox, Photo
from gradcam_jax.experiments.data.questions import TemplateQuestion
from gradcam_jax.experiments.data.views import Part, collage, view_of
from gradcam_jax.experiments.training.located import (
    LOCATED,
    Locations,
    location_loss,
    location_term,
    regions,
)
from gradcam_jax.experiments.training.principal_axes import fold, principal_axes
from gradcam_jax.experiments.training.vqa_head import initial_params
from gradcam_jax.models.vqa import VQA, l2_normalize
from gradcam_jax.text.vocabulary import Vocabulary

RNG = np.random.default_rng(0)
LEFT, RIGHT = Box(0.0, 0.0, 0.5, 1.0), Box(0.5, 0.0, 1.0, 1.0)
DOG_AND_CUP = view_of(Part(Photo("coco/1", Path(), (LabelledBox("dog", LEFT), LabelledBox("cup", RIGHT)), True)))
BOXER = Photo("x/boxer", Path(), (LabelledBox("dog", WHOLE),), False, 242)
TABBY = Photo("x/tabby", Path(), (LabelledBox("cat", WHOLE),), False, 281)
ANSWERS = Vocabulary(["yes", "no", "none", "dog", "cat"])
AXES = 6


def _question(text: str, answers: tuple[str, ...], kind: str, about: str = "", view: int = 0) -> TemplateQuestion:
    return TemplateQuestion(view, text, answers, kind, about)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (_question("What animal?", ("dog",), "what animal", "animal"), {"dog": [LEFT]}),
        (_question("Is there a cup?", ("yes",), "is there", "cup"), {"yes": [RIGHT]}),
        (_question("Is there an animal?", ("yes",), "is there", "animal"), {"yes": [LEFT]}),
        (_question("Is there a cat?", ("no",), "is there", "cat"), {}),
        (_question("What vehicle?", ("none",), "false premise", "vehicle"), {}),
        (_question("How many dogs?", ("1",), "how many", "dog"), {}),
        (_question("Who?", ("me", "you"), "human"), {}),
    ],
)
def test_an_answer_is_about_the_objects_that_it_names(question, expected):
    assert regions(question, DOG_AND_CUP) == expected


def test_a_batchs_located_examples_are_picked_and_padded():
    views = [DOG_AND_CUP, view_of(Part(BOXER)), collage(BOXER, TABBY, layout="beside")]
    positions = {0: np.full((4, AXES), 1, np.float16), 2: np.full((4, AXES), 2, np.float16)}
    questions = [
        _question("Is there a cat?", ("no",), "is there", "cat"),
        _question("Is there a dog?", ("yes",), "is there", "dog"),
        _question("What animal?", ("dog",), "what animal", "animal", view=1),
        _question("What animal?", ("dog", "cat"), "what animal", "animal", view=2),
    ]
    seen = set()
    for seed in range(20):
        locations = Locations(views, positions, ANSWERS)
        batch = locations.of(questions, np.random.default_rng(seed), left_out=np.zeros(4, bool))
        assert batch["weight"].sum() == 2
        assert batch["positions"].shape == (LOCATED, 4, AXES)
        for place in range(2):
            row, answer = int(batch["row"][place]), ANSWERS.entries[batch["answer"][place]]
            np.testing.assert_array_equal(batch["positions"][place], 1 if row == 1 else 2)
            half = [True, False, True, False] if answer in ("yes", "dog") else [False, True, False, True]
            np.testing.assert_array_equal(batch["inside"][place], half)
            seen.add((row, answer))
    assert seen == {(1, "yes"), (3, "dog"), (3, "cat")}
    batch = locations.of(questions, np.random.default_rng(0), left_out=np.arange(4) == 1)
    assert batch["row"][batch["weight"] > 0].tolist() == [3]


def _scored_map(params, model, activations, axes, question, answer):
    """Returns the map of the loss, read off its gradient with respect to each position's logit."""
    features = axes(activations.mean(axis=0)[np.newaxis])
    gradient = jax.grad(
        lambda x: model.apply({"params": params}, x, question[jnp.newaxis], method="fuse")[0, answer]
    )(jnp.asarray(features))
    return np.asarray(axes.contributions(jnp.asarray(activations)) @ gradient[0])


def test_the_map_scored_in_training_is_the_folded_heads_grad_cam():
    model = VQA(cnn=None, words=9, answers=5, embedding=4, hidden=6, common=8, dropout=0.0)
    activations = np.abs(RNG.normal(size=(9, 12))).astype(np.float32)
    classifier = RNG.normal(size=(12, 7)).astype(np.float32)
    axes = principal_axes(np.abs(RNG.normal(size=(60, 12))), classifier, count=AXES)
    params = initial_params(model, jax.random.key(0), AXES)
    question = jax.random.normal(jax.random.key(1), (24,))
    folded = fold(params, axes)

    def score(activations: jax.Array) -> jax.Array:
        features = l2_normalize(jnp.mean(activations, axis=(0, 1)))
        return jnp.asarray(model.apply({"params": folded}, features, question, method="fuse"))[3]

    grid = jnp.asarray(activations.reshape(3, 3, 12))
    explained = grad_cam(grid, jax.grad(score)(grid), rectify=False)
    scored = _scored_map(params, model, activations, axes, question, 3)
    # The mean over 9 positions: training's map is 9 times the explanation's. Float32 sums cancel to about 0.
    np.testing.assert_allclose(scored.reshape(3, 3) / 9, explained, atol=2e-5 * np.abs(explained).max())


def _located_batch():
    """Ten examples, and padding: the object is where the first axis is largest."""
    positions = RNG.normal(size=(LOCATED, 4, AXES)).astype(np.float32)
    return {
        "features": jnp.asarray(RNG.normal(size=(LOCATED, AXES)), jnp.float32),
        "row": jnp.arange(LOCATED),
        "answer": jnp.full(LOCATED, 3),
        "positions": jnp.asarray(positions),
        "inside": jnp.asarray(positions[..., 0] == positions[..., 0].max(axis=1, keepdims=True)),
        "weight": jnp.ones(LOCATED).at[10:].set(0.0),
    }


def test_descending_the_loss_moves_the_highest_point_onto_the_object():
    model = VQA(cnn=None, words=9, answers=5, embedding=4, hidden=6, common=8, dropout=0.0)
    params = initial_params(model, jax.random.key(0), AXES)
    batch = _located_batch()
    questions = jax.random.normal(jax.random.key(2), (LOCATED, 24))
    key = jax.random.key(3)
    descend = jax.jit(jax.value_and_grad(functools.partial(location_loss, model), has_aux=True))
    (first, pointing), _ = descend(params, batch, questions, key)
    assert pointing < 0.8
    for _ in range(200):
        _, gradients = descend(params, batch, questions, key)
        params = jax.tree.map(lambda p, g: p - 0.3 * g, params, gradients)
    (last, pointing), _ = descend(params, batch, questions, key)
    np.testing.assert_allclose(pointing, 1, rtol=1e-5)
    assert last < 0.5 * first


def test_padding_does_not_count():
    model = VQA(cnn=None, words=9, answers=5, embedding=4, hidden=6, common=8, dropout=0.0)
    params = initial_params(model, jax.random.key(0), AXES)
    questions = _question("What animal?", ("dog",), "what animal", "animal")
    positions = {0: RNG.normal(size=(4, AXES)).astype(np.float16)}
    locations = Locations([DOG_AND_CUP], positions, ANSWERS)
    batch = locations.of([questions], np.random.default_rng(0), left_out=np.zeros(1, bool))
    batch["features"] = RNG.normal(size=(1, AXES)).astype(np.float32)
    vectors, key = jax.random.normal(jax.random.key(2), (1, 24)), jax.random.key(3)
    padded, _ = location_loss(model, params, jax.tree.map(jnp.asarray, batch), vectors, key)
    alone = {name: jnp.asarray(values if name == "features" else values[:1]) for name, values in batch.items()}
    np.testing.assert_allclose(padded, location_loss(model, params, alone, vectors, key)[0], rtol=1e-6)


def test_a_maps_shape_counts_and_not_how_steep_its_score_is():
    maps = jnp.asarray(RNG.normal(size=(5, 9)), jnp.float32)
    inside, weight = jnp.asarray(RNG.random((5, 9)) < 0.4).at[:, 0].set(True), jnp.ones(5)
    np.testing.assert_allclose(
        location_term(40 * maps, inside, weight), location_term(maps, inside, weight), rtol=1e-4
    )
    # A map much fainter than the others counts as a flat one, which puts a position's share into each position.
    faint, flat = (location_term(maps.at[0].multiply(factor), inside, weight)[0] for factor in (1e-3, 0.0))
    np.testing.assert_allclose(faint, flat, atol=5e-3)
    alone = location_term(jnp.zeros((1, 9)), inside[:1], jnp.ones(1))[0]
    np.testing.assert_allclose(alone, -np.log(inside[0].mean()), rtol=1e-5)


def test_a_part_of_the_head_is_dropped_out_of_the_maps():
    model = VQA(cnn=None, words=9, answers=5, embedding=4, hidden=6, common=8, dropout=0.5)
    params = initial_params(model, jax.random.key(0), AXES)
    batch = _located_batch()
    questions = jax.random.normal(jax.random.key(2), (LOCATED, 24))
    one, two, again = (
        float(location_loss(model, params, batch, questions, jax.random.key(key))[0]) for key in (1, 2, 1)
    )
    assert one == again
    assert one != two
