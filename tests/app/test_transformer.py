"""A vision transformer and a ResNet of ten classes at the command line, small: maps of tokens on their grid."""

import functools

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.app.layers import list_layers
from gradcam_jax.app.many_photos import explain_many
from gradcam_jax.app.one_photo import explain_one
from gradcam_jax.app.options import Options
from gradcam_jax.models.resnet import ResNet
from gradcam_jax.models.vision_transformer import VisionTransformer
from gradcam_jax.pipeline import open_run
from gradcam_jax.zoo import MODELS, Card, build_model, example_inputs, find, random_variables, write_checkpoint
from tests.app.small_models import write_photo
from tests.comparison import assert_close

LABELS = tuple(f"kind {number}" for number in range(10))
FIELDS = {"patch_size": 8, "width": 12, "layers": 2, "heads": 3, "hidden": 16, "input_size": 48}
SMALL = {
    "vit_b_16_torchvision": (functools.partial(VisionTransformer, **FIELDS), "encoder_layer_1/ln_1", 48),
    "resnet50_torchvision": (functools.partial(ResNet, blocks=(1, 1), channels=4), "layer2_0", 64),
}


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    """Small nets under the names of the large ones, each with a checkpoint of ten classes."""
    for name, (build, layer, size) in SMALL.items():
        entry = find(name)._replace(build=build, layer=layer, size=size)
        monkeypatch.setitem(MODELS, name, entry)
        variables = random_variables(build_model(entry, LABELS, ()), *example_inputs(entry))
        card = Card(name, entry.preprocessing.name, "none: random numbers", 0, labels=LABELS)
        write_checkpoint(tmp_path / f"{name}.safetensors", variables, card)
    (tmp_path / "photos").mkdir()
    for seed in range(3):
        write_photo(tmp_path / "photos" / f"{seed}.png", seed=seed)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "layer", "shape"),
    [
        ("vit_b_16_torchvision", "", (6, 6)),
        ("vit_b_16_torchvision", "encoder_layer_0", (6, 6)),
        ("vit_b_16_torchvision", "conv_proj", (6, 6)),
        ("resnet50_torchvision", "", (8, 8)),
    ],
)
def test_one_photo_and_many(checkpoints, name, layer, shape):
    options = functools.partial(
        Options, model=str(checkpoints / f"{name}.safetensors"), layer_name=layer, label="kind 3, kind 7"
    )
    one = checkpoints / "one"
    explain_one(options(input_image_path=str(checkpoints / "photos" / "1.png"), out_path=str(one)))
    with np.load(one / "explanation.npz") as arrays:
        cam = arrays["cam"]
        assert cam.shape == (2, *shape)
        assert arrays["guided_backprop"].shape[1:3] == arrays["heatmap"].shape[1:]
    with PIL.Image.open(one / "classify_overlay_4.png") as overlay:
        assert overlay.size == (60, 40)
    run = checkpoints / "run"
    assert explain_many(options(images=str(checkpoints / "photos"), out_path=str(run), workers=1)) == 0
    assert_close(open_run(run)["1.png"].arrays["cam"], cam, 2e-5)  # compiled otherwise


def test_tokens_have_numbers_as_layers_with_rows_and_columns_have(checkpoints):
    lines = []
    list_layers(Options(model="vit_b_16_torchvision"), lines.append)
    numbered = [line.split()[0] for line in lines if len(line.split()) == 3]
    assert numbered[:3] == ["conv_proj", "tokens", "encoder_layer_0/ln_1"]
    assert numbered[-1] == "ln"
    assert [line.split()[0] for line in lines if len(line.split()) == 2] == ["head"]
