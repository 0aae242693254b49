"""Every map of activations and gradients: what each must do, by hand, by algebra, and a test that all inherit."""

import functools
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from gradcam_jax.attribution.maps import channel_weights, weighted_sum
from gradcam_jax.tasks.methods import GRADIENT_MAPS, METHODS, TITLES
from tests.comparison import assert_close

MAPS = {"grad_cam": gc.grad_cam, "counterfactual_grad_cam": gc.counterfactual_grad_cam, **GRADIENT_MAPS}
NEVER_NEGATIVE = ("grad_cam_elementwise", "layer_cam", "grad_cam_plusplus")  # behind a ReLU
ACTIVATIONS = jnp.array([[[1.0, 0.0], [2.0, 1.0]], [[3.0, 0.0], [4.0, 3.0]]])
GRADIENTS = jnp.array([[[4.0, 0.0], [0.0, -1.0]], [[0.0, 1.0], [-2.0, 2.0]]])


def random_pair(*shape, seed=0):
    generator = np.random.default_rng(seed)
    activations = np.maximum(generator.standard_normal(shape), 0)
    return jnp.asarray(activations, jnp.float32), jnp.asarray(generator.standard_normal(shape), jnp.float32)


@pytest.mark.parametrize("name", MAPS)
class TestEveryMethod:
    """What a method inherits."""

    def test_shapes_and_dtypes(self, name):
        for shape in ((3, 4, 5), (2, 3, 4, 5), (6, 2, 3, 4, 5)):
            activations, gradients = random_pair(*shape)
            signed, rectified = (MAPS[name](activations, gradients, rectify=rectify) for rectify in (False, True))
            assert signed.shape == shape[:-1]
            np.testing.assert_array_equal(rectified, np.maximum(signed, 0))
            halves = MAPS[name](activations.astype(jnp.bfloat16), gradients.astype(jnp.bfloat16))
            assert signed.dtype == halves.dtype == jnp.float32
        assert MAPS[name].__doc__
        assert "References:" in MAPS[name].__doc__

    def test_leading_axes_vmap_and_jit(self, name):
        activations, gradients = random_pair(6, 3, 4, 5)
        method = functools.partial(MAPS[name], rectify=False)
        one_by_one = np.stack([method(*pair) for pair in zip(activations, gradients, strict=True)])
        for values in (method(activations, gradients), jax.jit(jax.vmap(method))(activations, gradients)):
            assert_close(values, one_by_one, 2e-6)

    def test_signals_images_and_volumes(self, name):
        for extent in ((9,), (5, 4), (3, 4, 5)):
            model, batch = Convolutional(len(extent)), random_pair(2, *extent, 3)[1]
            forward = gc.tapped(model, jax.jit(model.init)(jax.random.key(0), batch), "conv.relu")
            explanation = gc.explain(forward, batch, jnp.array([[1, 0], [2, 3]]), method=MAPS[name])
            assert explanation.cam.shape == (2, 2, *extent)
            assert np.isfinite(explanation.cam).all()
            # A map knows nothing of how positions are arranged.
            grads = gc.layer_grads(forward, lambda logits: logits[1], batch[0])
            rows = [values["conv.relu"].reshape(1, -1, 6) for values in (grads.activations, grads.gradients)]
            expected = MAPS[name](*rows, rectify=False).reshape(extent)
            assert_close(explanation.cam[0, 0], expected, 1e-5)

    def test_a_map_that_is_nowhere_positive(self, name):
        activations, gradients = random_pair(3, 4, 5)
        gradients = jnp.abs(gradients) * (1 if name == "counterfactual_grad_cam" else -1)
        cam = MAPS[name](activations, gradients)
        if name.startswith("eigen"):
            assert not gc.all_negative(cam)  # a centred projection is positive somewhere
        else:
            assert gc.all_negative(cam)
            np.testing.assert_array_equal(cam, np.zeros((3, 4)))

    @pytest.mark.parametrize("zeros", ["gradients", "activations", "both"])
    def test_zeros_give_no_nan(self, name, zeros):
        pair = random_pair(3, 4, 5)
        activations = pair[0] * int(zeros == "gradients")
        gradients = pair[1] * int(zeros == "activations")
        cam = MAPS[name](activations, gradients, rectify=False)
        assert np.isfinite(cam).all()
        if name != "eigen_cam" or zeros != "gradients":
            assert not cam.any()
        change = jax.grad(lambda *pair: jnp.sum(MAPS[name](*pair) ** 2), (0, 1))(activations, gradients)
        assert all(np.isfinite(leaf).all() for leaf in change)

    def test_the_gradient_through_it(self, name):
        """Against finite differences along a random direction; and forward mode against reverse mode."""
        activations, gradients = random_pair(3, 4, 5)
        activations = activations + 0.1  # no kink of a ReLU lies at the activations
        weights = random_pair(3, 4)[1]
        direction = tuple(pair * 0.1 for pair in random_pair(3, 4, 5, seed=1))

        def value(step):
            pair = activations + step * direction[0], gradients + step * direction[1]
            return jnp.sum(weights * MAPS[name](*pair, rectify=False))

        expected = (value(1e-2) - value(-1e-2)) / 2e-2
        assert_close(jax.grad(value)(0.0), expected, 5e-3)
        assert_close(jax.jvp(value, (0.0,), (1.0,))[1], jax.grad(value)(0.0), 1e-4)

    @pytest.mark.parametrize("shape", [(4,), (2, 4)])
    def test_a_layer_without_positions_is_an_error(self, name, shape):
        with pytest.raises(ValueError, match="spatial extent"):
            MAPS[name](jnp.ones(shape), jnp.ones(shape))

    def test_activations_and_gradients_of_two_layers_are_an_error(self, name):
        with pytest.raises(ValueError, match="one shape"):
            MAPS[name](jnp.ones((2, 2, 3)), jnp.ones((4, 4, 3)))


class Convolutional(nn.Module):
    """A classifier of inputs with any number of spatial axes."""

    axes: int

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(6, (3,) * self.axes, name="conv")(x))
        return nn.Dense(4, name="head")(jnp.tanh(x).reshape((x.shape[0], -1)))


def test_by_hand():
    expected = {
        gc.hires_cam: [[4.0, -1.0], [0.0, -2.0]],
        gc.layer_cam: [[4.0, 0.0], [0.0, 6.0]],
        gc.grad_cam_elementwise: [[4.0, 0.0], [0.0, 6.0]],
        # Channel 1: (4 * 1 - 2 * 4) / 10; channel 2: (-1 * 1 + 2 * 3) / 4.
        gc.x_grad_cam: [[-0.4, -0.8 + 1.25], [-1.2, -1.6 + 3.75]],
        # Channel 1: 4 / (2 + 4 * 10); channel 2: 1 / (2 + 4) + 2 / (2 + 2 * 4).
        gc.grad_cam_plusplus: [
            [2 / 21, 4 / 21 + 11 / 30],
            [6 / 21, 8 / 21 + 33 / 30],
        ],
    }
    for method, cam in expected.items():
        assert_close(method(ACTIVATIONS, GRADIENTS, rectify=False), cam, 1e-6)


def test_principal_components_by_hand():
    # Positions at -1.5, -0.5, 0.5, 1.5 times (3, 4), around a mean.
    along = jnp.array([[-1.5, -0.5], [0.5, 1.5]])
    activations = 7 + along[..., None] * jnp.array([[[3.0, 4.0]]])
    assert_close(gc.eigen_cam(activations, GRADIENTS, rectify=False), 5 * along, 1e-6)
    # A sum of the channels that falls along the component turns it round.
    assert_close(gc.eigen_cam(-activations, GRADIENTS, rectify=False), -5 * along, 1e-6)
    # Few positions of many channels, and many of few, have the same components.
    values = random_pair(4, 5, 3)[0]
    wide = jnp.concatenate([values, jnp.zeros((4, 5, 30))], axis=-1)
    cams = [gc.eigen_cam(one, one, rectify=False) for one in (values, wide)]
    assert_close(cams[1], cams[0], 1e-5)


@pytest.mark.parametrize("shape", [(14, 14, 512), (28, 28, 64)])
def test_principal_components_are_those_of_numpy(shape):
    """Also where the second component is nearly as strong as the first, and where there is no other."""
    rng = np.random.default_rng(0)
    positions, channels = shape[0] * shape[1], shape[2]
    ranks = {0.0: 1e-5, 0.3: 1e-5, 0.9: 1e-5, 0.99: 1e-4, 0.999: 1e-3}  # of the second to the first -> error
    values = []
    for second in ranks:
        strengths = np.concatenate([[1], second * 0.9 ** np.arange(30)])
        left = rng.standard_normal((positions, len(strengths)))
        left = np.linalg.qr(left - left.mean(0))[0]
        right = np.linalg.qr(rng.standard_normal((channels, len(strengths))))[0]
        values.append(((left * strengths) @ right.T).reshape(shape))
    scales = np.array([1, 1e-6, 1e4, 1, 1]).reshape(-1, 1, 1, 1)
    batch = (np.stack(values) * scales).astype(np.float32)
    cams = gc.eigen_cam(batch, batch, rectify=False) / scales[..., 0]
    for one, cam, tolerance in zip(values, cams, ranks.values(), strict=True):
        rows = one.reshape(positions, channels)
        centred = rows - rows.mean(0)
        expected = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
        expected *= np.sign((expected * rows.sum(-1)).sum())
        assert_close(cam, expected.reshape(shape[:2]), tolerance)


def test_equation_19_in_float64():
    """Of Grad-CAM++, as it is written, without an epsilon; and with pytorch-grad-cam's."""
    activations, gradients = random_pair(4, 5, 6)
    for size, epsilon in ((1.0, 0.0), (1e-3, 0.0), (1e-12, 0.0), (1e-3, 1e-6)):
        a, g = np.asarray(activations, np.float64), np.asarray(gradients, np.float64) * size
        alpha = g**2 / (2 * g**2 + a.sum((0, 1)) * g**3 + epsilon)
        expected = (a * (alpha * np.maximum(g, 0)).sum((0, 1))).sum(-1)
        ours = gc.grad_cam_plusplus(activations, jnp.asarray(g, jnp.float32), epsilon=epsilon)
        assert_close(ours, expected, 2e-6)


def test_where_all_that_follows_is_linear():
    """HiResCAM adds up to the score, and with a mean over positions it is CAM; XGrad-CAM keeps the sum."""
    activations, _ = random_pair(4, 5, 6)
    kernel = random_pair(4, 5, 6, seed=2)[1]
    score = jnp.sum(activations * kernel)
    assert_close(jnp.sum(gc.hires_cam(activations, kernel, rectify=False)), score, 1e-5)
    assert_close(jnp.sum(gc.x_grad_cam(activations, kernel, rectify=False)), score, 1e-5)
    mean_pooled = jnp.broadcast_to(kernel[0, 0] / 20, kernel.shape)
    cam = weighted_sum(activations, kernel[0, 0], rectify=False) / 20
    for method in (gc.grad_cam, gc.hires_cam, gc.x_grad_cam):
        assert_close(method(activations, mean_pooled, rectify=False), cam, 2e-6)


def test_behind_a_relu_element_wise_grad_cam_is_layer_cam():
    pair = random_pair(4, 5, 6)
    assert_close(gc.grad_cam_elementwise(*pair), gc.layer_cam(*pair), 1e-6)
    for name in NEVER_NEGATIVE:
        assert (np.asarray(MAPS[name](*pair, rectify=False)) >= 0).all()


def test_a_map_of_weights_is_grad_cam_of_constant_gradients():
    activations, gradients = random_pair(4, 5, 6)
    assert_close(weighted_sum(activations, channel_weights(gradients)), gc.grad_cam(activations, gradients), 1e-6)


def test_maps_are_fused_each_by_its_own_maximum():
    maps = [jnp.array([[0.0, 2.0], [4.0, -4.0]]), jnp.zeros((3, 3)), jnp.full((1, 1), 7.0)]
    expected = (np.array([[0.0, 0.5], [1.0, 0.0]]) + 0 + 1) / 3
    assert_close(gc.fuse_maps(maps, (2, 2)), expected, 1e-6)
    batch = [jnp.stack([cam, cam]) for cam in maps]
    assert gc.fuse_maps(batch, (4, 4)).shape == (2, 4, 4)
    with pytest.raises(ValueError, match="at least one map"):
        gc.fuse_maps([], (2, 2))


def test_the_page_says_of_every_method_when_to_use_it():
    page = (Path(gc.__file__).parents[1] / "docs" / "methods.md").read_text(encoding="utf-8")
    for name in {*MAPS, *METHODS} - {"guided_backprop"}:
        assert f"| `{name}` |" in page, name


def test_every_name_on_the_command_line_has_a_title():
    assert set(METHODS) == {"grad_cam", "guided_backprop", "guided_grad_cam", *TITLES}
    assert len({*TITLES.values()}) == len(TITLES)
