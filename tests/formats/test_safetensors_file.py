import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.safetensors_file import read_safetensors, read_safetensors_metadata

ARRAYS = {
    "weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "half": np.ones(3, np.float16),
    "scalar": np.array(7, np.int64),
    "empty": np.zeros((0, 3), np.float32),
    "flags": np.array([True, False]),
}


def test_reads_what_the_library_writes(tmp_path):
    save_file(ARRAYS, tmp_path / "x.safetensors", metadata={"model": "vgg16"})
    read = read_safetensors(tmp_path / "x.safetensors")
    assert set(read) == set(ARRAYS)
    for name, array in read.items():
        assert array.dtype == ARRAYS[name].dtype
        assert array.shape == ARRAYS[name].shape
        np.testing.assert_array_equal(array, ARRAYS[name])
        assert not array.flags.writeable
    assert read_safetensors_metadata(tmp_path / "x.safetensors") == {"model": "vgg16"}


def write(path, entries, data):
    header = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def test_widens_bfloat16_exactly_and_needs_no_metadata(tmp_path):
    exact = np.array([[1.0, -2.5], [0.0, np.inf]], np.float32)
    stored = (exact.view(np.uint32) >> 16).astype(np.uint16)
    entry = {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}
    write(tmp_path / "x", {"w": entry}, stored.tobytes())
    np.testing.assert_array_equal(read_safetensors(tmp_path / "x")["w"], exact)
    assert read_safetensors_metadata(tmp_path / "x") == {}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]},
            "'w' has the type 'F8_E4M3', expected one of",
        ),
        ({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}, "expected a safetensors file"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 80]}, "expected a safetensors file"),
    ],
)
def test_says_what_is_wrong(tmp_path, entry, message):
    write(tmp_path / "x", {"w": entry}, bytes(8))
    with pytest.raises(CheckpointError, match=message):
        read_safetensors(tmp_path / "x")


def test_refuses_a_shape_that_numpy_cannot_hold(tmp_path):
    write(tmp_path / "x", {"w": {"dtype": "F32", "shape": [0, 1 << 50], "data_offsets": [0, 0]}}, b"")
    with pytest.raises(CheckpointError, match="'w' has the impossible shape"):
        read_safetensors(tmp_path / "x")
