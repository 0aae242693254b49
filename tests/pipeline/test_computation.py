"""The one compiled function of a run: what it computes of each image, on how many devices, in which types."""

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.attribution.gradients import layer_grads
from gradcam_jax.attribution.maps import grad_cam
from gradcam_jax.attribution.pixels import guided_grad_cam, input_grad
from gradcam_jax.attribution.relu_rules import guided
from gradcam_jax.attribution.resize import resize_corner_aligned
from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.engine.prepared import prepared
from gradcam_jax.errors import InputError
from gradcam_jax.images.preprocessing import CAFFE_ALEXNET, as_integers, to_network, to_rgb
from gradcam_jax.interception.linen import tapped
from gradcam_jax.models.efficientnet_lite import EfficientNetLite, Stage
from gradcam_jax.pipeline import Computation, device_function, fitting_batch_size
from gradcam_jax.pipeline.computation import image_dtype
from gradcam_jax.tasks.indices import NOTHING, guided_parts
from gradcam_jax.tasks.methods import parse_methods
from gradcam_jax.tasks.task import explain_photos
from gradcam_jax.zoo import example_inputs
from tests.comparison import assert_close, kaiming_variables
from tests.pipeline.small_task import ENTRY, LAYER, SIZE, build, small_task

COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")
GUIDED = ("guided_backprop", "guided_grad_cam")
PIXELS = Computation(parse_methods("guided_backprop, guided_grad_cam"), guided_dtype="float32")
BACKPROP = Computation(parse_methods("guided_backprop"), guided_dtype="float32")
BFLOAT16 = Computation(dtype="bfloat16")


def random_bytes(count):
    return np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def stacked(task, requests):
    arrays = [task.encode(request) for request in requests]
    return {name: np.stack([one[name] for one in arrays]) for name in arrays[0]}


def run(task, images, requests, computation=Computation()):  # noqa: B008 - a tuple
    function = device_function(task, jax.devices(), computation)
    return jax.device_get(function(*function.put(images, stacked(task, requests))))


@jax.jit
def alone(forward, image, target):
    """Returns logits, score, map and guided gradient of one target, one gradient at a time."""
    score = lambda logits: logits[target]  # noqa: E731
    grads = layer_grads(forward, score, image)
    (layer,) = forward.layers
    cam = grad_cam(grads.activations[layer], grads.gradients[layer], rectify=False)
    pixels = input_grad(forward.at(()).with_relu_rule(guided), score, image)
    return grads.outputs, score(grads.outputs), cam, pixels


def test_a_batch_gives_what_each_image_gives_alone():
    task = small_task(top_k=2, max_targets=3)
    images = random_bytes(3)
    results = run(task, images, [{}, {"label": "243,-1"}, {}], PIXELS)
    assert results["targets"][1].tolist() == [242, *results["top"][1, :2]]
    np.testing.assert_array_equal(results["targets"][[0, 2], :2], results["top"][[0, 2], :2])
    assert results["targets"][[0, 2], 2].tolist() == [NOTHING, NOTHING]
    np.testing.assert_array_equal(results["prediction"], results["top"][:, 0])
    for row, image in enumerate(images):
        network = to_network(image.astype(np.float32) / 255, ENTRY.preprocessing)
        for place, target in enumerate(results["targets"][row]):
            if target == NOTHING:
                continue
            logits, score, cam, pixels = alone(task.forward, network, target)
            probabilities = jax.nn.softmax(logits)
            assert_close(results["cam"][row, place], cam)
            assert_close(results["scores"][row, place], score)
            assert_close(results["guided_backprop"][row, place], pixels)
            heatmap = resize_corner_aligned(jax.nn.relu(cam), (SIZE, SIZE))
            assert_close(results["guided_grad_cam"][row, place], guided_grad_cam(heatmap, pixels))
            assert_close(results["probabilities"][row, place], probabilities[target])
            assert results["ranks"][row, place] == np.sum(np.asarray(logits) > logits[target])
        assert results["prediction"][row] == logits.argmax()
        assert_close(results["probability"][row], probabilities.max())
        assert_close(results["top_probabilities"][row], np.sort(probabilities)[::-1][:5])


def test_gradients_come_back_in_the_photos_order_of_channels():
    preprocessing = CAFFE_ALEXNET._replace(size=SIZE)
    task = small_task(ENTRY._replace(preprocessing=preprocessing))
    image = random_bytes(1)[0].astype(np.float32) / 255
    results = run(task, image[np.newaxis], [{}], BACKPROP)
    _, _, _, pixels = alone(task.forward, to_network(image, preprocessing), results["targets"][0, 0])
    assert_close(results["guided_backprop"][0, 0], to_rgb(pixels, preprocessing))


def test_what_passes_the_layer_by_is_guided_too():
    # Inside a residual block the head sees more than the mapped layer.
    net = EfficientNetLite(stages=(Stage(1, 3, 1, 1, 16), Stage(2, 3, 2, 6, 24)), classes=5)
    variables = jax.jit(net.init)(jax.random.key(0), jnp.zeros((SIZE, SIZE, 3)))
    layer, images = "block3/expand_relu", random_bytes(2)
    task = small_task(ENTRY._replace(build=lambda: net, layer=layer), variables, top_k=2)
    results = run(task, images, [{}, {}], BACKPROP)
    forward = tapped(net, variables, layer)
    for row, image in enumerate(images):
        network = to_network(image.astype(np.float32) / 255, ENTRY.preprocessing)
        for place in range(2):
            _, _, cam, pixels = alone(forward, network, results["targets"][row, place])
            assert_close(results["cam"][row, place], cam)
            assert_close(results["guided_backprop"][row, place], pixels)


def test_many_classes_of_a_photo_have_the_maps_that_each_has_alone():
    # From four on, the head is summed beforehand.
    task = small_task(label="boxer, tabby, -1", top_k=3, max_targets=6)
    images = random_bytes(2)
    results = run(task, images, [{}, {}])
    for row, image in enumerate(images):
        network = to_network(image.astype(np.float32) / 255, ENTRY.preprocessing)
        assert results["targets"][row].tolist() == [242, 281, *results["top"][row, :3], NOTHING]
        for place, target in enumerate(results["targets"][row, :5]):
            _, score, cam, _ = alone(task.forward, network, target)
            assert_close(results["cam"][row, place], cam)
            assert_close(results["scores"][row, place], score)
        assert not results["cam"][row, 5].any()


def test_fewer_labels_than_places_leave_places_empty():
    task = small_task(top_k=3, max_targets=3)
    results = run(task, random_bytes(1), [{"label": "boxer"}])
    assert results["targets"][0].tolist() == [242, NOTHING, NOTHING]
    assert not results["cam"][0, 1:].any()
    assert results["cam"][0, 0].any()
    description = task.describe({name: array[0] for name, array in results.items()}, {})
    assert [row.title.partition(":")[0] for row in description.rows] == ["boxer"]


def test_a_target_that_stands_twice_is_explained_once():
    task = small_task(max_targets=4)
    (prediction,) = run(task, random_bytes(1), [{}])["prediction"]
    results = run(task, random_bytes(1), [{"label": f"{prediction + 1},boxer,243,-1"}])
    assert results["targets"][0].tolist() == [prediction, 242, NOTHING, NOTHING]
    assert not results["cam"][0, 2:].any()
    assert results["scores"][0, 2:].tolist() == [0, 0]


def test_more_labels_than_places_are_an_error():
    with pytest.raises(InputError, match=r"at most 1 labels a photo, got 2 .* --max_targets 2"):
        small_task(max_targets=1).encode({"label": "boxer, tabby"})
    with pytest.raises(InputError, match=r"at most 1 labels a photo, got 2 .* --max_targets 2"):
        small_task(label="boxer, tabby", max_targets=1)
    with pytest.raises(InputError, match=r"There is no method 'guided_gradcam'\. Nearest: guided_grad_cam"):
        parse_methods("guided_gradcam")


def test_a_trunk_in_bfloat16_keeps_head_gradients_and_maps_in_float32():
    images, task = random_bytes(4), small_task(label="boxer")
    exact, rounded = (run(task, images, [{}] * 4, computation) for computation in (Computation(), BFLOAT16))
    assert rounded["cam"].dtype == np.float32
    assert rounded["scores"].dtype == np.float32
    assert_close(rounded["cam"], exact["cam"], 0.05)  # bfloat16 has 8 bits, so 0.4 % a rounding
    assert np.abs(rounded["cam"] - exact["cam"]).max() > 0
    image = jax.ShapeDtypeStruct((SIZE, SIZE, 3), np.float32)
    program = jax.make_jaxpr(functools.partial(explain_photos, plan=task.plan, methods=("grad_cam",)))(
        prepared(task.forward, image, precision="bfloat16"),
        images[:1],
        {"targets": jnp.zeros((1, 1), jnp.int32)},
    )
    text = str(program)
    convolutions = [line for line in text.splitlines() if "conv_general_dilated" in line and "=" in line]
    assert convolutions
    assert all("bf16[" in line for line in convolutions)
    products = [line for line in text.splitlines() if " = dot_general" in line]
    assert products
    assert all("bf16[" not in line for line in products)


def test_guided_gradients_through_a_trunk_in_bfloat16_are_float32_and_near():
    images, task = random_bytes(2), small_task(label="boxer")
    exact, rounded = (run(task, images, [{}] * 2, PIXELS._replace(dtype=name)) for name in ("float32", "bfloat16"))
    for name in ("guided_backprop", "guided_grad_cam"):
        assert rounded[name].dtype == np.float32
        difference = np.abs(rounded[name] - exact[name])
        # Single pixels jump where rounding turns a rectifier on or off; on the whole they do not.
        assert 0 < difference.mean() < 0.05 * np.abs(exact[name]).mean()


@pytest.mark.parametrize("size", [1.0, 1e-9, 1e7])
def test_guided_gradients_leave_the_device_as_float16_unless_asked_otherwise(size):
    # Logits of any size have gradients of theirs: each target's are scaled by a power of two of its own.
    variables = kaiming_variables(variable_shapes(build(), *example_inputs(ENTRY)))
    variables["params"]["fc8"]["kernel"] *= np.float32(size)
    task, images = small_task(ENTRY, variables, label="boxer,tabby,boxer"), random_bytes(2)
    halves, floats = (
        run(task, images, [{}] * 2, one) for one in (PIXELS._replace(guided_dtype="float16"), PIXELS)
    )
    assert Computation().guided_dtype == "float16"
    assert set(halves) - set(floats) == {f"{name}_scale" for name in GUIDED}
    for name, expected in floats.items():
        if name not in GUIDED:
            np.testing.assert_array_equal(halves[name], expected)
            continue
        scale = halves[f"{name}_scale"]
        assert (halves[name].dtype, scale.dtype, scale.shape) == (np.float16, np.float32, (2, 3))
        for image, place in np.ndindex(2, 3):
            restored = halves[name][image, place].astype(np.float32) * scale[image, place]
            largest = np.abs(expected[image, place]).max()
            assert np.abs(restored - expected[image, place]).max() <= 2**-11 * largest
            described = guided_parts({key: array[image] for key, array in halves.items()}, place)
            np.testing.assert_array_equal(described[name], restored)


def test_fixed_point_images_give_nearly_the_maps_of_floats():
    preprocessing = CAFFE_ALEXNET._replace(size=SIZE)
    task = small_task(ENTRY._replace(preprocessing=preprocessing))
    assert (image_dtype(task), image_dtype(small_task())) == ("uint16", "uint8")
    floats = np.random.default_rng(0).random((2, SIZE, SIZE, 3), np.float32)
    exact, fixed = (run(task, images, [{}] * 2) for images in (floats, as_integers(floats, np.uint16)))
    assert_close(fixed["cam"], exact["cam"], 1e-4)
    assert_close(fixed["scores"], exact["scores"], 1e-4)


def test_a_new_target_or_the_last_batch_compiles_nothing():
    task = small_task(max_targets=1)
    function = device_function(task, jax.devices())
    for label in ("boxer", "-1", "tabby"):
        function(*function.put(random_bytes(2), stacked(task, [{"label": label}] * 2)))
    assert function.compilations == 1


def test_the_batch_size_fits_the_memory(monkeypatch):
    task = small_task()
    sizes = []
    for free in (2e6, 2e7, 2e9):
        monkeypatch.setattr("gradcam_jax.engine.devices._free_memory", lambda _, free=free: free)
        sizes.append(fitting_batch_size(task, jax.devices()))
    assert 1 <= sizes[0] < sizes[1] <= sizes[2] == 32
    monkeypatch.setattr("gradcam_jax.engine.devices._free_memory", lambda _: 1e4)
    with pytest.raises(InputError, match=r"needs .* has free\. Take a smaller --input_sz"):
        fitting_batch_size(task, jax.devices())


def test_the_layer_is_the_one_that_was_chosen():
    assert small_task().forward.layers == (LAYER,)
    assert small_task().loaded.model == build()


FOUR_DEVICES = """
import jax, numpy as np
jax.config.update("jax_platforms", "cpu")
from tests.pipeline.test_computation import COLLECTIVES, device_function, random_bytes, small_task, stacked
task, images = small_task(top_k=2), random_bytes(8)
arrays = stacked(task, [{}] * 8)
found = []
for devices in (jax.devices()[:1], jax.devices()):
    function = device_function(task, devices)
    arguments = function.put(images, arrays)
    found.append(jax.device_get(function(*arguments)))
text = function.lower(*arguments).compile().as_text()
assert len(jax.devices()) == 4 and "convolution" in text
assert not [name for name in COLLECTIVES if name in text], text
np.testing.assert_array_equal(found[0]["targets"], found[1]["targets"])
difference = np.abs(found[0]["cam"] - found[1]["cam"]).max() / np.abs(found[0]["cam"]).max()
print("difference", difference)
assert difference < 1e-6
"""


def test_four_devices_give_the_maps_of_one_without_a_collective():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    ran = subprocess.run([sys.executable, "-c", FOUR_DEVICES], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
