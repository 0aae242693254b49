"""The steps from a signed map to what pytorch-grad-cam returns, as docs/from_pytorch_grad_cam.md has them."""

import importlib.util

import jax
import numpy as np
import pytest

from gradcam_jax.attribution.resize import normalize_min_max, resize_half_pixel
from gradcam_jax.experiments.benchmark.peers import import_pytorch_grad_cam
from tests.comparison import assert_close

if importlib.util.find_spec("pytorch_grad_cam") is None:
    pytest.skip("compares with pytorch-grad-cam: install the extra `oracle`", allow_module_level=True)

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("size", [(64, 48), (224, 224)])
def test_the_maps_of_pytorch_grad_cam_are_ours_scaled_and_enlarged(size):
    scale = import_pytorch_grad_cam().utils.image.scale_cam_image
    cam = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    # What BaseCAM does: once for the layer, once for the mean over layers.
    theirs = scale(scale(np.maximum(cam, 0)[None], size[::-1]))[0]
    ours = normalize_min_max(resize_half_pixel(normalize_min_max(jax.nn.relu(cam)), size))
    assert_close(ours, theirs, 1e-5)
