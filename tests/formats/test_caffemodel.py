import numpy as np
import pytest

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.caffemodel import caffe_arrays, read_caffemodel
from tests.formats import caffe_writer as writer

RANDOM = np.random.default_rng(0)


def small_net(dtype=np.float32):
    def normal(*shape):
        return RANDOM.normal(size=shape).astype(dtype)

    return [
        writer.Layer(
            "conv1",
            "Convolution",
            [normal(4, 3, 2, 5), normal(4)],
            ["data"],
            ["conv1"],
            {"num_output": 4, "pad": 1, "kernel_size": 5, "stride": 2, "group": 1},
        ),
        writer.Layer("relu1", "ReLU", (), ["conv1"], ["conv1"]),
        writer.Layer("norm1", "LRN", (), ["conv1"], ["norm1"], {"local_size": 5, "alpha": 0.25, "k": 1.0}),
        writer.Layer("fc", "InnerProduct", [normal(7, 12)], ["norm1"], ["fc"], {"num_output": 7}),
    ]


@pytest.mark.parametrize("layout", ["V0", "V1", "V2"])
@pytest.mark.parametrize("legacy_shape", [True, False])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reads_every_layout(tmp_path, layout, legacy_shape, packed, dtype):
    layers = small_net(dtype)
    path = tmp_path / "x.caffemodel"
    writer.write_caffemodel(path, layers, layout=layout, legacy_shape=legacy_shape, packed=packed, name="small")
    net = read_caffemodel(path)
    assert net.name == "small"
    assert [layer.name for layer in net.layers] == ["conv1", "relu1", "norm1", "fc"]
    arrays = caffe_arrays(net)
    assert list(arrays) == ["conv1/weight", "conv1/bias", "fc/weight"]
    expected = [blob for layer in layers for blob in layer.blobs]
    for array, blob in zip(arrays.values(), expected, strict=True):
        assert array.dtype == dtype
        assert not array.flags.writeable
        np.testing.assert_array_equal(array, blob)


def test_keeps_the_stored_shape_of_legacy_blobs(tmp_path):
    writer.write_caffemodel(tmp_path / "x", small_net())
    layers = read_caffemodel(tmp_path / "x").layers
    assert [blob.shape for blob in layers[0].blobs] == [(4, 3, 2, 5), (1, 1, 1, 4)]
    assert layers[3].blobs[0].shape == (1, 1, 7, 12)


def write_layer(path, *blob_pieces):
    """A V2 net of one inner product whose blobs are given as message pieces."""
    layer = [writer.text_field(1, "fc"), writer.text_field(2, "InnerProduct")]
    for pieces in blob_pieces:
        layer += writer.delimited(7, pieces)
    path.write_bytes(b"".join(writer.delimited(100, layer)))


def test_joins_data_in_pieces_and_skips_unknown_fields(tmp_path):
    data = np.arange(70, dtype=np.float32)
    pieces = [
        writer.key(10, 3) + writer.number_field(5, 1.0) + writer.key(10, 4),  # a group
        writer.number_field(99, 5),
        writer.key(98, 1) + bytes(8),
        *writer.delimited(5, [data[:3].tobytes()]),
        *writer.delimited(6, [bytes(280)]),  # diff, packed and unpacked
        *[writer.number_field(6, 1.0)] * 100,
        *[writer.number_field(5, float(value)) for value in data[3:]],
        *writer.delimited(7, [writer.number_field(1, 7), writer.number_field(1, 10)]),
        writer.key(10, 3) + writer.key(10, 4),
    ]
    write_layer(tmp_path / "x", pieces)
    np.testing.assert_array_equal(read_caffemodel(tmp_path / "x").layers[0].blobs[0], data.reshape(7, 10))


def test_batch_norm_statistics_have_their_own_names(tmp_path):
    ones = np.ones(3, np.float32)
    layer = writer.Layer("bn", "BatchNorm", [ones, ones * 2, ones[:1], ones])
    writer.write_caffemodel(tmp_path / "x", [layer], layout="V2", legacy_shape=False)
    assert list(caffe_arrays(read_caffemodel(tmp_path / "x"))) == [
        "bn/mean",
        "bn/variance",
        "bn/scale_factor",
        "bn/blob3",
    ]


def test_refuses_two_arrays_of_one_name(tmp_path):
    layer = writer.Layer("fc", "InnerProduct", [np.ones((2, 2), np.float32)])
    writer.write_caffemodel(tmp_path / "x", [layer, layer])
    with pytest.raises(CheckpointError, match="both are named 'fc/weight'"):
        caffe_arrays(read_caffemodel(tmp_path / "x"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x0a\x03net", "found no layers"),
        (b"\x07", "number 0 with wire type 7"),
        (b"\x12\x7f", "field 2 ends 127 bytes after"),
        (b"\x12" + b"\xff" * 11, "more than 10 bytes"),
        (b"\x12\x80", "the message ends within it"),
        (b"\x0c", "field 1 ends 0 bytes after"),
        (b"\x0b", "1 protobuf groups are not closed"),
        (b"\x10\x01", r"expected a message \(wire type 2\) as field 2, got wire type 0"),
    ],
)
def test_says_where_and_what_is_wrong(tmp_path, content, message):
    (tmp_path / "x.caffemodel").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"x\.caffemodel: at byte \d+: .*{message}"):
        read_caffemodel(tmp_path / "x.caffemodel")


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([*writer.delimited(5, [bytes(7)])], "expected whole float32 numbers, got 7 bytes"),
        ([*writer.delimited(5, [bytes(8)]), writer.number_field(1, 3)], r"got 2 numbers for \[3, 0, 0, 0\]"),
        ([writer.number_field(4, -1)], r"got 0 numbers for \[0, 0, 0, -1\]"),
        ([*writer.delimited(7, [writer.number_field(1, 1 << 62)] * 3)], "got 0 numbers for"),
        ([*writer.delimited(7, [writer.number_field(1, 1)] * 33), writer.number_field(5, 1.0)], "got 1"),
    ],
)
def test_refuses_a_blob_that_does_not_fill_its_shape(tmp_path, pieces, message):
    write_layer(tmp_path / "x", pieces)
    with pytest.raises(CheckpointError, match=message):
        read_caffemodel(tmp_path / "x")


def test_every_truncation_is_an_error(tmp_path):
    path = tmp_path / "x"
    writer.write_caffemodel(path, [writer.Layer("fc", "InnerProduct", [np.ones((2, 3), np.float32)])])
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError):
            read_caffemodel(path)
