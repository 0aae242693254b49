"""SmoothGrad by hand: functions whose smoothed gradient is known, and one noisy copy after the other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from tests.comparison import assert_close, random_images
from tests.models.small_vgg import small_vgg

KEY, WIDTH = jax.random.key(3), 4000
IMAGE = jnp.linspace(-1.0, 3.0, WIDTH)  # its range is 4


def smoothed(power, **options):
    forward = gc.tapped_functions({"power": lambda x: (x**power).sum()[jnp.newaxis]}, ())
    return gc.smooth_grad(forward, lambda y: y[0], IMAGE, key=KEY, **options)


def test_a_line_is_as_it_was_and_a_parabola_on_average():
    assert_close(smoothed(1, samples=3), jnp.ones(WIDTH), 1e-6)
    # 2 (x + e): the mean of n draws with the standard deviation 0.15 times the range.
    error = (smoothed(2, samples=9) - 2 * IMAGE) / 2
    assert float(error.std()) == pytest.approx(0.15 * 4 / 3, rel=0.05)
    assert abs(float(error.mean())) < 4 * 0.15 * 4 / 3 / WIDTH**0.5


def test_a_cubes_gradient_grows_by_the_noises_variance():
    # 3 E[(x + e)^2] = 3 x^2 + 3 s^2: what smoothing adds where a function is bent.
    excess = smoothed(3, samples=50, noise=0.1) - 3 * IMAGE**2
    assert float(excess.mean()) == pytest.approx(3 * 0.4**2, rel=0.05)


@pytest.mark.parametrize("chunk_size", [1, 4, 5])
def test_it_is_the_mean_of_the_noisy_copies_gradients(chunk_size):
    model, variables = small_vgg()
    forward, image = gc.tapped(model, variables, "relu3_1"), jnp.asarray(random_images(1, 32)[0])
    found = gc.smooth_grad(forward, lambda y: y[1], image, key=KEY, samples=5, chunk_size=chunk_size)
    deviation = 0.15 * (image.max() - image.min())
    copies = [image + deviation * jax.random.normal(key, image.shape) for key in jax.random.split(KEY, 5)]
    gradient = jax.jit(jax.grad(lambda x: model.apply(variables, x[jnp.newaxis])[0, 1]))
    assert_close(found, np.mean([gradient(copy) for copy in copies], axis=0), 1e-5)
