"""The sanity check: maps that explain the model change with its weights, others do not. Confidence intervals."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gradcam_jax as gc
from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.intervals import bootstrap_mean
from gradcam_jax.evaluation.sanity import cascading_randomisation, randomised, weighted_modules

EXAMPLE = jax.ShapeDtypeStruct((16, 16, 3), jnp.float32)


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(8, (3, 3), name="a_last")(x))  # their names are not in the order of their calls
        x = nn.BatchNorm(use_running_average=True, name="b_norm")(x)
        x = nn.relu(nn.Conv(8, (3, 3), name="c_first")(x))
        return nn.Dense(10, name="classifier")(x.mean(axis=(1, 2)))


@pytest.fixture(scope="module")
def forward():
    images = jnp.ones((1, 16, 16, 3))
    return gc.tapped(Net(), Net().init(jax.random.key(0), images), "c_first")


IMAGES = jax.random.normal(jax.random.key(1), (6, 16, 16, 3))
LABELS = jnp.arange(6)[:, jnp.newaxis]


def cams(forward):
    return gc.explain(forward, IMAGES, LABELS).cam[:, 0]


def test_modules_are_randomised_from_the_output_to_the_input(forward):
    assert weighted_modules(forward, EXAMPLE) == ("a_last", "b_norm", "c_first", "classifier")
    trained = forward.variables["variables"]["params"]
    expected = ["classifier", "c_first", "b_norm", "a_last"]
    for count, (name, random) in enumerate(randomised(forward, jax.random.key(2), EXAMPLE), 1):
        assert name == expected[count - 1]
        params = random.variables["variables"]["params"]
        changed = [module for module in expected if not np.array_equal(*kernels(trained, params, module))]
        assert changed == [module for module in expected[:count] if module != "b_norm"]  # all ones and zeros
        for module in changed:
            before, after = (np.sort(kernel, axis=None) for kernel in kernels(trained, params, module))
            np.testing.assert_array_equal(before, after)


def kernels(trained, params, module):
    return [np.asarray(tree[module].get("kernel", tree[module].get("scale"))) for tree in (trained, params)]


def test_similarity_falls_for_grad_cam_and_stays_for_maps_that_ignore_the_model(forward):
    cascade = cascading_randomisation(forward, cams, jax.random.key(2), EXAMPLE, stages=2)
    assert cascade.modules == ("c_first", "a_last")
    assert cascade.similarity.shape == (2, 6)
    assert np.abs(cascade.similarity[-1]).mean() < 0.7
    edges = cascading_randomisation(forward, lambda _: jnp.abs(IMAGES).mean(axis=-1), jax.random.key(2), EXAMPLE)
    np.testing.assert_allclose(edges.similarity, 1, atol=1e-5)
    same = cascading_randomisation(forward, lambda _: cams(forward), jax.random.key(2), EXAMPLE, stages=1)
    np.testing.assert_allclose(same.similarity, 1, atol=1e-5)


def test_stages_have_as_many_modules_as_they_are_given(forward):
    stages = list(randomised(forward, jax.random.key(2), EXAMPLE, stages=[1, 2]))
    assert [name for name, _ in stages] == ["classifier", "b_norm"]
    every = dict(randomised(forward, jax.random.key(2), EXAMPLE))
    for name, random in stages:
        jax.tree.map(np.testing.assert_array_equal, random.variables, every[name].variables)
    assert weighted_modules(forward, EXAMPLE, after="b_norm") == ("c_first", "classifier")
    assert weighted_modules(forward, EXAMPLE, after="classifier") == ()
    for stages in ([2, 3], [0, 1], []):
        with pytest.raises(InputError, match="stages of 1 or more of the 4 modules"):
            list(randomised(forward, jax.random.key(2), EXAMPLE, stages=stages))


def test_an_nnx_models_modules_are_found():
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.second = nnx.Linear(4, 2, rngs=rngs)
            self.first = nnx.Conv(3, 4, (3, 3), rngs=rngs)

        def __call__(self, x):
            return self.second(nnx.relu(self.first(x)).mean(axis=(1, 2)))

    assert weighted_modules(gc.tapped(Model(nnx.Rngs(0)), "first"), EXAMPLE) == ("first", "second")


def test_more_stages_than_modules_are_refused(forward):
    with pytest.raises(InputError, match="1 to 4 stages"):
        cascading_randomisation(forward, cams, jax.random.key(0), EXAMPLE, stages=5)


def test_the_interval_of_a_mean_is_about_its_normal_one():
    values = np.random.default_rng(0).normal(5, 2, 400)
    interval = bootstrap_mean(values)
    error = 1.96 * values.std() / np.sqrt(400)
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - error, abs=0.02)
    assert interval.high == pytest.approx(values.mean() + error, abs=0.02)


def test_whole_photos_are_drawn():
    values, photos = np.repeat([0.0, 1.0] * 10, 8), np.repeat(np.arange(20), 8)
    alone, together = bootstrap_mean(values), bootstrap_mean(values, photos.tolist())
    assert together.mean == alone.mean == 0.5
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_a_constant_has_no_spread_and_nothing_has_no_mean():
    assert bootstrap_mean([3.0, 3.0])[:3] == (3, 3, 3)
    with pytest.raises(InputError, match="got 0 and 0"):
        bootstrap_mean([])
