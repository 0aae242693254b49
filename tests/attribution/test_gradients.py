"""One forward pass and the gradients at the taps: against finite differences and the model cut by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax import grad_cam, layer_grads, layer_vjp, tapped, tapped_functions
from tests.comparison import assert_close, random_images
from tests.models.small_vgg import small_vgg

LAYERS = [name for name in small_vgg()[0].stage_names if name != "flatten"]


def test_gradients_equal_finite_differences():
    with jax.enable_x64(True):
        weights = jnp.asarray(np.random.default_rng(0).standard_normal(5))
        forward = tapped_functions({"hidden": jnp.sin, "head": lambda h: jnp.sum(jnp.exp(h) * weights)}, "hidden")
        x = jnp.linspace(-1.0, 1.0, 5)
        gradient = layer_grads(forward, lambda y: y, x).gradients["hidden"]
        step = 1e-6
        for index in range(5):
            tap = jnp.zeros(5).at[index].set(step)
            difference = (forward({"hidden": tap}, x)[0] - forward({"hidden": -tap}, x)[0]) / (2 * step)
            assert abs(float(gradient[index]) - float(difference)) < 1e-8


@pytest.mark.parametrize("layer", LAYERS)
def test_tapped_equals_the_model_cut_by_hand(layer):
    model, variables = small_vgg()
    image = random_images(1, 32)[0]
    outputs, activations, gradients = layer_grads(tapped(model, variables, layer), lambda y: y[2], image)

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

    split = tapped_functions({name: stages[name] for name in names}, layer)
    assert_close(layer_grads(split, lambda y: y[2], jnp.asarray(image)).gradients[layer], gradient, 1e-6)


def test_jit_vmap_and_batches_agree():
    model, variables = small_vgg()
    images = random_images(3, 32)
    forward = tapped(model, variables, "relu3_1")

    def cam(image, label):
        _, activations, gradients = layer_grads(forward, lambda y: y[label], image)
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
    both = layer_grads(tapped(model, variables, ("relu2_1", "relu3_1")), lambda y: y[1], image)
    for layer in ("relu2_1", "relu3_1"):
        alone = layer_grads(tapped(model, variables, layer), lambda y: y[1], image)
        assert_close(both.gradients[layer], alone.gradients[layer], 1e-6)
        assert_close(both.activations[layer], alone.activations[layer], 1e-6)


def test_a_score_that_is_not_a_scalar_is_an_error():
    with pytest.raises(ValueError, match="scalar"):
        layer_grads(tapped_functions({"square": jnp.square, "head": jnp.sqrt}, "square"), lambda y: y, jnp.ones(2))


def test_gradients_can_be_differentiated_again():
    model, variables = small_vgg()
    image = jnp.asarray(random_images(1, 32)[0])
    forward = tapped(model, variables, "relu3_1")

    def energy(image):
        _, activations, gradients = layer_grads(forward, lambda y: y[1] ** 2, image)
        return jnp.sum(grad_cam(activations["relu3_1"], gradients["relu3_1"], rectify=False) ** 2)

    assert float(jnp.abs(jax.grad(energy)(image)).max()) > 0


def test_targets_can_be_chosen_from_the_outputs_of_the_same_pass():
    model, variables = small_vgg()
    image, runs = jnp.asarray(random_images(1, 32)[0]), 0
    forward = tapped(model, variables, "relu3_1")

    def counted(taps, image):
        nonlocal runs
        runs += 1
        return forward(taps, image)

    outputs, activations, vjp = layer_vjp(counted, image)
    assert runs == 2  # once for the shapes, once run
    highest = jax.lax.top_k(outputs, 3)[1]
    gradients = jax.vmap(lambda label: vjp(jax.nn.one_hot(label, outputs.size))["relu3_1"])(highest)
    assert runs == 2
    for index, label in enumerate(highest):
        alone = layer_grads(forward, lambda y, label=label: y[label], image)
        assert_close(gradients[index], alone.gradients["relu3_1"], 2e-6)
        assert_close(activations["relu3_1"], alone.activations["relu3_1"], 1e-6)


def test_the_vjp_is_linear_in_its_cotangent():
    forward = tapped_functions({"hidden": jnp.sin, "head": jnp.exp}, "hidden")
    x, u, v = (jnp.asarray(row, jnp.float32) for row in np.random.default_rng(0).standard_normal((3, 5)))
    _, _, vjp = layer_vjp(forward, x)
    assert_close(vjp(2.0 * u - v)["hidden"], 2.0 * vjp(u)["hidden"] - vjp(v)["hidden"], 1e-6)


def test_integers_among_the_outputs_have_no_gradient():
    forward = tapped_functions({"hidden": jnp.square, "head": lambda x: (x, jnp.argmax(x))}, "hidden")
    grads = layer_grads(forward, lambda outputs: outputs[0][outputs[1]], jnp.array([1.0, 3.0, 2.0]))
    np.testing.assert_array_equal(grads.gradients["hidden"], [0.0, 1.0, 0.0])
