"""The original's three Caffe nets with random weights, as layers that can be written as both of Caffe's files."""

import math

import numpy as np

from tests.formats.caffe_writer import Layer

VGG_CHANNELS = (64, 128, 256, 512, 512)
_POOLS = {0: "MAX", 1: "AVE"}
_SETTINGS_FIELD = {
    "Convolution": "convolution_param",
    "InnerProduct": "inner_product_param",
    "Pooling": "pooling_param",
    "LRN": "lrn_param",
    "Dropout": "dropout_param",
}


class _Net:
    """Collects layers, each reading what the one before wrote."""

    def __init__(self, seed):
        self.layers = []
        self._generator = np.random.default_rng(seed)
        self._top = "data"

    def add(self, name, kind, blobs=(), *, in_place=False, **settings):
        top = self._top if in_place else name
        self.layers.append(Layer(name, kind, blobs, (self._top,), (top,), settings))
        self._top = top

    def weights(self, *shape):
        """He-normal weights, which keep the activations' scale, and N(0, .05) biases."""
        scale = np.float32(math.sqrt(2 / math.prod(shape[1:])))
        weight = self._generator.standard_normal(shape, dtype=np.float32) * scale
        return [weight, self._generator.standard_normal(shape[0], dtype=np.float32) * np.float32(0.05)]

    def convolve(self, index, inputs, outputs, size, *, group=1, **settings):
        blobs = self.weights(outputs, inputs // group, size, size)
        grouped = {"group": group} if group > 1 else {}
        self.add(f"conv{index}", "Convolution", blobs, num_output=outputs, kernel_size=size, **grouped, **settings)
        self.add(f"relu{index}", "ReLU", in_place=True)

    def classify(self, inputs, hidden, classes):
        for index in (6, 7):
            self.add(f"fc{index}", "InnerProduct", self.weights(hidden, inputs), num_output=hidden)
            self.add(f"relu{index}", "ReLU", in_place=True)
            self.add(f"drop{index}", "Dropout", in_place=True, dropout_ratio=0.5)
            inputs = hidden
        self.add("fc8", "InnerProduct", self.weights(classes, inputs), num_output=classes)
        self.add("prob", "Softmax")
        return self.layers


def vgg_layers(convolutions, channels=VGG_CHANNELS, hidden=4096, classes=1000, seed=0):
    """VGG with so many convolutions in each block."""
    net, inputs = _Net(seed), 3
    for block, (count, outputs) in enumerate(zip(convolutions, channels, strict=True), 1):
        for index in range(1, count + 1):
            net.convolve(f"{block}_{index}", inputs, outputs, 3, pad=1)
            inputs = outputs
        net.add(f"pool{block}", "Pooling", pool=0, kernel_size=2, stride=2)
    return net.classify(inputs * 7 * 7, hidden, classes)


def alexnet_layers(seed=0):
    """bvlc_alexnet."""
    net = _Net(seed)

    def normalize_and_pool(index):
        net.add(f"norm{index}", "LRN", local_size=5, alpha=1e-4, beta=0.75)
        net.add(f"pool{index}", "Pooling", pool=0, kernel_size=3, stride=2)

    net.convolve(1, 3, 96, 11, stride=4)
    normalize_and_pool(1)
    net.convolve(2, 96, 256, 5, pad=2, group=2)
    normalize_and_pool(2)
    net.convolve(3, 256, 384, 3, pad=1)
    net.convolve(4, 384, 384, 3, pad=1, group=2)
    net.convolve(5, 384, 256, 3, pad=1, group=2)
    net.add("pool5", "Pooling", pool=0, kernel_size=3, stride=2)
    return net.classify(256 * 6 * 6, 4096, 1000)


def deploy_prototxt(layers, size):
    """The net as the text that goes with its caffemodel, for one image."""
    lines = ['name: "net"', 'input: "data"', *(f"input_dim: {n}" for n in (1, 3, size, size))]
    for layer in layers:
        settings = dict(layer.settings)
        if "pool" in settings:
            settings["pool"] = _POOLS[settings["pool"]]
        lines += ["layer {", f'  name: "{layer.name}" type: "{layer.type}"']
        lines += [f'  bottom: "{name}"' for name in layer.bottoms] + [f'  top: "{name}"' for name in layer.tops]
        if settings:
            values = " ".join(f"{name}: {value}" for name, value in settings.items())
            lines.append(f"  {_SETTINGS_FIELD[layer.type]} {{ {values} }}")
        lines.append("}")
    return "\n".join(lines)
