import pickle
import zipfile

import numpy as np
import pytest

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.pytorch import read_pytorch
from tests.formats import torch_writer as writer

LAYOUTS = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])


def write(path, value, storages, *, legacy):
    """Writes float32 storages and a value given as pickle instructions."""
    program = writer.pickled_program(value)
    if legacy:
        counted = {key: (array.size, array.tobytes()) for key, array in storages.items()}
        writer.write_legacy(path, program, counted)
    else:
        writer.write_zip(path, program, {key: array.tobytes() for key, array in storages.items()})


@LAYOUTS
@pytest.mark.parametrize("dtype", writer.STORAGE_CLASSES)
def test_reads_every_dtype_back(tmp_path, legacy, dtype):
    arrays = {
        "matrix": np.arange(6).reshape(2, 3).astype(dtype),
        "scalar": np.ones((), dtype),
        "empty": np.zeros((0, 3), dtype),
    }
    writer.write_state_dict(tmp_path / "x.pth", arrays, legacy=legacy)
    read = read_pytorch(tmp_path / "x.pth")
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


@LAYOUTS
def test_honours_offsets_strides_and_shared_storages(tmp_path, legacy):
    storage = np.arange(12, dtype=np.float32)
    tensors = {
        "transposed": writer.pickled_tensor("0", "FloatStorage", 12, sizes=(2, 3), strides=(1, 2), legacy=legacy),
        "tail": writer.pickled_tensor("0", "FloatStorage", 12, offset=8, sizes=(4,), strides=(1,), legacy=legacy),
    }
    write(tmp_path / "x.pth", writer.pickled_mapping(tensors), {"0": storage}, legacy=legacy)
    read = read_pytorch(tmp_path / "x.pth")
    np.testing.assert_array_equal(read["transposed"], [[0, 2, 4], [1, 3, 5]])
    np.testing.assert_array_equal(read["tail"], [8, 9, 10, 11])
    assert not read["tail"].flags.writeable


@pytest.mark.parametrize(
    ("sizes", "strides", "offset"),
    [
        ((13,), (1,), 0),
        ((2, 2), (1, 11), 0),
        ((1,), (1,), 12),
        ((2,), (-1,), 5),
        ((1,), (1,), -1),
        ((1,), (1, 1), 0),
    ],
)
def test_refuses_a_tensor_outside_its_storage(tmp_path, sizes, strides, offset):
    tensor = writer.pickled_tensor("0", "FloatStorage", 12, offset=offset, sizes=sizes, strides=strides)
    write(
        tmp_path / "x.pth",
        writer.pickled_mapping({"w": tensor}),
        {"0": np.ones(12, np.float32)},
        legacy=False,
    )
    with pytest.raises(CheckpointError, match=r"x.pth: 'w': a tensor "):
        read_pytorch(tmp_path / "x.pth")


def test_widens_bfloat16_exactly(tmp_path):
    exact = np.array([1.0, -2.5, 0.0, np.inf], np.float32)
    stored = (exact.view(np.uint32) >> 16).astype(np.uint16)
    tensor = writer.pickled_tensor("0", "BFloat16Storage", 4, sizes=(4,), strides=(1,))
    write(tmp_path / "x.pth", writer.pickled_mapping({"w": tensor}), {"0": stored}, legacy=False)
    read = read_pytorch(tmp_path / "x.pth")["w"]
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, exact)


def test_reads_an_archive_from_a_big_endian_machine(tmp_path):
    path, numbers = tmp_path / "x.pth", np.array([1.5, -2.0], np.float32)
    program = writer.pickled_program(
        writer.pickled_mapping({"w": writer.pickled_tensor("0", "FloatStorage", 2, sizes=(2,), strides=(1,))})
    )
    writer.write_zip(path, program, {"0": numbers.astype(">f4").tobytes()}, byte_order="big")
    read = read_pytorch(path)["w"]
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, numbers)
    writer.write_zip(path, program, {"0": numbers.tobytes()}, byte_order="middle")
    with pytest.raises(CheckpointError, match="byte order little or big, got 'middle'"):
        read_pytorch(path)


def _nested(path):
    tensor = writer.pickled_tensor("0", "FloatStorage", 2, sizes=(2,), strides=(1,))
    weights = writer.pickled_mapping({"w": tensor, "count": writer.pickled_integer(7), "note": b"N"})
    return path, tensor, weights


def test_finds_the_state_dict_under_its_usual_name(tmp_path):
    path, tensor, weights = _nested(tmp_path / "x.pth")
    value = writer.pickled_mapping({"loss": tensor, "optimizer": weights, "state_dict": weights})
    write(path, value, {"0": np.ones(2, np.float32)}, legacy=False)
    read = read_pytorch(path)
    assert list(read) == ["w", "count"]
    assert read["count"] == 7


def test_several_mappings_of_tensors_are_named_with_what_to_do(tmp_path):
    path, _, weights = _nested(tmp_path / "x.pth")
    value = writer.pickled_mapping({"generator": weights, "critic": weights})
    write(path, value, {"0": np.ones(2, np.float32)}, legacy=False)
    with pytest.raises(CheckpointError, match=r"\['generator', 'critic'\]; save one of them in a file"):
        read_pytorch(path)


class Canary:
    """Its pickle would make a file when loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@LAYOUTS
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_refuses_by_name_what_is_not_a_tensor_and_runs_nothing(tmp_path, legacy, protocol):
    canary = tmp_path / "canary"
    program = pickle.dumps({"state_dict": Canary(canary)}, protocol=protocol)
    if legacy:
        writer.write_legacy(tmp_path / "x.pth", program, {})
    else:
        writer.write_zip(tmp_path / "x.pth", program, {})
    with pytest.raises(CheckpointError, match=r"x.pth: at byte \d+: the file asks for '(_?io|__builtin__).open'"):
        read_pytorch(tmp_path / "x.pth")
    assert not canary.exists()


def test_the_canary_would_sing_in_the_standard_unpickler(tmp_path):
    program = pickle.dumps(Canary(tmp_path / "canary"))
    pickle.loads(program).close()
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"r\xff\xff\xff\xff", "takes more values than it has made"),
        (b"h\x05", "reuses value 5"),
        (b"]" + b"h\x00", "reuses value 0"),
        (b"X\xff\xff\xff\xff", "BINUNICODE is damaged or cut off"),
        (b"\x8e" + b"\xff" * 7 + b"\x7f", "BINBYTES8 is damaged or cut off"),
        (b"i__main__\nNet\n", "INST is not needed"),
        (b"(K\x01d", "a key without a value"),
        (b"}]K\x01s", "expected a string or a number as a key, got a list"),
        (b"K\x01)R", "calls a int, which is not one of the allowed builders"),
        (b"t", "ends a list that it did not begin"),
        (b"K\x01", "expected a mapping of names to tensors, got a int"),
        (b"\xff", "expected a pickle instruction, got the byte 0xff"),
        (b"ccollections\nOrderedDict\nK\x01R", "is called with a int"),
        (b"c__builtin__\nset\n(]K\x01tR", "set cannot be built"),
    ],
)
def test_says_what_is_wrong_with_a_pickle(tmp_path, value, message):
    write(tmp_path / "x.pth", value, {}, legacy=False)
    with pytest.raises(CheckpointError, match=message):
        read_pytorch(tmp_path / "x.pth")


def test_a_deep_key_is_refused_before_it_is_hashed(tmp_path):
    write(tmp_path / "x.pth", b"})" + b"\x85" * 200_000 + b"K\x01s", {}, legacy=False)
    with pytest.raises(CheckpointError, match="as a key, got a tuple"):
        read_pytorch(tmp_path / "x.pth")


def test_deep_nesting_is_harmless(tmp_path):
    write(tmp_path / "x.pth", b"]" * 200_000 + b"a" * 199_999, {}, legacy=False)
    with pytest.raises(CheckpointError, match="expected a mapping of names to tensors, got a list"):
        read_pytorch(tmp_path / "x.pth")


def test_copying_one_value_over_and_over_is_refused(tmp_path):
    text = writer.pickled_text("a" * 20_000) + b"q\x000"
    copies = b"c_codecs\nencode\nq\x01" + writer.pickled_text("latin1") + b"q\x0200"
    copies += b"".join(b"h\x01h\x00h\x02\x86R" for _ in range(50))
    write(tmp_path / "x.pth", b"}" + text + copies, {}, legacy=False)
    with pytest.raises(CheckpointError, match="asks encode for more data than it holds"):
        read_pytorch(tmp_path / "x.pth")


def test_refuses_a_compressed_archive_and_a_damaged_description(tmp_path):
    tensor = writer.pickled_tensor("0", "FloatStorage", 64, sizes=(64,), strides=(1,))
    program = writer.pickled_program(writer.pickled_mapping({"weight": tensor}))
    path = tmp_path / "x.pth"
    writer.write_zip(path, program, {"0": bytes(256)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match=r"is compressed, and torch.save never compresses"):
        read_pytorch(path)
    writer.write_zip(path, program, {"0": bytes(256)})
    path.write_bytes(path.read_bytes().replace(b"weight", b"height"))
    with pytest.raises(CheckpointError, match="checksum"):
        read_pytorch(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (b"\x80\x02K\x01.", "neither its zip archive nor its old magic number"),
        (b"PK\x03\x04", "zip"),
    ],
)
def test_names_the_file_that_is_not_a_checkpoint(tmp_path, content, message):
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"x\.pth: .*{message}"):
        read_pytorch(path)
    with pytest.raises(CheckpointError, match=r"absent.pth: cannot be read: No such file"):
        read_pytorch(tmp_path / "absent.pth")
