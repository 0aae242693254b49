"""One forward pass and the gradients at the taps: against finite differences and the model cut by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax import grad_cam, linearize, tapped, tapped_split
from tests.comparison import assert_close, random_images
from tests.models.small_vgg import small_vgg

LAYERS = [name for name in small_vgg()[0].stage_names if name != "flatten"]


def test_gradients_equal_finite_differences():
    with jax.enable_x64(True):
        weights = jnp.asarray(np.random.default_rng(0).standard_normal(5))
        forward = tapped_split({"hidden": jnp.sin, "head": lambda h: jnp.sum(jnp.exp(h) * weights)}, "hidden")
        x = jnp.linspace(-1.0, 1.0, 5)
        gradient = linearize(forward, lambda y: y, x).gradients["hidden"]
        step = 1e-6
        for index in range(5):
            tap = jnp.zeros(5).at[index].set(step)
            difference = (forward({"hidden": tap}, x)[0] - forward({"hidden": -tap}, x)[0]) / (2 * step)
            assert abs(float(gradient[index]) - float(difference)) < 1e-8


@pytest.mark.parametrize("layer", LAYERS)
def test_tapped_equals_the_model_cut_by_hand(layer):
    model, variables = small_vgg()
    image = random_images(1, 32)[0]
    outputs, activations, gradients = linearize(tapped(model, variables, layer), lambda y: y[2], image)

    names = list(model.clone().stage_names)
    stages = model.stages(variables)
    cut = names.index(layer) + 1

    def run(x, some):
        for name in some:
            x = stages[name](x)
        return x

    activation = run(jnp.asarray(image), names[:cut])
    gradient = jax.grad(lambda a: run(a, names[cut:])[2])(activation)
    np.testing.assert_array_equal(activations[layer], activation)
    assert_close(gradients[layer], gradient, 1e-6)
    assert_close(outputs, run(activation, names[cut:]), 1e-6)

    split = tapped_split({name: stages[name] for name in names}, layer)
    assert_close(linearize(split, lambda y: y[2], jnp.asarray(image)).gradients[layer], gradient, 1e-6)


def test_jit_vmap_and_batches_agree():
    model, variables = small_vgg()
    images = random_images(3, 32)
    forward = tapped(model, variables, "relu3_1")

    def cam(image, label):
        _, activations, gradients = linearize(forward, lambda y: y[label], image)
        return grad_cam(activations["relu3_1"], gradients["relu3_1"], rectify=False)

    labels = jnp.array([0, 3, 5])
    singles = jnp.stack([cam(image, label) for image, label in zip(images, labels, strict=True)])
    assert_close(jax.vmap(cam)(images, labels), singles, 2e-6)
    assert_close(jax.jit(jax.vmap(cam))(images, labels), singles, 2e-6)
    by_target = jax.jit(jax.vmap(jax.vmap(cam, (None, 0)), (0, None)))(images, labels)
    assert by_target.shape == (3, 3, *singles.shape[1:])
    assert_close(jnp.stack([by_target[i, i] for i in range(3)]), singles, 2e-6)


def test_several_layers_come_from_one_pass():
    model, variables = small_vgg()
    image = random_images(1, 32)[0]
    both = linearize(tapped(model, variables, ("relu2_1", "relu3_1")), lambda y: y[1], image)
    for layer in ("relu2_1", "relu3_1"):
        alone = linearize(tapped(model, variables, layer), lambda y: y[1], image)
        assert_close(both.gradients[layer], alone.gradients[layer], 1e-6)
        assert_close(both.activations[layer], alone.activations[layer], 1e-6)


def test_a_score_that_is_not_a_scalar_is_an_error():
    with pytest.raises(ValueError, match="scalar"):
        linearize(tapped_split({"square": jnp.square, "head": jnp.sqrt}, "square"), lambda y: y, jnp.ones(2))


def test_gradients_can_be_differentiated_again():
    model, variables = small_vgg()
    image = jnp.asarray(random_images(1, 32)[0])
    forward = tapped(model, variables, "relu3_1")

    def energy(image):
        _, activations, gradients = linearize(forward, lambda y: y[1] ** 2, image)
        return jnp.sum(grad_cam(activations["relu3_1"], gradients["relu3_1"], rectify=False) ** 2)

    assert float(jnp.abs(jax.grad(energy)(image)).max()) > 0
