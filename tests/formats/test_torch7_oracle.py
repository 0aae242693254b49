"""`read_torch7` against the package torchfile."""

import numpy as np
import pytest

from gradcam_jax.formats.torch7 import read_torch7
from gradcam_jax.formats.torch7_values import LuaFunction, Table, TorchObject
from tests.formats import torch7_writer as writer
from tests.formats.shared_data import shared_file
from tests.formats.test_torch7 import values_of

torchfile = pytest.importorskip("torchfile", reason="torchfile (the extra `oracle`) is not installed")
pytestmark = pytest.mark.oracle

FILES = [
    "custom_class",
    "doubletensor",
    "floattensor",
    "function",
    "function_upvals",
    "gmodule_with_linear_identity",
    "hello=123",
    "map_table1",
    "nngraph_node",
    "recursive_kv_table",
    "tds_vec",
]


def assert_same(read, expected, visited):
    """Compares two graphs of objects; a pair that was met before is not followed again."""
    if (id(read), id(expected)) in visited:
        return 0
    visited[id(read), id(expected)] = (read, expected)
    if isinstance(expected, bytes):
        assert read.encode("utf-8", "surrogateescape") == expected
    elif isinstance(expected, np.ndarray):
        assert read.dtype == expected.dtype
        np.testing.assert_array_equal(read, expected)
    elif isinstance(expected, list):
        assert len(read) == len(expected)
        return 1 + sum(assert_same(*pair, visited) for pair in zip(values_of(read), expected, strict=True))
    elif isinstance(expected, dict):
        assert isinstance(read, Table)
        assert len(read) == len(expected)
        pairs = zip(read.items(), expected.items(), strict=True)  # Both keep the file's order.
        return 1 + sum(
            assert_same(mine, theirs, visited) for pair in pairs for mine, theirs in zip(*pair, strict=True)
        )
    elif isinstance(expected, torchfile.LuaFunction):
        assert isinstance(read, LuaFunction)
        return 1 + assert_same(read.upvalues, expected.upvalues, visited)
    elif isinstance(expected, torchfile.TorchObject):
        assert isinstance(read, TorchObject)
        assert read.class_name.encode() == expected._typename
        return 1 + assert_same(read.fields, expected._obj, visited)
    else:
        assert read == expected
        assert type(read) is type(expected)
    return 1


@pytest.mark.parametrize("name", FILES)
def test_published_files(name):
    path = shared_file(f"formats/t7/{name}.t7")
    assert assert_same(read_torch7(path), torchfile.load(str(path)), {}) >= 1


def test_what_the_test_writer_writes(tmp_path):
    storage, tensors = writer.flattened([np.arange(6.0).reshape(2, 3), np.ones(4)])
    value = {
        # torchfile cannot compare the arrays of a list.
        "first": tensors[0],
        "second": tensors[1],
        "strided": writer.Tensor(storage, [3, 2], [1, 3], 1),
        "long": writer.tensor(np.arange(3), "Long"),
        "cuda": writer.tensor(np.ones((1, 2)), "Cuda"),
        "module": writer.Object("nn.Linear", {"p": 0.5, "train": False, "text": b"\xff"}),
        "old": writer.Object("nn.Old", {"p": 0.5}, version=None),
        "function": writer.Function(b"\x1bLJ", [1]),
    }
    writer.write_torch7(tmp_path / "x.t7", value)
    assert assert_same(read_torch7(tmp_path / "x.t7"), torchfile.load(str(tmp_path / "x.t7")), {}) > 10
