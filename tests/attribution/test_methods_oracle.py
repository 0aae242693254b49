"""The methods against pytorch-grad-cam, captum and torch-cam, with the same random weights."""

import functools
import importlib.util

import pytest

for library in ("torch", "captum", "pytorch_grad_cam", "torchcam"):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"compares with {library}: install the extra `oracle`", allow_module_level=True)
method_peers = pytest.importorskip("tests.attribution.method_peers")
disagreements = pytest.importorskip("tests.attribution.method_disagreements").disagreements

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning"),  # captum says so each time
    pytest.mark.filterwarnings("ignore:Creating a tensor from a list:UserWarning"),
]


ALEXNET = {"alexnet": (96, 96), "alexnet, not square": (96, 128)}
VGG16 = {"vgg16": (64, 64), "vgg16, not square": (64, 96)}


@functools.lru_cache(maxsize=2)
def make_lab(name, size):
    return (method_peers.vgg16 if name.startswith("vgg16") else method_peers.alexnet)(size)


def assert_agreement(rows):
    rows = list(rows)
    assert rows
    wrong = [row for row in rows if row.error > 1e-5]
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("name", ALEXNET | VGG16)
def test_maps_of_activations_and_gradients(name):
    assert_agreement(method_peers.gradient_rows(make_lab(name, (ALEXNET | VGG16)[name])))


@pytest.mark.parametrize("name", ALEXNET)
def test_gradients_at_the_pixels_and_occlusion(name):
    assert_agreement(method_peers.pixel_rows(make_lab(name, ALEXNET[name])))


@pytest.mark.parametrize("name", ALEXNET)  # each channel takes them a pass through all layers; VGG-16 has 512
def test_weights_of_channels(name):
    assert_agreement(method_peers.evaluated_rows(make_lab(name, ALEXNET[name])))


def test_where_programs_disagree():
    errors = [row.error for row in disagreements(make_lab("alexnet", ALEXNET["alexnet"]))]
    epsilon, copied, undivided, in_place, *rules = errors
    assert epsilon < 0.05
    assert copied > 0.1
    assert undivided < 1e-4  # so that this is what torch-cam computes
    assert in_place > 0.01
    assert min(rules) > 0.01


def test_the_rules_by_which_a_map_is_enlarged():
    assert_agreement(method_peers.resize_rows(make_lab("alexnet", ALEXNET["alexnet"])))
