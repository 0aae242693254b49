import io
import zipfile

import numpy as np
import pytest

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.npz import read_npz

ARRAYS = {
    "weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "scalar": np.float64(2.5),
    "empty": np.zeros((0, 3), np.int8),
    "complex": np.ones(2, np.complex64),
    "big_endian": np.arange(3, dtype=">i4"),
    "names": np.array(["a", "bcd"]),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_as_numpy_does(tmp_path, save):
    save(tmp_path / "x.npz", **ARRAYS)
    read = read_npz(tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as expected:
        assert list(read) == list(expected)
        for name, array in read.items():
            assert array.dtype == expected[name].dtype
            np.testing.assert_array_equal(array, expected[name])
            assert not array.flags.writeable


def test_uncompressed_arrays_are_views(tmp_path):
    np.savez(tmp_path / "x.npz", weight=ARRAYS["weight"])
    assert not read_npz(tmp_path / "x.npz")["weight"].flags.owndata


def npy(array=ARRAYS["weight"]):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (npy(np.array([{}], object)), "not of objects"),
        (npy(np.zeros(2, [("a", "f4"), ("b", "i4")])), "not of objects"),
        (npy().replace(b"(3, 4)", b"(3, 5)"), r"to hold 60 bytes \(shape \[3, 5\], float32\), got 48"),
        (
            npy().replace(b"(3, 4), }        ", b"(1000000, 4000000), }")[:1000],
            "to hold 16000000000000 bytes",
        ),
        (npy().replace(b"<f4", b"<f3"), "unknown dtype '<f3'"),
        (npy().replace(b"NUMPY", b"NUMPX"), "to begin as a .npy file"),
        (npy().replace(b"NUMPY\x01", b"NUMPY\x09"), "to begin as a .npy file"),
        (npy()[:9], "to begin as a .npy file"),
        (npy()[:20], "declares a header of"),
        (b"", "to begin as a .npy file"),
    ],
)
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_refuses_what_the_header_does_not_bear_out(tmp_path, member, message, compression):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", compression) as archive:
        archive.writestr("w.npy", member)
    with pytest.raises(CheckpointError, match=message):
        read_npz(tmp_path / "x.npz")


def test_refuses_an_archive_that_unpacks_to_far_more_than_its_size(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", bytes(80 << 20))
    with pytest.raises(CheckpointError, match="unpack to more than 32 times its size"):
        read_npz(tmp_path / "x.npz")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_refuses_other_compressions_and_other_members(tmp_path, compression):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", compression) as archive:
        archive.writestr("w.npy", npy())
    with pytest.raises(CheckpointError, match=r"'w.npy' is encrypted, or compressed by an unknown method"):
        read_npz(tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match=r"expected an archive of \.npy arrays only"):
        read_npz(tmp_path / "x.npz")
