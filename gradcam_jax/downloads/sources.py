"""The published files that hold the original's weights: where they lie and how to know them.

The addresses of the Caffe and Torch7 files are those of the original program's `models/download_models.sh`;
those of the PyTorch files are torchvision's. A size or a digest is given only where it could be confirmed:

- `bvlc_alexnet.caffemodel`: SHA-1 in the Caffe model zoo's own readme.
- The VGG caffemodels: their authors publish neither. The SHA-1 values are those that Apache MXNet's Caffe
  converter checks (VGG-16's is also in OpenCV's list of test models); the byte counts are those that Caffe
  and loadcaffe logs report.
- torchvision publishes the first eight digits of the SHA-256 in the file name; the remaining digits and the
  sizes agree among many independent users of these files.
- The VQA and neuraltalk2 archives: no size and no digest is published, so both are None and only the
  length that the server announces is checked.
"""

import difflib
from typing import NamedTuple

from gradcam_jax.errors import InputError


class Digest(NamedTuple):
    """A published digest of a file.

    Attributes:
      algorithm: a name that `hashlib` knows, such as `sha256`.
      hexadecimal: the digest in lower-case hexadecimal, or the first digits of it where no more is published.
    """

    algorithm: str
    hexadecimal: str


class Source(NamedTuple):
    """One published file.

    Attributes:
      file_name: the name it is kept under.
      addresses: where it is published, the author's own address first.
      models: the names of this project's models that need it.
      terms: the licence or terms its authors name, in a few words.
      size: its length in bytes, or None where it is not known.
      digest: what its bytes hash to, or None where it is not known.
      member: for an archive, the pattern of the one file in it that is needed; None for a plain file.
    """

    file_name: str
    addresses: tuple[str, ...]
    models: tuple[str, ...]
    terms: str
    size: int | None = None
    digest: Digest | None = None
    member: str | None = None


_VGG_TERMS = "Creative Commons Attribution; cite arXiv:1409.1556"
_TORCHVISION_TERMS = "torchvision (BSD-3-Clause code); terms of the training data, ImageNet, may apply"

# Copies of the three caffemodels that Apache MXNet's converter reads. Safe to use only because the digest of
# each file is known.
_MXNET_COPIES = "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/caffe/models/"

SOURCES: tuple[Source, ...] = (
    Source(
        file_name="VGG_ILSVRC_16_layers.caffemodel",
        addresses=(
            "http://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe/VGG_ILSVRC_16_layers.caffemodel",
            _MXNET_COPIES + "vgg/VGG_ILSVRC_16_layers.caffemodel",
        ),
        models=("vgg16",),
        terms=_VGG_TERMS,
        size=553_432_081,
        digest=Digest("sha1", "9363e1f6d65f7dba68c4f27a1e62105cdf6c4e24"),
    ),
    Source(
        file_name="VGG_ILSVRC_19_layers.caffemodel",
        addresses=(
            "http://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe/VGG_ILSVRC_19_layers.caffemodel",
            _MXNET_COPIES + "vgg/VGG_ILSVRC_19_layers.caffemodel",
        ),
        models=("vgg19", "vqa_vgg19"),
        terms=_VGG_TERMS,
        size=574_671_192,
        digest=Digest("sha1", "239785e7862442717d831f682bb824055e51e9ba"),
    ),
    Source(
        file_name="bvlc_alexnet.caffemodel",
        addresses=(
            "http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caffemodel",
            _MXNET_COPIES + "bvlc_alexnet/bvlc_alexnet.caffemodel",
        ),
        models=("alexnet",),
        terms="unrestricted use (Caffe model zoo)",
        digest=Digest("sha1", "9116a64c0fbe4459d18f4bb6b56d647b63920377"),
    ),
    Source(
        file_name="vgg16-397923af.pth",
        addresses=("https://download.pytorch.org/models/vgg16-397923af.pth",),
        models=("vgg16_torchvision",),
        terms=_TORCHVISION_TERMS,
        size=553_433_881,
        digest=Digest("sha256", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"),
    ),
    Source(
        file_name="vgg19-dcbb9e9d.pth",
        addresses=("https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",),
        models=("vgg19_torchvision",),
        terms=_TORCHVISION_TERMS,
        size=574_673_361,
        digest=Digest("sha256", "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44"),
    ),
    Source(
        file_name="alexnet-owt-7be5be79.pth",
        addresses=("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",),
        models=("alexnet_torchvision",),
        terms=_TORCHVISION_TERMS,
        size=244_408_911,
        digest=Digest("sha256", "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"),
    ),
    # Despite its name this is the model trained on the training set alone (VQA_LSTM_CNN's readme).
    Source(
        file_name="pretrained_lstm_train_val.t7.zip",
        addresses=(
            "https://filebox.ece.vt.edu/~jiasenlu/codeRelease/vqaRelease/train_only/"
            "pretrained_lstm_train_val.t7.zip",
        ),
        models=("vqa_vgg19",),
        terms="BSD (VQA_LSTM_CNN)",
        member="*.t7",
    ),
    # Large, because it also holds image features that are not needed here; its word list is published
    # nowhere else, and the weights mean nothing without it.
    Source(
        file_name="data_train_val.zip",
        addresses=("https://filebox.ece.vt.edu/~jiasenlu/codeRelease/vqaRelease/train_only/data_train_val.zip",),
        models=("vqa_vgg19",),
        terms="BSD (VQA_LSTM_CNN)",
        member="data_prepro.json",
    ),
    Source(
        file_name="checkpoint_v1.zip",
        addresses=("http://cs.stanford.edu/people/karpathy/neuraltalk2/checkpoint_v1.zip",),
        models=("captioner_vgg16",),
        terms="BSD (neuraltalk2)",
        member="*.t7",
    ),
)


def model_names() -> tuple[str, ...]:
    """Names every model that has published files, in the manifest's order."""
    return tuple(dict.fromkeys(name for source in SOURCES for name in source.models))


def sources_of(model: str) -> tuple[Source, ...]:
    """Lists the published files that a model is made from.

    Args:
      model: a name from `model_names()`.

    Returns:
      At least one source.

    Raises:
      InputError: no model of that name has published files; the message gives the nearest name.

    Example:
      >>> [source.file_name for source in sources_of("alexnet")]
      ['bvlc_alexnet.caffemodel']
    """
    found = tuple(source for source in SOURCES if model in source.models)
    if not found:
        names = model_names()
        nearest = difflib.get_close_matches(model, names, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise InputError(f"no published files are known for {model!r}: {hint}expected one of {', '.join(names)}")
    return found
