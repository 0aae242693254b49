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

from gradcam_jax.downloads.sources import Digest, Source

_VQA_TERMS = "BSD (VQA_LSTM_CNN)"

_VIRGINIA_TECH = "https://filebox.ece.vt.edu/~jiasenlu/codeRelease/vqaRelease/train_only/"
# Copies that Apache MXNet's converter reads: only of files whose digest is known, which distinguishes a copy.
_MXNET = "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/caffe/models/"


def _vgg_caffe(file_name: str, size: int, sha1: str) -> Source:
    addresses = (
        f"http://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe/{file_name}",
        f"{_MXNET}vgg/{file_name}",
    )
    terms = "Creative Commons Attribution; cite arXiv:1409.1556"
    return Source(file_name, addresses, terms, size, Digest("sha1", sha1))


def _torchvision(file_name: str, size: int, sha256: str) -> Source:
    terms = "torchvision (BSD-3-Clause code); terms of the training data, ImageNet, may apply"
    address = f"https://download.pytorch.org/models/{file_name}"
    return Source(file_name, (address,), terms, size, Digest("sha256", sha256))


def _archive(folder: str, file_name: str, terms: str, member: str) -> Source:
    return Source(file_name, (folder + file_name,), terms, member=member)


VGG16_CAFFE = _vgg_caffe(
    "VGG_ILSVRC_16_layers.caffemodel", 553_432_081, "9363e1f6d65f7dba68c4f27a1e62105cdf6c4e24"
)
VGG19_CAFFE = _vgg_caffe(
    "VGG_ILSVRC_19_layers.caffemodel", 574_671_192, "239785e7862442717d831f682bb824055e51e9ba"
)
ALEXNET_CAFFE = Source(
    "bvlc_alexnet.caffemodel",
    (
        "http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caffemodel",
        f"{_MXNET}bvlc_alexnet/bvlc_alexnet.caffemodel",
    ),
    terms="unrestricted use (Caffe model zoo)",
    digest=Digest("sha1", "9116a64c0fbe4459d18f4bb6b56d647b63920377"),
)

VGG16_TORCHVISION = _torchvision(
    "vgg16-397923af.pth", 553_433_881, "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"
)
VGG19_TORCHVISION = _torchvision(
    "vgg19-dcbb9e9d.pth", 574_673_361, "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44"
)
ALEXNET_TORCHVISION = _torchvision(
    "alexnet-owt-7be5be79.pth", 244_408_911, "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"
)
RESNET50_TORCHVISION = _torchvision(
    "resnet50-0676ba61.pth", 102_530_333, "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a"
)
VIT_B_16_TORCHVISION = _torchvision(
    "vit_b_16-c867db91.pth", 346_328_529, "c867db91d3e12c6cbadabb610d73c24a546bf82d8c03a9fea34f43a712ddb0e9"
)

# Despite its name this is the model trained on the training set alone (VQA_LSTM_CNN's readme).
VQA_LSTM = _archive(_VIRGINIA_TECH, "pretrained_lstm_train_val.t7.zip", _VQA_TERMS, "*.t7")
# Large, because it also holds image features that are not needed here; its word list is published nowhere else,
# and the weights mean nothing without it.
VQA_VOCABULARY = _archive(_VIRGINIA_TECH, "data_train_val.zip", _VQA_TERMS, "data_prepro.json")
NEURALTALK2 = _archive(
    "http://cs.stanford.edu/people/karpathy/neuraltalk2/", "checkpoint_v1.zip", "BSD (neuraltalk2)", "*.t7"
)
