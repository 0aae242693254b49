"""Converted Caffe nets against OpenCV's Caffe importer: the last convolutions' activations and the logits."""

import jax
import numpy as np
import pytest

from gradcam_jax.app import conversion
from gradcam_jax.interception.linen import tapped
from gradcam_jax.zoo import find, load
from tests.comparison import assert_close
from tests.conversion.caffe_nets import alexnet_layers, deploy_prototxt, vgg_layers
from tests.formats.caffe_writer import write_caffemodel

cv2 = pytest.importorskip("cv2", reason="OpenCV (the extra `oracle`) is not installed")
pytestmark = pytest.mark.oracle

NETS = {
    "vgg16": lambda: vgg_layers((2, 2, 3, 3, 3)),
    "vgg19": lambda: vgg_layers((2, 2, 4, 4, 4)),
    "alexnet": alexnet_layers,
}


@pytest.fixture(params=NETS)
def caffe_net(request, tmp_path):
    """This project's and OpenCV's reading of a net's file, which is deleted afterwards."""
    name = request.param
    layers = NETS[name]()
    written, checkpoint = tmp_path / "net.caffemodel", tmp_path / "net.safetensors"
    write_caffemodel(written, layers)
    prototxt = tmp_path / "deploy.prototxt"
    prototxt.write_text(deploy_prototxt(layers, find(name).size))
    del layers
    opencv = cv2.dnn.readNetFromCaffe(str(prototxt), str(written))
    conversion.run(name, [written], checkpoint)
    written.unlink()
    loaded = load(checkpoint)
    checkpoint.unlink()  # The mapped arrays stay readable.
    return loaded, opencv


def test_activations_and_logits_are_opencvs(caffe_net):
    loaded, opencv = caffe_net
    entry, size = loaded.entry, loaded.entry.size
    image = np.random.default_rng(1).uniform(-120, 130, (size, size, 3)).astype(np.float32)
    opencv.setInput(image.transpose(2, 0, 1)[None].copy())
    activations, logits = (array[0] for array in opencv.forward([entry.layer, "fc8"]))

    @jax.jit
    def forward(variables, image):
        return tapped(loaded.model, variables, entry.layer)({}, image)

    outputs, tapped_activations = forward(loaded.variables, image)

    assert np.abs(logits).max() > 5  # else a wrong net would pass
    assert_close(outputs, logits, 1e-4)
    assert_close(tapped_activations[entry.layer], activations.transpose(1, 2, 0), 1e-4)
