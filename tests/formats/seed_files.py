"""Small sound files of every format and layout, for the tests that go through all readers."""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from tests.formats import caffe_writer, torch7_writer, torch_writer

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)
BIAS = np.ones(2, np.float32)


def _caffe(path: Path, **layout) -> None:
    layers = [
        caffe_writer.Layer("conv1", "Convolution", [WEIGHT.reshape(2, 3, 1, 1), BIAS], settings={"group": 1}),
        caffe_writer.Layer("relu1", "ReLU", bottoms=["conv1"], tops=["conv1"]),
    ]
    caffe_writer.write_caffemodel(path, layers, **layout)


def _caffe_double(path: Path) -> None:
    layer = caffe_writer.Layer("fc", "InnerProduct", [WEIGHT.astype(np.float64), BIAS.astype(np.float64)])
    caffe_writer.write_caffemodel(path, [layer], layout="V2", legacy_shape=False)


def _torch7(path: Path, **mode) -> None:
    storage, (weight, bias) = torch7_writer.flattened([WEIGHT, BIAS])
    table = torch7_writer.LuaTable([("weight", weight), ("bias", bias), ("flat", storage)])
    linear = torch7_writer.Object("nn.Linear", table)
    table.pairs += [("self", linear), (linear, True), ("hook", torch7_writer.Function(upvalues=[1, None]))]
    vec = torch7_writer.Tds("tds.Vec", [1, "two"])
    torch7_writer.write_torch7(
        path, {"module": linear, "vec": vec, "count": torch7_writer.tensor(BIAS, "Long")}, **mode
    )


def _pytorch(path: Path, legacy: bool) -> None:
    torch_writer.write_state_dict(path, {"weight": WEIGHT, "bias": BIAS, "count": np.array(3)}, legacy=legacy)


def _pytorch_containers(path: Path) -> None:
    contents = {
        "epoch": 3,
        "set": {1, 2},
        "o": OrderedDict(a=(1, 2.5, None)),
        "list": [b"x", 2**70],
        "f": frozenset("a"),
    }
    torch_writer.write_zip(path, pickle.dumps(contents, protocol=4), {})


SEEDS: dict[str, Callable[[Path], None]] = {
    "caffemodel V0": lambda path: _caffe(path, layout="V0"),
    "caffemodel V1": lambda path: _caffe(path, layout="V1"),
    "caffemodel V1 unpacked": lambda path: _caffe(path, layout="V1", packed=False),
    "caffemodel V2": lambda path: _caffe(path, layout="V2", legacy_shape=False),
    "caffemodel V2 double": _caffe_double,
    "torch7 binary": _torch7,
    "torch7 binary32": lambda path: _torch7(path, long_bytes=4),
    "torch7 ascii": lambda path: _torch7(path, ascii=True),
    "pytorch zip": lambda path: _pytorch(path, legacy=False),
    "pytorch zip containers": _pytorch_containers,
    "pytorch legacy": lambda path: _pytorch(path, legacy=True),
    "safetensors": lambda path: save_file({"weight": WEIGHT, "bias": BIAS}, path, metadata={"model": "small"}),
    "npz": lambda path: np.savez(path, weight=WEIGHT, bias=BIAS),
    "npz compressed": lambda path: np.savez_compressed(path, weight=WEIGHT, bias=BIAS),
}


def seed_bytes(name: str, directory: Path) -> bytes:
    """The contents of one sound file; its first word is the format."""
    path = directory / "seed.npz"  # numpy adds the suffix to any other name.
    SEEDS[name](path)
    return path.read_bytes()
