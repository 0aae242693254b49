"""``explain``: what the pure functions give, in one program; several methods and layers; chosen targets."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from gradcam_jax.attribution.maps import gradient_times_input
from gradcam_jax.zoo import load
from tests.comparison import assert_close, kaiming_variables, random_images
from tests.models.flax_models import Tutorial, WithBatchNorm
from tests.models.guided import guided_gradient
from tests.models.small_vgg import small_vgg

LAYER = "relu3_1"
METHODS = {"grad_cam": gc.grad_cam, "counterfactual": gc.counterfactual_grad_cam, "hirescam": gradient_times_input}


def forward_at(*layers):
    return gc.tapped(*small_vgg(), layers or LAYER)


def photos(count=1, seed=1):
    return jnp.asarray(random_images(count, 32, seed=seed))


def heatmap(cam):
    return gc.resize_corner_aligned(jax.nn.relu(cam), (32, 32))


def test_every_part_is_what_the_pure_functions_give():
    model, variables = small_vgg()
    images = photos()
    explanation = gc.explain(forward_at(), images, jnp.array([[5, 2]]), guided=True)
    fine = gc.guided_grad_cam(heatmap(explanation.cam), explanation.guided_backprop)
    for index, label in enumerate([5, 2]):
        outputs, activations, gradients = gc.layer_grads(forward_at(), lambda y, label=label: y[label], images[0])
        cam = gc.grad_cam(activations[LAYER], gradients[LAYER], rectify=False)
        pixels = guided_gradient(model, variables, lambda y, label=label: y[label], images[0])
        assert_close(explanation.outputs[0], outputs, 1e-6)
        assert_close(explanation.scores[0, index], outputs[label], 1e-6)
        assert_close(explanation.cam[0, index], cam, 2e-6)
        assert_close(heatmap(explanation.cam)[0, index], heatmap(cam), 2e-6)
        assert_close(explanation.guided_backprop[0, index], pixels, 2e-6)
        assert_close(fine[0, index], gc.guided_grad_cam(heatmap(cam), pixels), 2e-6)
    np.testing.assert_array_equal(explanation.targets, [[5, 2]])


def test_the_counterfactual_is_the_negated_map():
    images, labels = photos(), jnp.array([[1]])
    usual = gc.explain(forward_at(), images, labels).cam
    counter = gc.explain(forward_at(), images, labels, method=gc.counterfactual_grad_cam).cam
    assert_close(counter, -usual, 1e-6)
    both = jnp.minimum(heatmap(usual), heatmap(counter))
    assert float(both.max()) < float(heatmap(usual).max()) * 0.5


def test_grad_cam_equals_cam_where_the_head_is_linear():
    loaded = load("efficientnet_lite0")
    layer = loaded.entry.layer
    forward = gc.tapped(loaded.model, loaded.variables, layer)
    image = jnp.asarray(random_images(1, 64)[0])
    cam = gc.explain(forward, image[jnp.newaxis], jnp.array([[281]])).cam[0, 0]
    activations = jax.jit(lambda forward, image: forward({}, image)[1][layer])(forward, image)
    positions = activations.shape[0] * activations.shape[1]
    weights = loaded.variables["params"]["classifier"]["kernel"][:, 281]
    assert_close(cam, np.einsum("hwk,k->hw", activations, weights) / positions, 1e-6)


def test_explaining_differs_between_classes():
    cams = gc.explain(forward_at(), photos(), jnp.array([[0, 1]])).cam[0]
    assert float(jnp.abs(cams[0] - cams[1]).max()) > 1e-3


def test_a_new_class_or_photo_compiles_nothing():
    traces = 0

    @jax.jit
    def run(forward, images, labels):
        nonlocal traces
        traces += 1
        return gc.explain(forward, images, labels).cam

    for seed, labels in ((1, [[0, 1]]), (2, [[3, 4]]), (3, [[6, 6]])):
        run(forward_at(), photos(seed=seed), jnp.array(labels))
    assert traces == 1
    run(forward_at(), photos(), jnp.array([[1, 2, 3]]))
    assert traces == 2


@pytest.mark.parametrize("guided", [False, True])
def test_called_as_it_is_it_compiles_once_a_shape(guided):
    """Weights, photos and classes from numpy: what a caller has who thinks of no compiler."""
    model, variables = small_vgg()
    traces = 0

    def counted(logits, label):
        nonlocal traces
        traces += 1
        return gc.class_score(logits, label)

    def run(count, labels, seed):
        forward = gc.tapped(model, kaiming_variables(variables, seed), LAYER)
        labels = np.broadcast_to(np.array(labels), (count, len(labels)))
        return gc.explain(forward, random_images(count, 32, seed=seed), labels, score=counted, guided=guided)

    run(2, [0, 1], seed=1)
    once = traces
    assert once > 0
    for seed, labels in ((2, [3, 4]), (3, [6, 6])):
        run(2, labels, seed)
    assert traces == once
    run(3, [0, 1], seed=1)
    run(2, [0, 1, 2], seed=1)
    assert once < traces <= 3 * once


def test_eager_jitted_and_vmapped_agree():
    images, labels = photos(3), jnp.array([[0, 1], [2, 3], [4, 5]])
    eager = gc.explain(forward_at(), images, labels, guided=True)

    @jax.jit
    def jitted(forward, images, labels):
        return gc.explain(forward, images, labels, guided=True)

    def one(image, labels):
        return jax.tree.map(lambda leaf: leaf[0], gc.explain(forward_at(), image[None], labels[None], guided=True))

    for other in (jitted(forward_at(), images, labels), jax.vmap(one)(images, labels)):
        for ours, theirs in zip(jax.tree.leaves(other), jax.tree.leaves(eager), strict=True):
            assert_close(ours, theirs, 5e-6)


def assert_same(explanation, expected):
    for ours, theirs in zip(jax.tree.leaves(explanation), jax.tree.leaves(expected), strict=True):
        assert_close(ours, theirs, 2e-6)


def test_several_methods_equal_separate_calls():
    images, labels = photos(2), jnp.array([[0, 1], [2, 3]])
    together = gc.explain(forward_at(), images, labels, method=METHODS)
    assert list(together.cam) == list(METHODS)
    for name, method in METHODS.items():
        alone = gc.explain(forward_at(), images, labels, method=method)
        assert_same(together._replace(cam=together.cam[name]), alone)


@pytest.mark.parametrize(
    "layers", [("relu2_1", "relu3_1"), ("pool3", "conv1_1", "relu2_1"), ("relu3_1:0", "relu2_1")]
)
def test_several_layers_equal_separate_calls(layers):
    images, labels = photos(2), jnp.array([[0, 1], [2, 3]])
    together = gc.explain(forward_at(*layers), images, labels, guided=True)
    assert list(together.cam) == list(layers)
    for layer in layers:
        alone = gc.explain(forward_at(layer), images, labels, guided=True)
        assert_same(together._replace(cam=together.cam[layer]), alone)
        assert float(jnp.abs(alone.cam).max()) > 1e-4


def test_several_methods_at_several_layers():
    images, labels, layers = photos(2), jnp.array([[0], [2]]), ("relu3_1", "relu2_1")
    together = gc.explain(forward_at(*layers), images, labels, method=METHODS)
    for layer in layers:
        for name, method in METHODS.items():
            alone = gc.explain(forward_at(layer), images, labels, method=method)
            assert_close(together.cam[layer][name], alone.cam, 2e-6)


@pytest.mark.parametrize("guided", [False, True])
def test_targets_chosen_from_the_outputs_equal_targets_given(guided):
    images = photos(3)
    chosen = gc.explain(forward_at(), images, gc.top_k(3), guided=guided)
    labels = jax.lax.top_k(chosen.outputs, 3)[1]
    np.testing.assert_array_equal(chosen.targets, labels)
    assert_same(chosen, gc.explain(forward_at(), images, labels, guided=guided))
    assert len(set(map(tuple, np.asarray(labels).tolist()))) > 1


def test_all_classes_equal_each_class():
    images = photos(2)
    every = gc.explain(forward_at(), images, gc.all_classes)
    assert every.cam.shape == (2, 7, 8, 8)
    assert_close(every.scores, every.outputs, 1e-6)
    for label in range(7):
        alone = gc.explain(forward_at(), images, jnp.full((2, 1), label))
        assert_close(every.cam[:, label], alone.cam[:, 0], 2e-6)


def test_targets_may_be_a_tree_and_have_a_score_of_their_own():
    images = photos(2)
    weights = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 7)), jnp.float32)

    def difference(logits, target):
        return jnp.sum(target["weights"] * logits) - target["offset"]

    targets = {"weights": weights, "offset": jnp.ones((2, 3))}
    explanation = gc.explain(forward_at(), images, targets, score=difference)
    every = gc.explain(forward_at(), images, gc.all_classes)
    assert_close(explanation.cam, jnp.einsum("ntc,nchw->nthw", weights, every.cam, precision="highest"), 5e-6)
    assert_close(
        explanation.scores, jnp.einsum("ntc,nc->nt", weights, every.outputs, precision="highest") - 1, 5e-6
    )


def test_guided_gradients_of_some_of_the_targets():
    images, labels = photos(2), jnp.array([[0, 1, 4], [2, 3, 5]])
    every = gc.explain(forward_at(), images, labels, guided=True).guided_backprop
    some = gc.explain(forward_at(), images, labels, guided=True, guided_targets=slice(1, None)).guided_backprop
    assert some.shape == (2, 2, 32, 32, 3)
    assert_close(some, every[:, 1:], 2e-6)


def test_a_negative_class_stands_for_no_target():
    explanation = gc.explain(forward_at(), photos(), jnp.array([[-1, 3]]), guided=True)
    assert float(jnp.abs(explanation.cam[0, 0]).max()) == float(explanation.scores[0, 0]) == 0
    assert float(jnp.abs(explanation.guided_backprop[0, 0]).max()) == 0
    assert float(jnp.abs(explanation.cam[0, 1]).max()) > 0


def test_flaxs_tutorial_works_as_it_is():
    model, images = Tutorial(), jnp.asarray(random_images(2, 16))
    with jax.numpy_dtype_promotion("standard"):  # Flax's average pooling mixes types
        variables = kaiming_variables(jax.eval_shape(model.init, jax.random.key(0), images))
        forward = gc.tapped(model, variables, "conv2")
        explanation = gc.explain(forward, images, jnp.array([[3, 1], [0, 6]]))
        assert_close(explanation.outputs, model.apply(variables, images), 1e-6)
        _, activations, gradients = gc.layer_grads(forward, lambda y: y[6], images[1])
        cam = gc.grad_cam(activations["conv2"], gradients["conv2"], rectify=False)
        assert_close(explanation.cam[1, 1], cam, 2e-6)
        pixels = gc.explain(forward, images, jnp.array([[3], [0]]), guided=True).guided_backprop

        def by_hand(image):
            params, relu = variables["params"], gc.guided(jax.nn.relu)
            x = image[jnp.newaxis]
            for name, features in (("conv1", 4), ("conv2", 6)):
                x = relu(nn.Conv(features, (3, 3)).apply({"params": params[name]}, x))
                x = nn.avg_pool(x, window_shape=(2, 2), strides=(2, 2))
            x = relu(x.reshape(-1) @ params["hidden"]["kernel"] + params["hidden"]["bias"])
            return (x @ params["logits"]["kernel"] + params["logits"]["bias"])[3]

        assert_close(pixels[0, 0], jax.grad(by_hand)(images[0]), 1e-6)


def test_a_required_train_argument_with_batch_statistics_and_dropout():
    model, images = WithBatchNorm(), jnp.asarray(random_images(3, 16))
    variables = kaiming_variables(jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images))
    variables["batch_stats"] = jax.tree.map(lambda leaf: np.abs(leaf) + 1, variables["batch_stats"])
    explanation = gc.explain(gc.tapped(model, variables, "last", train=False), images, gc.top_k(2))
    assert_close(explanation.outputs, model.apply(variables, images, train=False), 1e-6)
    for index in range(3):
        label = int(explanation.targets[index, 1])
        weights = variables["params"]["logits"]["kernel"][:, label]
        _, captured = model.apply(variables, images, False, capture_intermediates=True, mutable=["intermediates"])
        last = captured["intermediates"]["last"]["__call__"][0][index]
        alpha = jnp.mean(jnp.where(last > 0, weights.reshape(1, 1, -1), 0.0), axis=(0, 1)) / 64
        assert_close(explanation.cam[index, 1], jnp.einsum("hwk,k->hw", last, alpha, precision="highest"), 5e-6)


def test_a_model_of_one_example():
    model, variables = small_vgg()
    images, labels = photos(2), jnp.array([[0, 1], [2, 3]])
    forward = gc.tapped(model, variables, LAYER, batch_axis=False)  # the models here take any leading axes
    assert_same(
        gc.explain(forward, images, labels, guided=True), gc.explain(forward_at(), images, labels, guided=True)
    )


def test_a_guided_twin_may_be_given():
    class Inline(nn.Module):
        activation: object = nn.relu

        @nn.compact
        def __call__(self, x):
            x = self.activation(nn.Conv(4, (3, 3), name="conv")(x))
            return nn.Dense(3)(self.activation(x.mean((1, 2))))

    images = jnp.asarray(random_images(2, 8))
    variables = Inline().init(jax.random.key(0), images)
    twin = Inline(activation=gc.guided(nn.relu))
    explanation = gc.explain(
        gc.tapped(Inline(), variables, "conv"), images, gc.top_k(1), guided=gc.tapped(twin, variables)
    )
    found = gc.explain(gc.tapped(Inline(), variables, "conv"), images, gc.top_k(1), guided=True)
    assert_close(explanation.guided_backprop, found.guided_backprop, 1e-6)
    label = int(explanation.targets[1, 0])
    pixels = jax.grad(lambda image: twin.apply(variables, image[jnp.newaxis])[0, label])(images[1])
    assert_close(explanation.guided_backprop[1, 0], pixels, 2e-6)
