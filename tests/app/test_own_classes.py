"""Networks trained further, for other classes: converted with their names, from every program's files."""

import functools
import json

import flax.serialization
import flax.traverse_util
import jax
import numpy as np
import orbax.checkpoint
import pytest
import safetensors.numpy

import gradcam_jax as gc
from gradcam_jax.app import conversion
from gradcam_jax.app.main import explain_one
from gradcam_jax.app.options import Options
from gradcam_jax.errors import InputError
from gradcam_jax.models.vgg import vgg16, vgg16_torchvision
from gradcam_jax.zoo import MODELS, read_card
from tests.app.small_models import write_photo
from tests.conversion.caffe_nets import vgg_layers
from tests.formats.caffe_writer import write_caffemodel
from tests.formats.torch7_writer import Object, tensor, write_torch7
from tests.formats.torch_writer import write_state_dict

SMALL = {"channels": (4, 4, 4, 4, 512), "hidden": 16}
NAMES = ("sea eagle", "boat", "Pier", "sunset", "crowd")
CONVOLUTIONS = (2, 2, 3, 3, 3)


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch, tmp_path):
    for name, build in (("vgg16", vgg16), ("vgg16_torchvision", vgg16_torchvision)):
        monkeypatch.setitem(MODELS, name, MODELS[name]._replace(build=functools.partial(build, **SMALL)))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_text("\ufeff" + "\n".join(NAMES) + "\n\n", encoding="utf-8")


def blobs(classes=5):
    """The weights and biases of a small VGG-16, by Caffe's names."""
    return {layer.name: layer.blobs for layer in vgg_layers(CONVOLUTIONS, **SMALL, classes=classes) if layer.blobs}


def expected_params():
    layers = vgg_layers(CONVOLUTIONS, **SMALL, classes=len(NAMES))
    write_caffemodel("expected.caffemodel", layers)
    return gc.zoo.load(conversion.run("vgg16", ["expected.caffemodel"])).variables["params"]


def renamed_caffemodel(path):
    layers = vgg_layers(CONVOLUTIONS, **SMALL, classes=len(NAMES))
    for layer in layers:
        layer.name = "fc8_flickr" if layer.name == "fc8" else layer.name
    write_caffemodel(path, layers)


def torch7_net(path, *, unfolded=False, table=False):
    """A Torch7 network as loadcaffe makes one, its fully connected layers in a container of their own."""
    modules = []
    for name, (weight, bias) in blobs().items():
        fields = {"weight": weight, "bias": bias}
        kind = "nn.Linear" if weight.ndim == 2 else "nn.SpatialConvolution"
        if weight.ndim == 4:
            fields |= {"kW": 3, "kH": 3}
            fields["weight"] = weight.reshape(len(weight), -1) if unfolded else weight
        fields = {key: tensor(value) if isinstance(value, np.ndarray) else value for key, value in fields.items()}
        modules += [Object(kind, {**fields, "name": name}), Object("nn.ReLU", {"inplace": True})]
    features, classifier = (Object("nn.Sequential", {"modules": part}) for part in (modules[:26], modules[26:]))
    net = Object("nn.Sequential", {"modules": [features, Object("nn.View", {"numElements": 25088}), classifier]})
    write_torch7(path, {"model": net, "epoch": 3} if table else net)


def torch_names(classes=5):
    """The same network's state dict, as torchvision names it."""
    modules = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    layers = dict(
        zip(blobs(), [f"features.{m}" for m in modules] + [f"classifier.{m}" for m in (0, 3, 6)], strict=True)
    )
    return {
        f"{layers[name]}.{kind}": array
        for name, pair in blobs(classes).items()
        for kind, array in zip(("weight", "bias"), pair, strict=True)
    }


@pytest.mark.parametrize(
    ("model", "write", "said"),
    [
        ("vgg16", renamed_caffemodel, ["the last layer is 'fc8_flickr', in the place of 'fc8'"]),
        ("vgg16", torch7_net, []),
        ("vgg16", functools.partial(torch7_net, unfolded=True, table=True), []),
        (
            "vgg16_torchvision",
            lambda path: write_state_dict(path, {f"module.{k}": v for k, v in torch_names().items()}),
            ["all names begin with 'module.', which is taken off"],
        ),
        (
            "vgg16_torchvision",
            lambda path: safetensors.numpy.save_file(
                {f"model.{k.replace('classifier.6', 'classifier.6.1')}": v for k, v in torch_names().items()}, path
            ),
            [
                "all names begin with 'model.'",
                "the last layer is 'classifier.6.1', in the place of 'classifier.6'",
            ],
        ),
    ],
)
def test_every_programs_files_convert_with_their_classes(tmp_path, model, write, said):
    expected = expected_params()
    write(tmp_path / "mine.bin")
    lines = []
    path = conversion.run(model, ["mine.bin"], labels="names.txt", say=lines.append)
    assert path == tmp_path / "mine.safetensors"
    for line in said:
        assert any(line in other for other in lines), lines
    assert (read_card(path).model, read_card(path).labels) == (model, NAMES)
    loaded = gc.zoo.load(path)
    assert loaded.labels.entries == NAMES
    jax.tree.map(np.testing.assert_array_equal, loaded.variables["params"], expected)


@pytest.mark.parametrize("kind", ["safetensors", "dotted", "msgpack", "orbax", "our own"])
def test_our_network_trained_in_flax_converts(tmp_path, kind):
    params = expected_params()
    flat = flax.traverse_util.flatten_dict(params, sep="." if kind == "dotted" else "/")
    if kind in ("safetensors", "dotted"):
        safetensors.numpy.save_file(flat, "mine")
    elif kind == "msgpack":
        state = {"params": params, "opt_state": {"0": {"mu": params}}, "step": 7}
        (tmp_path / "mine").write_bytes(flax.serialization.msgpack_serialize(state))
    elif kind == "orbax":
        with orbax.checkpoint.StandardCheckpointer() as checkpointer:
            checkpointer.save(tmp_path / "mine", {"params": params})
    else:
        conversion.run("vgg16", ["expected.caffemodel"], "mine", labels=NAMES)
    path = conversion.run("vgg16", ["mine"], labels="" if kind == "our own" else "names.txt")
    assert read_card(path).labels == NAMES
    jax.tree.map(np.testing.assert_array_equal, gc.zoo.load(path).variables["params"], params)


def test_a_checkpoint_is_never_written_over_the_file_that_it_is_made_from(tmp_path):
    safetensors.numpy.save_file(torch_names(), "mine.safetensors")
    path = conversion.run("vgg16_torchvision", ["mine.safetensors"], labels="names.txt")
    assert path == tmp_path / "mine_converted.safetensors"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("nine.txt", r"Expected 5 labels, one for each class of mine.pth, got 9 in 'nine.txt'\."),
        ("hole.txt", r"Expected a name on each line of the labels 'hole.txt'; these are empty: 2\."),
        ("none.txt", r"The labels 'none.txt' cannot be read: No such file"),
        ("empty.txt", r"Expected the labels 'empty.txt' to have a name a line, got nothing"),
        ("latin.txt", r"The labels 'latin.txt' are no UTF-8 text"),
        ("broken.json", r"The labels 'broken.json' are no JSON"),
        ("gap.json", r"Expected the keys 0 to 1 in the labels 'gap.json', but 1 is not"),
        ("numbers.json", r"Expected names in the labels 'numbers.json', got \[1, 2\]"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, labels, message):
    write_state_dict(tmp_path / "mine.pth", torch_names())
    for name, text in {
        "nine.txt": "name\n" * 9,
        "hole.txt": "a\n\nc\nd\ne\n",
        "empty.txt": "\n \n",
        "broken.json": "[1, ",
        "gap.json": '{"0": "a", "2": "b"}',
        "numbers.json": "[1, 2]",
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "latin.txt").write_bytes("Käse\n".encode("latin-1"))
    with pytest.raises(InputError, match=message):
        conversion.run("vgg16_torchvision", ["mine.pth"], labels=labels)
    assert not (tmp_path / "mine.safetensors").exists()


@pytest.mark.parametrize(
    "content", [list(NAMES), dict(enumerate(NAMES)), {i: ["n0", n] for i, n in enumerate(NAMES)}]
)
def test_labels_may_be_json(tmp_path, content):
    write_state_dict(tmp_path / "mine.pth", torch_names())
    (tmp_path / "names.json").write_text(json.dumps(content))
    assert read_card(conversion.run("vgg16_torchvision", ["mine.pth"], labels="names.json")).labels == NAMES


def test_without_labels_classes_are_numbered_from_1_and_it_is_said(tmp_path):
    write_state_dict(tmp_path / "mine.pth", torch_names())
    lines = []
    path = conversion.run("vgg16_torchvision", ["mine.pth"], say=lines.append)
    assert read_card(path).labels == ("class 1", "class 2", "class 3", "class 4", "class 5")
    assert "mine.pth: its 5 classes have no names, so they are numbered from 1; --labels FILE names them" in lines


@pytest.mark.parametrize(("rename", "first"), [(False, "tench"), (True, "class 1")])
def test_a_thousand_classes_are_ilsvrcs_where_the_last_layer_has_its_own_name(tmp_path, rename, first):
    state = {
        name.replace("classifier.6", "head" if rename else "classifier.6"): a
        for name, a in torch_names(1000).items()
    }
    write_state_dict(tmp_path / "mine.pth", state)
    path = conversion.run("vgg16_torchvision", ["mine.pth"], "out.safetensors")
    assert read_card(path).labels[0] == first


def test_labels_are_for_classifiers(tmp_path):
    with pytest.raises(InputError, match="Labels are for classifiers; vqa_vgg19 has the answers"):
        conversion.run("vqa_vgg19", [], labels=NAMES)


@pytest.mark.parametrize(("label", "index"), [("Sea_Eagle", 0), ("3", 2), ("class", None), ("6", None)])
def test_a_photo_is_explained_by_own_names_and_numbers(tmp_path, label, index):
    write_state_dict(tmp_path / "mine.pth", torch_names())
    conversion.run("vgg16_torchvision", ["mine.pth"], labels="names.txt")
    photo = str(write_photo(tmp_path / "photo.png"))
    options = Options(model="mine.safetensors", input_image_path=photo, label=label, out_path="out")
    if index is None:
        with pytest.raises(InputError, match=r"no class 'class'|Expected a label from 1 to 5"):
            explain_one(options)
        return
    explain_one(options)
    record = json.loads((tmp_path / "out" / "explanation.json").read_text())
    assert [(t["name"], t["label"], t["class_index"]) for t in record["targets"]] == [
        (NAMES[index], index + 1, index)
    ]
    loaded = gc.zoo.load("mine.safetensors")
    image = loaded.entry.preprocessing.resize(gc.images.read_photo(photo), 224).image
    logits = loaded.model.apply(loaded.variables, gc.images.to_network(image, loaded.entry.preprocessing))
    np.testing.assert_allclose(record["targets"][0]["score"], logits[index], rtol=1e-4)
