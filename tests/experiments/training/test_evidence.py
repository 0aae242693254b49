"""A direction for each kind of object tells positions on it from others, and speaks for the words that name it."""

import numpy as np

from gradcam_jax.experiments.data.located_captions import Region
from gradcam_jax.experiments.training.evidence import discriminants, evidence_of
from gradcam_jax.text.vocabulary import Vocabulary

RNG = np.random.default_rng(0)
VIEWS, CELLS, FEATURES = 40, 16, 6


def made(kinds=2):
    """Views with an object of one kind, where the kind's own feature is large; the last feature is loud noise."""
    activations = RNG.normal(size=(VIEWS, CELLS, FEATURES)) * (1, 1, 1, 1, 1, 9)
    regions = []
    for view in range(VIEWS):
        inside = RNG.random(CELLS) < 0.3
        activations[view, inside, view % kinds] += 4
        regions.append(Region(view, view % kinds, inside))
    return activations.astype(np.float16), regions


def test_a_kinds_direction_tells_its_objects_from_what_is_beside_them():
    activations, regions = made()
    directions = discriminants(activations, regions, 2)
    assert directions.shape == (2, FEATURES)
    for kind, direction in enumerate(directions):
        assert np.argmax(np.abs(direction)) == kind
        assert abs(direction[5]) < 0.1 * direction[kind]  # the loud feature says nothing
    fresh, regions = made()
    hits = [inside[np.argmax(fresh[view] @ directions[kind])] for view, kind, inside in regions if inside.any()]
    assert np.mean(hits) > 0.9


def test_a_direction_solves_for_the_difference_of_the_means():
    activations, regions = made(kinds=1)
    (direction,) = discriminants(activations, regions, 1)
    flat = activations.astype(np.float64).reshape(-1, FEATURES)
    shrunk = np.cov(flat.T) + np.mean(flat.var(axis=0, ddof=1)) * np.eye(FEATURES)
    differences = [
        activations[view, inside].mean(axis=0, dtype=float) - activations[view, ~inside].mean(axis=0, dtype=float)
        for view, _, inside in regions
        if inside.any()
    ]
    np.testing.assert_allclose(shrunk @ direction, np.mean(differences, axis=0), rtol=1e-3, atol=1e-3)


def test_a_kind_without_views_has_the_direction_of_all():
    activations, regions = made(kinds=1)
    seen, unseen = discriminants(activations, [*regions, Region(0, 1, np.ones(CELLS, bool))], 2)
    np.testing.assert_allclose(unseen, seen, rtol=1e-5)


def test_evidence_has_mean_2_and_deviation_1_and_speaks_for_the_names_of_its_kind():
    features = RNG.normal(3, (1, 2, 3, 4), size=(200, 4))
    directions = RNG.normal(size=(2, 4)).astype(np.float32)
    deviation = np.sqrt(features.var(axis=0) + 1e-4)
    words = Vocabulary(["a", "dogs", "dog", "lamp", "light"])
    evidence = evidence_of(directions, features, deviation, ["dog", "traffic light"], words)
    values = (features - features.mean(axis=0)) / deviation @ evidence.kernel + evidence.bias
    np.testing.assert_allclose(values.mean(axis=0), 2, rtol=1e-5)
    np.testing.assert_allclose(values.std(axis=0), 1, rtol=1e-5)
    for value, direction in zip(values.T, directions, strict=True):
        np.testing.assert_allclose(np.corrcoef(value, features @ direction)[0, 1], 1, rtol=1e-5)
    np.testing.assert_array_equal(evidence.names, [[0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0]])
