"""Files that lie where weights should: each is named for what it is, with the way to the weights."""

import gzip
import io
import tarfile
import zipfile

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.pytorch import read_pytorch
from gradcam_jax.formats.recognise import recognise_format
from gradcam_jax.zoo import load

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 553433881\n"


def tar_archive():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("weights.pth"), io.BytesIO())
    return file.getvalue()


def zip_archive(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return file.getvalue()


def picture(format):
    file = io.BytesIO()
    PIL.Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, format)
    return file.getvalue()


FILES = {
    "lfs": (LFS, "is a Git LFS pointer, .* git lfs pull"),
    "annex": (b"/annex/objects/SHA256E-s553433881--397923af.pth\n", "is a git-annex pointer, .* git annex get"),
    "html": (b"\n<!DOCTYPE html>\n<html lang='en'>", "is a web page, not weights: .*Download the file itself"),
    "html again": (b"\xef\xbb\xbf<HTML><head>", "is a web page"),
    "xml": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "server's refusal"),
    "empty": (b"", "empty file: a download or a copy that did not finish. Fetch it again"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(64), r"is an HDF5 file \(Keras.*save its arrays with safetensors"),
    "gzip": (gzip.compress(b"weights"), "is compressed by gzip. Unpack it first"),
    "tar": (tar_archive(), "is a tar archive. Unpack it first"),
    "zip": (
        zip_archive("my/weights.pth", "readme"),
        r"zip archive with 2 files \(my/weights.pth, readme\). Unpack",
    ),
    "keras": (zip_archive("config.json", "metadata.json", "model.weights.h5"), "is a Keras 3 model"),
    "torchscript": (
        zip_archive("net/code/__torch__.py", "net/constants.pkl", "net/data.pkl", "net/version"),
        r"is a TorchScript archive \(torch.jit.save\), .*state_dict\(\), \"weights.pth\"\)",
    ),
    "jpeg": (picture("JPEG"), "is a picture, not weights. A photo to explain is named by --input_image_path"),
    "png": (picture("PNG"), "is a picture"),
    "prototxt": (b'name: "VGG_ILSVRC_16_layers"\ninput: "data"\n', "is a prototxt, .* Name the .caffemodel"),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("read", [recognise_format, load])
def test_it_is_said_what_a_file_is(tmp_path, kind, read):
    content, message = FILES[kind]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"model.safetensors:? .*{message}"):
        read(path)


def test_an_archive_of_weights_may_be_called_code(tmp_path):
    (tmp_path / "code.pth").write_bytes(zip_archive("code/data.pkl", "code/version", "code/data/0"))
    assert recognise_format(tmp_path / "code.pth") == "pytorch"


def test_torchscript_is_named_by_pytorchs_reader_too(tmp_path):
    (tmp_path / "net.pt").write_bytes(FILES["torchscript"][0])
    with pytest.raises(CheckpointError, match="is a TorchScript archive"):
        read_pytorch(tmp_path / "net.pt")
