"""Tables of rules: each transposition, number by number, and what is said when arrays do not fit."""

import jax
import numpy as np
import pytest

from gradcam_jax.conversion.rules import (
    Rule,
    convert,
    convolution,
    dense,
    dense_after_flatten,
    inside,
    unchanged,
    weight_and_bias,
)
from gradcam_jax.errors import CheckpointError

RULES = [*weight_and_bias("conv/", "conv", convolution), *weight_and_bias("fc/", "fc", dense)]
EXPECTED = {
    "params": {
        "conv": {"kernel": np.empty((3, 3, 2, 4)), "bias": np.empty(4)},
        "fc": {"kernel": np.empty((6, 5)), "bias": np.empty(5)},
    }
}


def arrays():
    return {
        "conv/weight": np.arange(72, dtype=np.float64).reshape(4, 2, 3, 3),
        "conv/bias": np.arange(4, dtype=np.float16),
        "fc/weight": np.arange(30, dtype=np.float32).reshape(5, 6),
        "fc/bias": np.arange(5, dtype=np.float32),
    }


def test_kernels_are_transposed_and_cast():
    params = convert(arrays(), RULES, EXPECTED)["params"]
    assert params["conv"]["kernel"][2, 1, 0, 3] == arrays()["conv/weight"][3, 0, 2, 1]
    assert params["fc"]["kernel"][4, 3] == arrays()["fc/weight"][3, 4]
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(("channels", "height", "width", "outputs"), [(5, 2, 3, 7), (9, 7, 7, 130), (4, 1, 1, 64)])
def test_a_flatten_of_chw_becomes_one_of_hwc(channels, height, width, outputs):
    weight = np.random.default_rng(0).standard_normal((outputs, channels * height * width)).astype(np.float32)
    activations = np.random.default_rng(1).standard_normal((channels, height, width)).astype(np.float32)
    expected = {"params": {"fc": {"kernel": np.empty(weight.T.shape)}}}
    rules = [Rule("fc", "params/fc/kernel", dense_after_flatten(channels, height, width))]
    kernel = convert({"fc": weight}, rules, expected)["params"]["fc"]["kernel"]
    row = (height - 1) * width * channels + 2  # the last row, the first column, channel 2
    np.testing.assert_array_equal(kernel[row], weight[:, (2 * height + height - 1) * width])
    there = weight.astype(np.float64) @ activations.reshape(-1)
    here = activations.transpose(1, 2, 0).reshape(-1) @ kernel.astype(np.float64)
    np.testing.assert_allclose(here, there, rtol=1e-12)


def test_leading_axes_of_old_caffe_matrices_are_dropped():
    assert dense(np.empty((1, 1, 5, 6))).shape == (6, 5)


def test_every_misfit_is_reported_at_once():
    source = arrays()
    del source["fc/bias"]
    source["fc/weight"] = source["fc/weight"].reshape(6, 5)
    source["conv/weight"] = source["conv/weight"][:3]
    source["fc9/weight"] = np.empty(1)
    with pytest.raises(CheckpointError) as caught:
        convert(source, RULES, EXPECTED)
    message = str(caught.value)
    for expected in (
        "do not fit the model in 4 places",
        "missing: fc/bias (for params/fc/bias)",
        "unexpected: fc9/weight",
        "mis-shaped: conv/weight is (3, 2, 3, 3), for params/conv/kernel (3, 3, 2, 4)",
        "mis-shaped: fc/weight is (6, 5), for params/fc/kernel (6, 5)",
    ):
        assert expected in message


def test_arrays_with_too_few_axes_are_misfits_too():
    source = arrays() | {"conv/weight": np.empty(72), "fc/weight": np.empty((2, 3, 5))}
    with pytest.raises(CheckpointError, match="in 2 places"):
        convert(source, RULES, EXPECTED)


def test_a_table_that_leaves_a_variable_out_is_an_error():
    source = {key: array for key, array in arrays().items() if key != "fc/bias"}
    with pytest.raises(CheckpointError, match="no rule gives params/fc/bias"):
        convert(source, RULES[:-1], EXPECTED)


def test_known_and_unneeded_keys_are_ignored():
    source = arrays() | {"counter": np.empty(())}
    convert(source, RULES, EXPECTED, ignore=lambda key: key == "counter")


def test_a_model_can_be_a_part_of_another():
    assert [rule.target for rule in inside("cnn", RULES[:1])] == ["params/cnn/conv/kernel"]
    assert {rule.source for rule in unchanged(EXPECTED)} == {rule.target for rule in RULES}
