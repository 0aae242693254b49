"""The field numbers of Caffe's messages, in the three generations that its files come in.

References:
    ``src/caffe/proto/caffe.proto`` and ``src/caffe/util/upgrade_proto.cpp`` of BVLC/caffe.
"""

from typing import NamedTuple


class LayerFields(NamedTuple):
    """Field numbers of a layer message.

    ``settings`` maps the field of a parameter message to the names of its fields.
    """

    name: int
    type: int
    blobs: int
    bottom: int
    top: int
    settings: dict[int, dict[int, str]]


NET_NAME = 1
NET_LAYERS_V1 = 2
NET_LAYERS_V2 = 100

V1_NESTED_V0 = 1
"""In a V1 layer, the field of the V0 layer that it wraps."""

BLOB_LEGACY_SHAPE = (1, 2, 3, 4)  # num, channels, height, width
BLOB_DATA = 5
BLOB_DIFF = 6
BLOB_SHAPE = 7
BLOB_DOUBLE_DATA = 8
BLOB_DOUBLE_DIFF = 9
BLOB_SHAPE_DIMENSIONS = 1

_CONVOLUTION = {
    1: "num_output",
    2: "bias_term",
    3: "pad",
    4: "kernel_size",
    5: "group",
    6: "stride",
    9: "pad_h",
    10: "pad_w",
    11: "kernel_h",
    12: "kernel_w",
    13: "stride_h",
    14: "stride_w",
    18: "dilation",
}
_INNER_PRODUCT = {1: "num_output", 2: "bias_term", 5: "axis", 6: "transpose"}
_LRN = {1: "local_size", 2: "alpha", 3: "beta", 4: "norm_region", 5: "k"}
_DROPOUT = {1: "dropout_ratio"}
_POOLING = {
    1: "pool",
    2: "kernel_size",
    3: "stride",
    4: "pad",
    5: "kernel_h",
    6: "kernel_w",
    7: "stride_h",
    8: "stride_w",
    9: "pad_h",
    10: "pad_w",
    12: "global_pooling",
}

V0_SETTINGS = {
    3: "num_output",
    4: "bias_term",
    7: "pad",
    8: "kernel_size",
    9: "group",
    10: "stride",
    11: "pool",
    12: "dropout_ratio",
    13: "local_size",
    14: "alpha",
    15: "beta",
    22: "k",
}
"""V0 has no parameter messages: the settings are fields of the layer itself."""

# A V0 layer's connections are those of the V1 layer around it; 0 is never a field's number.
V0 = LayerFields(name=1, type=2, blobs=50, bottom=0, top=0, settings={})
V1 = LayerFields(
    name=4,
    type=5,
    blobs=6,
    bottom=2,
    top=3,
    settings={10: _CONVOLUTION, 12: _DROPOUT, 17: _INNER_PRODUCT, 18: _LRN, 19: _POOLING},
)
V2 = LayerFields(
    name=1,
    type=2,
    blobs=7,
    bottom=3,
    top=4,
    settings={106: _CONVOLUTION, 108: _DROPOUT, 117: _INNER_PRODUCT, 118: _LRN, 121: _POOLING},
)

REPEATED_SETTINGS = frozenset({"pad", "kernel_size", "stride", "dilation"})
"""Fields that may occur several times; of the others the last one counts."""

V1_TYPES = {
    1: "Accuracy",
    2: "BNLL",
    3: "Concat",
    4: "Convolution",
    5: "Data",
    6: "Dropout",
    7: "EuclideanLoss",
    8: "Flatten",
    9: "HDF5Data",
    10: "HDF5Output",
    11: "Im2col",
    12: "ImageData",
    13: "InfogainLoss",
    14: "InnerProduct",
    15: "LRN",
    16: "MultinomialLogisticLoss",
    17: "Pooling",
    18: "ReLU",
    19: "Sigmoid",
    20: "Softmax",
    21: "SoftmaxWithLoss",
    22: "Split",
    23: "TanH",
    24: "WindowData",
    25: "Eltwise",
    26: "Power",
    27: "SigmoidCrossEntropyLoss",
    28: "HingeLoss",
    29: "MemoryData",
    30: "ArgMax",
    31: "Threshold",
    32: "DummyData",
    33: "Slice",
    34: "MVN",
    35: "AbsVal",
    36: "Silence",
    37: "ContrastiveLoss",
    38: "Exp",
    39: "Deconvolution",
}
"""V1's enum -> the layer type as V2 names it."""

V0_TYPES = {
    "accuracy": "Accuracy",
    "bnll": "BNLL",
    "concat": "Concat",
    "conv": "Convolution",
    "data": "Data",
    "dropout": "Dropout",
    "euclidean_loss": "EuclideanLoss",
    "flatten": "Flatten",
    "hdf5_data": "HDF5Data",
    "hdf5_output": "HDF5Output",
    "im2col": "Im2col",
    "images": "ImageData",
    "infogain_loss": "InfogainLoss",
    "innerproduct": "InnerProduct",
    "lrn": "LRN",
    "multinomial_loss": "MultinomialLogisticLoss",
    "pool": "Pooling",
    "relu": "ReLU",
    "sigmoid": "Sigmoid",
    "softmax": "Softmax",
    "softmax_loss": "SoftmaxWithLoss",
    "split": "Split",
    "tanh": "TanH",
    "window_data": "WindowData",
}
"""V0's layer type -> the layer type as V2 names it."""
