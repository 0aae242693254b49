import struct

import numpy as np
import pytest

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.torch7 import read_torch7
from gradcam_jax.formats.torch7_values import LuaFunction, Table, TorchObject, torch7_arrays
from tests.formats import torch7_writer as writer

MODES = pytest.mark.parametrize(
    "mode", [{"long_bytes": 8}, {"long_bytes": 4}, {"ascii": True}], ids=["binary", "binary32", "ascii"]
)


def round_trip(tmp_path, value, **mode):
    writer.write_torch7(tmp_path / "x.t7", value, **mode)
    return read_torch7(tmp_path / "x.t7")


def values_of(table):
    """Returns the values of a table that Lua wrote as a list: those under 1, 2, ... n, and no others."""
    return [table[index] for index in range(1, len(table) + 1)]


@MODES
@pytest.mark.parametrize("value", [None, True, False, 0, -3, 2.5, 1e300, 2.0**53, "", "word", "naïve", "a\nb c"])
def test_plain_values(tmp_path, mode, value):
    read = round_trip(tmp_path, value, **mode)
    assert read == value
    assert type(read) is (int if value == 2.0**53 else type(value))


@MODES
def test_numbers_that_are_no_numbers(tmp_path, mode):
    assert np.isnan(round_trip(tmp_path, float("nan"), **mode))
    assert round_trip(tmp_path, -np.inf, **mode) == -np.inf


@MODES
def test_strings_that_are_not_text_keep_their_bytes(tmp_path, mode):
    read = round_trip(tmp_path, b"\xff\x00\n", **mode)
    assert read.encode("utf-8", "surrogateescape") == b"\xff\x00\n"


@MODES
def test_tables(tmp_path, mode):
    read = round_trip(tmp_path, {"list": [1, "two", None], "nested": {"x": True}}, **mode)
    assert values_of(read["list"]) == [1, "two", None]
    assert read["nested"]["x"] is True
    assert len(read) == 2


@MODES
def test_true_and_1_are_two_keys_and_objects_are_keys_by_identity(tmp_path, mode):
    key, matrix, node = (
        writer.LuaTable(),
        writer.tensor(np.ones((1, 2))),
        writer.Object("nngraph.Node", {"id": 4}),
    )
    pairs = [(True, "true"), (1, "one"), (key, "table"), (matrix, "tensor"), (node, key)]
    read = round_trip(tmp_path, writer.LuaTable(pairs), **mode)
    assert (read[True], read[1], len(read)) == ("true", "one", 5)
    keys = list(read)
    assert keys[0] is True
    assert isinstance(keys[2], Table)
    assert read[keys[2]] == "table"
    assert read[keys[3]] == "tensor"
    assert keys[4]["id"] == 4
    assert read[keys[4]] is keys[2]
    assert Table() not in read


@MODES
def test_a_table_may_contain_itself(tmp_path, mode):
    table = writer.LuaTable()
    table.pairs += [("self", table), (table, 1)]
    read = round_trip(tmp_path, table, **mode)
    assert read["self"] is read
    assert read[read] == 1
    assert repr(read) == "<Lua table of 2 entries>"


@MODES
@pytest.mark.parametrize("element", writer.DTYPES)
def test_tensors_of_every_class(tmp_path, mode, element):
    array = np.arange(6).reshape(2, 3).astype(writer.DTYPES[element])
    read = round_trip(tmp_path, writer.tensor(array, element), **mode)
    assert read.dtype == ("int32" if mode.get("long_bytes") == 4 and "Long" in element else array.dtype)
    np.testing.assert_array_equal(read, array)


@MODES
def test_empty_tensors_and_storages(tmp_path, mode):
    empty = [
        writer.Tensor(None, [], []),
        writer.Tensor(writer.Storage(np.empty(0)), [], [], 0),
        writer.Storage(np.empty(0), "Long"),
    ]
    assert [array.shape for array in values_of(round_trip(tmp_path, empty, **mode))] == [(0,)] * 3


@MODES
def test_views_of_one_storage_share_it(tmp_path, mode):
    matrix, vector = np.arange(6.0).reshape(2, 3), np.arange(6.0, 10)
    storage, tensors = writer.flattened([matrix, vector])
    transposed = writer.Tensor(storage, [3, 2], [1, 3], 1)
    read = values_of(round_trip(tmp_path, [storage, *tensors, transposed], **mode))
    np.testing.assert_array_equal(read[1], matrix)
    np.testing.assert_array_equal(read[2], vector)
    np.testing.assert_array_equal(read[3], matrix.T)
    assert all(np.shares_memory(read[0], view) for view in read[1:])


@MODES
def test_classes_functions_and_tds(tmp_path, mode):
    function = writer.Function(b"\x1bLJ\n\x00", [1, 2])
    value = [
        writer.Object("nn.Linear", {"weight": writer.tensor(np.eye(2))}),
        writer.Object("nn.Old", {"p": 0.5}, version=None),
        writer.Object("nn.Custom", "not a table"),
        function,
        function,
        writer.Function(tag=7),
        writer.Function(tag=6),
        writer.Tds("tds.Vec", [5, "six"]),
        writer.Tds("tds.Hash", [("a", 1), ("b", [2])]),
        "last",
    ]
    read = values_of(round_trip(tmp_path, value, **mode))
    assert read[0].class_name == "nn.Linear"
    np.testing.assert_array_equal(read[0]["weight"], np.eye(2))
    assert (read[1].class_name, read[1]["p"], read[1].get("q", 7)) == ("nn.Old", 0.5, 7)
    assert (read[2].fields, read[2].get("p")) == ("not a table", None)
    assert isinstance(read[3], LuaFunction)
    assert read[3] is read[4]
    assert values_of(read[3].upvalues) == [1, 2]
    assert isinstance(read[5], LuaFunction)
    assert isinstance(read[6], LuaFunction)
    assert values_of(read[7]) == [5, "six"]
    assert values_of(read[8]["b"]) == [2]
    assert read[9] == "last"


def graph_module():
    """A gModule in nngraph's shape: nodes that are table keys of their neighbours, weights in one storage."""
    storage, (weight, bias) = writer.flattened([np.arange(6.0).reshape(2, 3), np.arange(2.0)], "Cuda")
    linear = writer.Object("nn.Linear", {"weight": weight, "bias": bias, "hook": writer.Function(upvalues=[None])})
    child, parent = writer.LuaTable(), writer.LuaTable()
    first, second = writer.Object("nngraph.Node", child), writer.Object("nngraph.Node", parent)
    child.pairs += [("id", 1), ("children", writer.LuaTable([(1, second), (second, 1)]))]
    parent.pairs += [("id", 2), ("data", {"module": linear}), ("children", writer.LuaTable([(first, 1)]))]
    return writer.Object("nn.gModule", {"forwardnodes": [first, second], "modules": [linear], "flat": storage})


@MODES
def test_a_graph_module_with_nodes_as_keys_and_shared_weights(tmp_path, mode):
    core = round_trip(tmp_path, {"protos": {"core": graph_module()}}, **mode)["protos"]["core"]
    linear = core["modules"][1]
    assert core["forwardnodes"][2]["data"]["module"] is linear
    assert core["forwardnodes"][1]["children"][core["forwardnodes"][2]] == 1
    assert np.shares_memory(linear["weight"], core["flat"])
    arrays = torch7_arrays(core)
    assert list(arrays) == ["flat", "modules/1/weight", "modules/1/bias"]
    np.testing.assert_array_equal(arrays["modules/1/bias"], [0, 1])


def test_the_published_vqa_file_has_the_length_that_the_layout_gives(tmp_path):
    vocabulary = 12602
    sizes = {"encoder_w_q": 3_564_033, "embedding_w_q": 200 * vocabulary + 200, "multimodal_w": 7_318_504}
    vectors = {name: np.zeros(size, np.float32) for name, size in sizes.items()}
    read = round_trip(tmp_path, {name: writer.tensor(vector, "Cuda") for name, vector in vectors.items()})
    assert (tmp_path / "x.t7").stat().st_size == 53_612_941
    assert {name: (array.size, array.dtype) for name, array in read.items()} == {
        name: (size, np.dtype("f4")) for name, size in sizes.items()
    }
    (tmp_path / "x.t7").unlink()


def integers(*values):
    return struct.pack(f"<{len(values)}i", *values)


def torch_class(name, index=1):
    return integers(4, index, 3) + b"V 1" + integers(len(name)) + name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x00\x08\x00", "begins with a tag of 0 to 8"),
        (integers(0, 0), "byte 4: expected the end of the file"),
        (integers(2, 100), "byte 4: expected the length of a string, got 100 with 0 bytes left"),
        (integers(2, -1), "byte 4: expected the length of a string, got -1"),
        (integers(1, 5), "byte 4: expected a number .8 bytes., but only 4 bytes are left"),
        (integers(3, 1, 1 << 30), "byte 8: expected a table's number of entries, got 1073741824"),
        (integers(3, 1, 1, 9, 0, 0), "byte 12: expected an object's tag of 0 to 8, got 9"),
        (integers(3, 1, 1, 0, 0, 0), "byte 12: expected a table's key, got nil"),
        (integers(8, 1, 77, 0), "byte 8: expected the size of a function's bytecode, got 77"),
        (torch_class(b"torch.FloatTensor") + integers(65), "expected 0 to 64 dimensions"),
        (
            torch_class(b"torch.FloatStorage") + struct.pack("<q", 1 << 61),
            "expected the 2305843009213693952 elements",
        ),
        (torch_class(b"torch.FloatStorage") + struct.pack("<q", -1), "got a negative position or length"),
        (
            torch_class(b"torch.FloatTensor") + integers(1) + struct.pack("<qqq", 1, 1, 1) + integers(4, 1),
            "object 1, a tensor or a storage, is said to contain itself",
        ),
        (
            torch_class(b"torch.FloatTensor") + integers(1) + struct.pack("<qqq", 1, 1, 1) + integers(0),
            "reaches element 0, but its storage has 0",
        ),
        (
            torch_class(b"torch.FloatTensor") + integers(1) + struct.pack("<qqq", 1, 1, 1) + integers(5, 1),
            "expected the storage of a torch.FloatTensor, got another object",
        ),
        (b"4\n1\nx\n", "expected the length of a class's version or name, got b'x'"),
        (b"1\n" + b"1" * 100, "expected a number, found no number"),
        (b"2\n5\nab\n", "got 5 with 3 bytes left"),
    ],
)
def test_says_where_and_what_is_wrong(tmp_path, content, message):
    (tmp_path / "x.t7").write_bytes(content)
    where = r"x\.t7: at " + ("" if message.startswith("byte") else r"byte \d+: .*")
    with pytest.raises(CheckpointError, match=where + message):
        read_torch7(tmp_path / "x.t7")


@MODES
def test_refuses_a_tensor_outside_its_storage(tmp_path, mode):
    storage = writer.Storage(np.arange(4.0))
    for sizes, strides, offset in (
        ([5], [1], 1),
        ([2, 2], [1, 3], 1),
        ([1], [1], 5),
        ([1], [1], 0),
        ([2], [-1], 4),
    ):
        writer.write_torch7(tmp_path / "x.t7", writer.Tensor(storage, sizes, strides, offset), **mode)
        with pytest.raises(CheckpointError, match="a tensor "):
            read_torch7(tmp_path / "x.t7")


@MODES
def test_every_truncation_is_an_error(tmp_path, mode):
    path = tmp_path / "x.t7"
    writer.write_torch7(path, [graph_module(), writer.tensor(np.ones(3), "Long"), True], **mode)
    whole = path.read_bytes()
    last = len(whole.rstrip()) if "ascii" in mode else len(whole)
    for length in range(last):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            read_torch7(path)


def nested_tables(depth):
    return b"".join(integers(3, index, 1, 5, 1) for index in range(1, depth + 1)) + integers(0)


def test_deep_nesting_needs_no_stack_and_has_a_limit(tmp_path):
    path = tmp_path / "x.t7"
    path.write_bytes(nested_tables(40_000))
    table, depth = read_torch7(path), 0
    while table is not None:
        table, depth = table[True], depth + 1
    assert depth == 40_000
    path.write_bytes(nested_tables(60_000))
    with pytest.raises(CheckpointError, match="nested at most 50000 deep"):
        read_torch7(path)


def test_paths_visit_every_object_once():
    inner, root = Table(), Table()
    inner["weight"], inner["up"] = np.ones(1), root
    root["a"], root["b"], root[True], root["c"] = inner, TorchObject("nn.Linear", inner), inner, "text"
    assert list(torch7_arrays(root)) == ["a/weight"]
    assert list(torch7_arrays(np.ones(2))) == [""]
