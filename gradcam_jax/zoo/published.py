"""The published files that hold the original's weights: their addresses, sizes and digests.

The addresses of the Caffe and Torch7 files are those of the original program's ``models/download_models.sh``;
those of the PyTorch files are torchvision's. A size or a digest stands only where it could be confirmed:

- ``bvlc_alexnet.caffemodel``: SHA-1 in the Caffe model zoo's own readme.
- The VGG caffemodels: their authors publish neither. The SHA-1 values are those that Apache MXNet's Caffe
  converter checks (VGG-16's is also in OpenCV's list of test models); the byte counts are those that Caffe
  and loadcaffe logs report.
- torchvision publishes the first eight digits of the SHA-256 in the file name; the remaining digits and the
  sizes agree among many independent users of these files.
- The VQA and neuraltalk2 archives: no size and no digest is published, so both are None and only the
  length that the server announces is checked.
"""

from typing import Any

from gradcam_jax.downloads.sources import Digest, Source

_VGG_TERMS = "Creative Commons Attribution; cite arXiv:1409.1556"
_TORCHVISION_TERMS = "torchvision (BSD-3-Clause code); terms of the training data, ImageNet, may apply"
_VQA_TERMS = "BSD (VQA_LSTM_CNN)"

_OXFORD = "http://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe/"
_PYTORCH = "https://download.pytorch.org/models/"
_VIRGINIA_TECH = "https://filebox.ece.vt.edu/~jiasenlu/codeRelease/vqaRelease/train_only/"
# Copies that Apache MXNet's converter reads: only of files whose digest is known, which distinguishes a copy.
_MXNET = "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/caffe/models/"


def _source(file_name: str, folders: tuple[str, ...], **known: Any) -> Source:
    return Source(file_name, tuple(folder + file_name for folder in folders), **known)


VGG16_CAFFE = _source(
    "VGG_ILSVRC_16_layers.caffemodel",
    (_OXFORD, _MXNET + "vgg/"),
    terms=_VGG_TERMS,
    size=553_432_081,
    digest=Digest("sha1", "9363e1f6d65f7dba68c4f27a1e62105cdf6c4e24"),
)

VGG19_CAFFE = _source(
    "VGG_ILSVRC_19_layers.caffemodel",
    (_OXFORD, _MXNET + "vgg/"),
    terms=_VGG_TERMS,
    size=574_671_192,
    digest=Digest("sha1", "239785e7862442717d831f682bb824055e51e9ba"),
)

ALEXNET_CAFFE = _source(
    "bvlc_alexnet.caffemodel",
    ("http://dl.caffe.berkeleyvision.org/", _MXNET + "bvlc_alexnet/"),
    terms="unrestricted use (Caffe model zoo)",
    digest=Digest("sha1", "9116a64c0fbe4459d18f4bb6b56d647b63920377"),
)

VGG16_TORCHVISION = _source(
    "vgg16-397923af.pth",
    (_PYTORCH,),
    terms=_TORCHVISION_TERMS,
    size=553_433_881,
    digest=Digest("sha256", "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"),
)

VGG19_TORCHVISION = _source(
    "vgg19-dcbb9e9d.pth",
    (_PYTORCH,),
    terms=_TORCHVISION_TERMS,
    size=574_673_361,
    digest=Digest("sha256", "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44"),
)

ALEXNET_TORCHVISION = _source(
    "alexnet-owt-7be5be79.pth",
    (_PYTORCH,),
    terms=_TORCHVISION_TERMS,
    size=244_408_911,
    digest=Digest("sha256", "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"),
)

# Despite its name this is the model trained on the training set alone (VQA_LSTM_CNN's readme).
VQA_LSTM = _source("pretrained_lstm_train_val.t7.zip", (_VIRGINIA_TECH,), terms=_VQA_TERMS, member="*.t7")

# Large, because it also holds image features that are not needed here; its word list is published nowhere else,
# and the weights mean nothing without it.
VQA_VOCABULARY = _source("data_train_val.zip", (_VIRGINIA_TECH,), terms=_VQA_TERMS, member="data_prepro.json")

NEURALTALK2 = _source(
    "checkpoint_v1.zip",
    ("http://cs.stanford.edu/people/karpathy/neuraltalk2/",),
    terms="BSD (neuraltalk2)",
    member="*.t7",
)
