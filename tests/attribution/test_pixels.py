"""Input gradients, guided backpropagation and their product with a map."""

import jax
import jax.numpy as jnp
import pytest

from gradcam_jax import guided, guided_grad_cam, input_grad, tapped
from tests.comparison import assert_close, random_images
from tests.models.small_vgg import small_vgg


def test_input_grad_equals_autodiff_of_the_plain_model():
    model, variables = small_vgg()
    image = jnp.asarray(random_images(1, 32)[0])
    expected = jax.grad(lambda x: model.apply(variables, x)[3])(image)
    assert_close(input_grad(tapped(model, variables, "relu3_1"), lambda y: y[3], image), expected, 1e-6)


def test_the_guided_rule_leaves_the_model_alone_and_guides_the_dense_relus_too():
    model, variables = small_vgg()
    image = jnp.asarray(random_images(1, 32)[0])

    def gradient(forward):
        return input_grad(forward, lambda y: y[3], image)

    forward = tapped(model, variables, ())
    before = gradient(forward)
    everywhere = gradient(forward.with_relu_rule(guided))
    assert_close(gradient(forward), before, 0)
    stages = model.stages(variables)

    def guided_by_hand(x, kinds):
        for name, stage in stages.items():
            x = guided(jax.nn.relu)(x) if name.startswith(kinds) else stage(x)
        return x

    assert_close(everywhere, jax.grad(lambda x: guided_by_hand(x, "relu")[3])(image), 1e-6)
    convolutions_only = jax.grad(lambda x: guided_by_hand(x, ("relu1", "relu2", "relu3"))[3])(image)
    assert float(jnp.abs(everywhere - convolutions_only).max()) > 1e-3 * float(jnp.abs(everywhere).max())


def test_a_map_of_another_size_is_an_error():
    with pytest.raises(ValueError, match="resolution"):
        guided_grad_cam(jnp.ones((4, 4)), jnp.ones((8, 8, 3)))
