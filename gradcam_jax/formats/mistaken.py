"""Files that lie where weights should, and are none: what they are, and how to come by the weights."""

import re

_DOWNLOAD_AGAIN = 'Download the file itself: of a page on GitHub or Hugging Face, its "raw" or "download" link'

# What a file begins with -> what it is, and the cure.
_KINDS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), description)
    for pattern, description in (
        (
            rb"version https://git-lfs\.github\.com/spec/",
            "is a Git LFS pointer, which stands for the weights and holds none. Fetch them with  git lfs pull  in "
            "the repository, or download the file itself",
        ),
        (
            rb"\.?/?(?:\.git/)?annex/objects/|/annex/objects/",
            "is a git-annex pointer, which stands for the weights and holds none. Fetch them with  git annex get",
        ),
        (
            rb"(?:\xef\xbb\xbf)?\s*(?:<!doctype html|<html|<head|<script)",
            f"is a web page, not weights: the link leads to a page about them. {_DOWNLOAD_AGAIN}",
        ),
        (
            rb"\s*<\?xml",
            f"is an XML text, often a server's refusal, not weights. {_DOWNLOAD_AGAIN}",
        ),
        (
            rb"\x89HDF\r\n\x1a\n",
            "is an HDF5 file (Keras, older Caffe), which is not read here. Load it where it was made, and save "
            "its arrays with safetensors or numpy.savez",
        ),
        (rb"\x1f\x8b", "is compressed by gzip. Unpack it first:  gunzip FILE  or  tar xzf FILE"),
        (rb"BZh[1-9]", "is compressed by bzip2. Unpack it first:  bunzip2 FILE  or  tar xjf FILE"),
        (rb"\xfd7zXZ\x00", "is compressed by xz. Unpack it first:  unxz FILE  or  tar xJf FILE"),
        (rb"\x28\xb5\x2f\xfd", "is compressed by zstd. Unpack it first:  unzstd FILE"),
        (
            rb"7z\xbc\xaf\x27\x1c|Rar!\x1a\x07",
            "is an archive (7z or rar). Unpack it first, and name the file inside",
        ),
        (rb".{257}ustar", "is a tar archive. Unpack it first:  tar xf FILE  and name the file inside"),
        (
            rb"GGUF",
            "is a GGUF file, of a quantised language model, which is not read here",
        ),
        (
            rb"\xff\xd8\xff|\x89PNG\r\n|GIF8|RIFF.{4}WEBP",
            "is a picture, not weights. A photo to explain is named by --input_image_path",
        ),
        (
            rb"(?:\s|#[^\n]*\n)*(?:name\s*:\s*\"|layers?\s*\{|input\s*:\s*\")",
            "is a prototxt, the description of a Caffe net without its weights. Name the .caffemodel",
        ),
    )
)
_LOOKED_AT = 512  # bytes

TORCHSCRIPT = (
    "is a TorchScript archive (torch.jit.save), a program with its weights. Save the weights alone:  "
    'torch.save(torch.jit.load("FILE", map_location="cpu").state_dict(), "weights.pth")'
)
"""What is said of one."""


def describe_mistaken(start: bytes) -> str:
    """Says what a file is that cannot be weights, and the cure; empty if its beginning does not tell.

    Args:
        start: What it begins with, 512 bytes or all.

    Example:
        >>> describe_mistaken(b"<!DOCTYPE html><html>")[:26]
        'is a web page, not weights'
        >>> describe_mistaken(bytes(100))
        ''
    """
    return next((description for pattern, description in _KINDS if pattern.match(start[:_LOOKED_AT])), "")


def describe_archive(names: list[str]) -> str:
    """Says what a zip archive is that holds neither PyTorch's weights nor numpy's arrays.

    Example:
        >>> describe_archive(["net/code/__torch__.py", "net/constants.pkl", "net/data.pkl"])[:24]
        'is a TorchScript archive'
        >>> describe_archive(["weights.pth", "readme.txt"])
        'is a zip archive with 2 files (weights.pth, readme.txt). Unpack it first, and name the file of weights'
    """
    if is_torchscript(names):
        return TORCHSCRIPT
    if {"config.json", "model.weights.h5"} <= set(names):
        return (
            "is a Keras 3 model, which is not read here. Load it with Keras, and save its arrays with safetensors "
            "or numpy.savez"
        )
    shown = ", ".join(name[:60] for name in names[:4]) + (", ..." if len(names) > 4 else "")
    files = "file" if len(names) == 1 else "files"
    return f"is a zip archive with {len(names)} {files} ({shown}). Unpack it first, and name the file of weights"


def is_torchscript(names: list[str]) -> bool:
    """Tells whether a zip archive is TorchScript's, by the names in it: code, or constants beside the weights."""
    # The first folder is the archive's own, and may have any name.
    return any(name.split("/")[-1] == "constants.pkl" or name.split("/")[1:2] == ["code"] for name in names)
