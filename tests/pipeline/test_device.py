import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.images.preprocessing import CAFFE_ALEXNET, to_network, to_rgb
from gradcam_jax.models.efficientnet_lite import EfficientNetLite, Stage
from gradcam_jax.pipeline.classification import classification_job
from gradcam_jax.pipeline.device import DeviceFunction, choose_batch_size
from gradcam_jax.pipeline.explanation import explain_batch
from gradcam_jax.pipeline.items import Item
from gradcam_jax.pipeline.job import NOTHING, parse_methods
from gradcam_jax.tasks.classification import explain_classes
from tests.comparison import assert_close
from tests.pipeline.small_job import ENTRY, LAYER, SIZE, build, small_job

COLLECTIVES = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter")


def random_bytes(count):
    return np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def run(job, images, items):
    requests = [job.request(item) for item in items]
    inputs = {name: np.stack([request[name] for request in requests]) for name in requests[0]}
    function = DeviceFunction(job, jax.devices())
    return jax.device_get(function(*function.put(images, inputs)))


def test_a_batch_gives_what_each_image_gives_alone():
    job = small_job(top_k=2, methods=parse_methods("guided_backprop, guided_grad_cam"))
    images = random_bytes(3)
    results = run(job, images, [Item("a", ""), Item("b", "", {"label": "243,-1"}), Item("c", "")])
    assert results["targets"][1, 0] == 242
    assert results["targets"][1, 1] != results["prediction"][1]  # the second place is the second prediction
    np.testing.assert_array_equal(results["targets"][[0, 2], 0], results["prediction"][[0, 2]])
    for row, image in enumerate(images):
        network = to_network(image.astype(np.float32) / 255, ENTRY.recipe)
        alone = explain_classes(build(), job.variables, LAYER, network, jnp.asarray(results["targets"][row]))
        assert_close(results["cam"][row], alone.cam)
        assert_close(results["scores"][row], alone.scores)
        assert_close(results["guided_backprop"][row], alone.guided_backprop)
        assert_close(results["guided_grad_cam"][row], alone.guided_grad_cam)
        assert results["prediction"][row] == alone.outputs.argmax()


def test_gradients_come_back_in_the_photos_order_of_channels():
    recipe = CAFFE_ALEXNET._replace(size=SIZE)
    job = small_job(recipe=recipe, methods=parse_methods("guided_backprop"))
    image = random_bytes(1)[0].astype(np.float32) / 255
    results = run(job, image[np.newaxis], [Item("a", "")])
    alone = explain_classes(
        build(), job.variables, LAYER, to_network(image, recipe), jnp.asarray(results["targets"][0])
    )
    assert_close(results["guided_backprop"][0], to_rgb(alone.guided_backprop, recipe))


def test_what_passes_the_layer_by_is_guided_too():
    # Inside a residual block the head sees more than the mapped layer.
    net = EfficientNetLite(stages=(Stage(1, 3, 1, 1, 16), Stage(2, 3, 2, 6, 24)), classes=5)
    entry = ENTRY._replace(build=lambda: net)
    layer, images = "block3/expand_relu", random_bytes(2)
    variables = net.init(jax.random.key(0), jnp.zeros((SIZE, SIZE, 3)))
    options = {"layer": layer, "variables": variables, "methods": parse_methods("guided_backprop"), "top_k": 2}
    results = run(classification_job(entry, ENTRY.recipe, SIZE, **options), images, [Item("a", ""), Item("b", "")])
    for row, image in enumerate(images):
        network = to_network(image.astype(np.float32) / 255, ENTRY.recipe)
        alone = explain_classes(net, variables, layer, network, jnp.asarray(results["targets"][row]))
        assert_close(results["cam"][row], alone.cam)
        assert_close(results["guided_backprop"][row], alone.guided_backprop)


def test_fewer_labels_than_places_leave_places_empty():
    job = small_job(top_k=3)
    results = run(job, random_bytes(1), [Item("a", "", {"label": "boxer"})])
    assert results["targets"][0].tolist() == [242, NOTHING, NOTHING]
    assert not results["cam"][0, 1:].any()
    assert results["cam"][0, 0].any()
    assert [title.text.partition(":")[0] for title in job.titles({k: v[0] for k, v in results.items()})] == [
        "boxer"
    ]


def test_more_labels_than_places_are_an_error():
    with pytest.raises(InputError, match=r"at most 1 labels a photo, got 2 .* --top_k 2"):
        small_job(top_k=1).request(Item("a", "", {"label": "boxer, tabby"}))
    with pytest.raises(InputError, match=r"There is no method 'guided_gradcam' .* Nearest: guided_grad_cam"):
        parse_methods("guided_gradcam")


def test_a_trunk_in_bfloat16_keeps_head_gradients_and_maps_in_float32():
    images = random_bytes(4)
    exact, rounded = (
        run(small_job(in_bfloat16=in_bfloat16), images, [Item(name, "", {"label": "boxer"}) for name in "abcd"])
        for in_bfloat16 in (False, True)
    )
    assert rounded["cam"].dtype == np.float32
    assert rounded["scores"].dtype == np.float32
    assert_close(rounded["cam"], exact["cam"], 0.05)  # bfloat16 has 8 bits, so 0.4 % a rounding
    assert np.abs(rounded["cam"] - exact["cam"]).max() > 0
    job = small_job(in_bfloat16=True)
    program = jax.make_jaxpr(functools.partial(explain_batch, job))(
        job.variables, jnp.zeros((1, SIZE, SIZE, 3), jnp.bfloat16), {"wanted": jnp.zeros((1, 1), jnp.int32)}
    )
    text = str(program)
    convolutions = [line for line in text.splitlines() if "conv_general_dilated" in line and "=" in line]
    assert convolutions
    assert all("bf16[" in line for line in convolutions)
    products = [line for line in text.splitlines() if " = dot_general" in line]
    assert products
    assert all("bf16[" not in line for line in products)


def test_a_new_target_or_the_last_batch_compiles_nothing():
    job = small_job()
    function = DeviceFunction(job, jax.devices())
    for label in ("boxer", "-1", "tabby"):
        function(
            *function.put(
                random_bytes(2), {"wanted": np.stack([job.request(Item("a", "", {"label": label}))["wanted"]] * 2)}
            )
        )
    assert function.compilations == 1


def test_the_batch_size_fits_the_memory(monkeypatch):
    job = small_job()
    example = job.request(Item("a", ""))
    sizes = []
    for free in (2e6, 2e7, 2e9):
        monkeypatch.setattr("gradcam_jax.pipeline.device._free_memory", lambda _, free=free: free)
        sizes.append(choose_batch_size(job, jax.devices(), example))
    assert 1 <= sizes[0] < sizes[1] <= sizes[2] == 32
    monkeypatch.setattr("gradcam_jax.pipeline.device._free_memory", lambda _: 1e4)
    with pytest.raises(InputError, match=r"needs .* has free\. Take a smaller --input_sz"):
        choose_batch_size(job, jax.devices(), example)


FOUR_DEVICES = """
import jax, numpy as np
jax.config.update("jax_platforms", "cpu")
from tests.pipeline.test_device import COLLECTIVES, DeviceFunction, Item, random_bytes, small_job
job, images = small_job(top_k=2), random_bytes(8)
inputs = {"wanted": np.stack([job.request(Item("a", ""))["wanted"]] * 8)}
found = []
for devices in (jax.devices()[:1], jax.devices()):
    function = DeviceFunction(job, devices)
    arguments = function.put(images, inputs)
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
