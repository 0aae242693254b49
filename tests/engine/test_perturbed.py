"""Maps by evaluations: against plain loops over channels, windows and masks, in any layout, by jit and vmap."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from gradcam_jax.attribution.channel_perturbation import ablation_weights, in_chunks, score_weights
from gradcam_jax.attribution.image_perturbation import occlusion_map, rise_map
from tests.comparison import assert_close, random_images
from tests.models.small_vgg import small_vgg

LABELS = jnp.array([[0, 1], [6, 5]])
KEY = jax.random.key(3)
# Verb -> options of a small computation.
VERBS = {
    "ablation_cam": functools.partial(gc.ablation_cam, chunk_size=3),
    "score_cam": functools.partial(gc.score_cam, chunk_size=3),
    "occlusion": functools.partial(gc.occlusion, window=(12, 8), stride=(8, 8), chunk_size=5),
    "rise": functools.partial(gc.rise, key=KEY, masks=10, cells=4, chunk_size=4),
    "smooth_grad_cam": functools.partial(gc.smooth_grad_cam, key=KEY, samples=2),
    "augmented_cam": gc.augmented_cam,
}


@pytest.fixture(scope="module")
def forward():
    return gc.tapped(*small_vgg(), "relu3_1")


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(random_images(2, 32))


@pytest.mark.parametrize("name", VERBS)
class TestEveryVerb:
    """What a verb inherits."""

    def test_it_explains_what_explain_explains(self, name, forward, images):
        plain, explanation = gc.explain(forward, images, LABELS), VERBS[name](forward, images, LABELS)
        assert_close(explanation.outputs, plain.outputs, 5e-6)
        if name != "rise":  # whose scores are probabilities
            assert_close(explanation.scores, plain.scores, 5e-6)
        np.testing.assert_array_equal(explanation.targets, LABELS)
        assert explanation.cam.shape[:2] == (2, 2)
        assert explanation.cam.dtype == jnp.float32
        assert np.isfinite(explanation.cam).all()
        assert explanation.guided_backprop is None

    def test_a_target_alone_has_the_same_map(self, name, forward, images):
        together = VERBS[name](forward, images, LABELS)
        alone = VERBS[name](forward, images, LABELS[:, 1:])
        assert_close(alone.cam[:, 0], together.cam[:, 1], 2e-5)

    def test_targets_from_the_outputs_and_the_callers_jit(self, name, forward, images):
        run = jax.jit(lambda forward, images: VERBS[name](forward, images, gc.top_k(1)))
        explanation = run(forward, images)
        chosen = VERBS[name](forward, images, explanation.targets)
        assert_close(explanation.cam, chosen.cam, 2e-5)

    def test_the_callers_vmap(self, name, forward, images):
        batches = jnp.stack([images, images[::-1]])
        together = jax.vmap(lambda images: VERBS[name](forward, images, LABELS).cam)(batches)
        assert_close(together[1], VERBS[name](forward, batches[1], LABELS).cam, 2e-5)

    def test_traps_are_errors(self, name, forward, images):
        with pytest.raises(gc.InputError, match="float images"):
            VERBS[name](forward, jnp.zeros((2, 32, 32, 3), jnp.uint8), LABELS)
        with pytest.raises(gc.InputError, match="leading axes"):
            VERBS[name](forward, images, LABELS[:1])
        if name not in ("occlusion", "rise"):
            with pytest.raises(gc.InputError, match="tapped at the layer"):
                VERBS[name](forward.at(()), images, LABELS)

    def test_a_class_past_the_outputs_is_an_error(self, name, forward, images):
        with pytest.raises(gc.InputError, match="class indices under 7"):
            VERBS[name](forward, images, LABELS + 1)


def test_ablation_by_a_loop(forward, images):
    explanation = gc.ablation_cam(forward, images, LABELS)
    head = forward.at(()).resumed("relu3_1")
    outputs, activations = forward({}, images[0])
    activation = activations["relu3_1"]
    for place, label in enumerate(LABELS[0]):
        weights = [
            (outputs[label] - head({}, activation.at[..., k].set(0), images[0])[0][label]) / abs(outputs[label])
            for k in range(activation.shape[-1])
        ]
        assert_close(explanation.cam[0, place], activation @ jnp.stack(weights), 2e-5)


def test_ablation_keeps_the_sign_of_a_negative_score():
    activation = jnp.array([[[1.0, 2.0]]])
    for sign in (1, -1):  # the score is 7, or -1
        kernel = jnp.array([[[[3.0, 2.0 * sign]]]])
        weights = ablation_weights(
            lambda x, kernel=kernel: jnp.sum(x * kernel, axis=(1, 2, 3))[:, None], activation
        )
        assert_close(weights, np.array([[3, 4 * sign]]) / abs(3 + 4 * sign), 1e-6)


def test_a_score_of_zero_has_no_ablation_weights():
    weights = ablation_weights(lambda stack: jnp.zeros((len(stack), 2)), jnp.ones((2, 2, 3)))
    np.testing.assert_array_equal(weights, np.zeros((2, 3)))


@pytest.mark.parametrize("layout", [gc.channels_first, gc.token_grid(1, (2, 3))])
def test_ablation_in_other_layouts(layout):
    generator = np.random.default_rng(0)
    shape = (5, 2, 3) if layout is gc.channels_first else (7, 5)
    activation = jnp.asarray(generator.standard_normal(shape), jnp.float32)
    kernel = jnp.asarray(generator.standard_normal(shape), jnp.float32)
    weights = ablation_weights(
        lambda stack: jnp.sum(stack * kernel[None], axis=tuple(range(1, stack.ndim)))[:, None],
        activation,
        layout=layout,
    )
    products = layout(activation * kernel).reshape(-1, 5).sum(0)
    assert_close(weights[0], products / abs(jnp.sum(activation * kernel)), 1e-5)


def test_score_cam_by_a_loop(forward, images):
    explanation = gc.score_cam(forward, images, LABELS)
    activation = forward({}, images[1])[1]["relu3_1"]
    scores = []
    for k in range(activation.shape[-1]):
        mask = gc.resize_corner_aligned(activation[..., k], (32, 32))
        mask = (mask - mask.min()) / (mask.max() - mask.min() + 1e-8)
        scores.append(forward({}, images[1] * mask[..., None])[0])
    weights = jax.nn.softmax(jnp.stack(scores), axis=0)[:, LABELS[1]]
    assert_close(explanation.cam[1], jnp.einsum("hwk,kt->thw", activation, weights), 2e-5)


def test_a_constant_channel_shows_nothing():
    weights = score_weights(lambda x: x[:, 0, 0, :1], jnp.ones((4, 4, 3)), jnp.ones((2, 2, 2)))
    np.testing.assert_array_equal(weights, [[0.5, 0.5]])
    with pytest.raises(ValueError, match="the image's axes"):
        score_weights(lambda x: x[:, 0, 0], jnp.ones((4, 4, 3)), jnp.ones((7, 2)))


def test_occlusion_by_a_loop(forward, images):
    options = {"window": (12, 8), "stride": (8, 6), "fill": 0.5}
    explanation = gc.occlusion(forward, images, LABELS, **options)
    image, losses, counts = np.asarray(images[0]), np.zeros((32, 32)), np.zeros((32, 32))
    for top in range(0, 32 - 12 + 8, 8):
        for left in range(0, 32 - 8 + 6, 6):
            part = slice(top, top + 12), slice(left, left + 8)
            hidden = image.copy()
            hidden[part] = 0.5
            losses[part] += float(forward({}, images[0])[0][1] - forward({}, jnp.asarray(hidden))[0][1])
            counts[part] += 1
    assert counts.min() > 0
    assert_close(explanation.cam[0, 1], losses / counts, 2e-5)
    without_a_layer = gc.occlusion(forward.at(()), images, LABELS, **options)
    assert_close(without_a_layer.cam, explanation.cam, 2e-5)


def test_occlusion_of_a_signal_and_of_wrong_windows():
    signal = jnp.array([[1.0], [2.0], [4.0], [8.0]])
    losses = occlusion_map(lambda x: jnp.sum(x, axis=(1, 2))[:, None], signal, window=(3,), stride=(2,))
    assert_close(losses, [[7, 7, (7 + 12) / 2, 12]], 1e-6)
    # Where no window comes it is 0.
    holes = occlusion_map(lambda x: jnp.sum(x, axis=(1, 2))[:, None], signal, window=(1,), stride=(2,))
    assert_close(holes, [[1, 0, 4, 0]], 1e-6)
    with pytest.raises(ValueError, match="a window and a stride"):
        occlusion_map(lambda x: x[:, 0], signal, window=(3, 3), stride=(2, 2))


def test_rise_finds_the_position_that_counts():
    image = jnp.ones((28, 28, 3))
    maps = rise_map(lambda x: x[:, 5:9, 20:24].mean((1, 2)), image, KEY, masks=400, chunk_size=64)
    top = np.unravel_index(np.argmax(maps[0]), (28, 28))
    assert abs(top[0] - 7) <= 3
    assert abs(top[1] - 22) <= 3
    # Of a score that is always 1 the map is the mean mask over its share: 1 everywhere, nearly.
    constant = rise_map(lambda x: jnp.ones((len(x), 1)), image, KEY, masks=400, chunk_size=64)
    assert abs(float(constant.mean()) - 1) < 0.03
    # The masks are the same however many are drawn at once.
    chunks = [rise_map(lambda x: x[:, 3, 3], image, KEY, masks=10, chunk_size=size) for size in (3, 10, 99)]
    for other in chunks[1:]:
        assert_close(other, chunks[0], 1e-5)
    with pytest.raises(ValueError, match="masks and cells"):
        rise_map(lambda x: x[:, 0, 0], image, KEY, masks=0)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_chunks_hold_everything_once(size):
    values = jnp.arange(14).reshape(7, 2)
    np.testing.assert_array_equal(in_chunks(lambda stack: stack + 1, values, size), values + 1)


def test_chunks_bound_the_memory():
    values = jax.ShapeDtypeStruct((64,), jnp.float32)

    def needed(size):
        def run(values):
            return in_chunks(
                lambda some: jnp.sin(some[:, None] * jnp.ones((1, 100_000))) @ jnp.ones(100_000), values, size
            )

        return jax.jit(run).lower(values).compile().memory_analysis().temp_size_in_bytes

    assert needed(4) < needed(64) / 4


def test_smoothed_and_augmented_maps_are_means(forward, images):
    plain = gc.explain(forward, images, LABELS)
    assert_close(gc.smooth_grad_cam(forward, images, LABELS, key=KEY, noise=0.0).cam, plain.cam, 1e-5)
    smoothed = gc.smooth_grad_cam(forward, images, LABELS, key=KEY, samples=2)
    assert np.abs(smoothed.cam - plain.cam).max() > 1e-3 * np.abs(plain.cam).max()
    mirrored = gc.explain(forward, images[:, :, ::-1], LABELS).cam[..., ::-1]
    augmented = gc.augmented_cam(forward, images, LABELS, factors=(1.0,))
    assert_close(augmented.cam, (plain.cam + mirrored) / 2, 1e-5)
    methods = {"grad_cam": gc.grad_cam, "layer_cam": gc.layer_cam}
    several = gc.augmented_cam(forward.at(("relu2_1", "relu3_1")), images, LABELS, method=methods, factors=(1.0,))
    assert_close(several.cam["relu3_1"]["grad_cam"], augmented.cam, 1e-5)
    fused = gc.fuse_maps([cams["layer_cam"] for cams in several.cam.values()], (32, 32))
    assert fused.shape == (2, 2, 32, 32)
    with pytest.raises(gc.InputError, match="1 sample or more"):
        gc.smooth_grad_cam(forward, images, LABELS, key=KEY, samples=0)
    with pytest.raises(gc.InputError, match="at least one factor"):
        gc.augmented_cam(forward, images, LABELS, factors=())


def test_finer_cam_is_grad_cam_of_a_difference(forward, images):
    found = gc.explain(forward, images, LABELS, score=gc.finer_score)
    logits = np.asarray(found.outputs[0], np.float64)
    nearest = np.argsort(np.abs(logits - logits[1]))[1:4]
    shares = np.exp(logits)[nearest] / np.exp(logits)[nearest].sum()
    assert_close(found.scores[0, 1], (shares * (logits[1] - logits[nearest])).sum(), 1e-4)
    none = functools.partial(gc.finer_score, strength=0.0)
    assert_close(
        gc.explain(forward, images, LABELS, score=none).scores, gc.explain(forward, images, LABELS).scores
    )


class Signal(nn.Module):
    """A classifier of signals or volumes."""

    axes: int

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(4, (3,) * self.axes, name="conv")(x))
        return nn.Dense(3)(x.reshape((x.shape[0], -1)))


@pytest.mark.parametrize("extent", [(9,), (3, 4, 5)])
def test_signals_and_volumes(extent):
    model = Signal(len(extent))
    batch = jnp.asarray(np.random.default_rng(0).standard_normal((2, *extent, 2)), jnp.float32)
    forward = gc.tapped(model, jax.jit(model.init)(jax.random.key(0), batch), "conv.relu")
    labels = jnp.array([[0], [2]])
    for verb in (gc.ablation_cam, gc.score_cam):
        assert verb(forward, batch, labels).cam.shape == (2, 1, *extent)
    occluded = gc.occlusion(forward, batch, labels, window=(2,) * len(extent), stride=(2,) * len(extent))
    assert occluded.cam.shape == (2, 1, *extent)
    assert gc.rise(forward, batch, labels, key=KEY, masks=4, cells=2).cam.shape == (2, 1, *extent)
    assert gc.smooth_grad_cam(forward, batch, labels, key=KEY, samples=2).cam.shape == (2, 1, *extent)


def test_a_path_around_the_layer_is_evaluated():
    """Ablation is exact where the head sees the image too."""

    class Bypass(nn.Module):
        @nn.compact
        def __call__(self, x):
            stem = nn.relu(nn.Conv(4, (3, 3), name="stem")(x))
            return nn.Dense(3)((stem + nn.relu(nn.Conv(4, (3, 3), name="inner")(stem))).mean((1, 2)))

    images = jnp.asarray(random_images(1, 8))
    model = Bypass()
    forward = gc.tapped(model, jax.jit(model.init)(jax.random.key(0), images), "inner.relu")
    cam = gc.ablation_cam(forward, images, jnp.array([[1]])).cam[0, 0]
    _, activations, gradients = gc.layer_grads(forward, lambda logits: logits[1], images[0])
    # All that follows is linear, so a channel's loss is its sum of gradient times activation.
    logit = forward({}, images[0])[0][1]
    losses = jnp.sum(activations["inner.relu"] * gradients["inner.relu"], axis=(0, 1))
    assert_close(cam, activations["inner.relu"] @ (losses / abs(logit)), 2e-5)
