"""Models by name and from checkpoints, of every task: found, read, and refused with a reason."""

import jax
import numpy as np
import pytest

from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.images.preprocessing import ORIGINAL
from gradcam_jax.models.vgg import VGG
from gradcam_jax.models.vqa import VQA
from gradcam_jax.zoo import DEFAULTS, MODELS, Card, Entry, build_model, example_inputs, load, write_checkpoint
from gradcam_jax.zoo.places import package_path
from tests.app.small_checkpoint import write_small_captioner
from tests.comparison import kaiming_variables

CARD = Card("small", "original", "none", 0, labels=("yes", "no", "dog"), words=("what", "?", "UNK"))
needs_lite0 = pytest.mark.skipif(
    package_path(MODELS["efficientnet_lite0"]) is None,
    reason=f"needs EfficientNet-Lite0's weights: {MODELS['efficientnet_lite0'].package.install}",
)


def build_vqa(words, answers, **sizes):
    cnn = VGG((1, 1), (4, 6), hidden=10, classes=None, input_size=12)
    return VQA(cnn=cnn, words=words, answers=answers, **{"embedding": 5, "hidden": 6, "common": 8} | sizes)


def build_classifier(**fields):
    return VGG((1, 1), (4, 6), hidden=10, input_size=12, **fields)


ENTRIES = (
    Entry("small", "vqa", build_vqa, "cnn/relu2_1", ORIGINAL, 12, trained_by="make it"),
    Entry("small_classifier", "classification", build_classifier, "relu2_1", ORIGINAL, 12, trained_by="make it"),
)


@pytest.fixture
def small(monkeypatch):
    for entry in ENTRIES:
        monkeypatch.setitem(MODELS, entry.name, entry)


@pytest.fixture
def checkpoint(small, tmp_path):
    model = build_vqa(3, 3, embedding=4, hidden=7, common=9)
    variables = kaiming_variables(variable_shapes(model, *example_inputs(ENTRIES[0])))
    path = tmp_path / "mine.safetensors"
    write_checkpoint(path, variables, CARD)
    return path, variables


def test_the_sizes_words_and_answers_are_the_checkpoints(checkpoint):
    path, variables = checkpoint
    loaded = load(path, task="vqa")
    assert (loaded.model.embedding, loaded.model.hidden, loaded.model.common) == (4, 7, 9)
    assert loaded.words.entries == CARD.words
    assert loaded.labels.entries == CARD.labels
    assert (loaded.card, loaded.statistics, loaded.name) == (CARD, {}, "small")
    jax.tree.map(np.testing.assert_array_equal, variables, loaded.variables)


def test_a_vocabulary_of_other_length_does_not_fit(checkpoint, tmp_path):
    path = tmp_path / "other.safetensors"
    write_checkpoint(path, checkpoint[1], CARD._replace(labels=("yes", "no")))
    with pytest.raises(CheckpointError, match=r"mis-shaped: params/classifier"):
        load(path)


def test_the_classes_are_the_checkpoints(small, tmp_path):
    path = tmp_path / "mine.safetensors"
    model = build_model(ENTRIES[1], ("ant", "bee", "ant"), ())
    variables = kaiming_variables(variable_shapes(model, *example_inputs(ENTRIES[1])))
    write_checkpoint(
        path, variables, Card("small_classifier", "original", "none", 0, labels=("ant", "bee", "ant"))
    )
    loaded = load(str(path), task="classification")
    assert loaded.model.classes == 3
    assert loaded.labels.entries == ("ant (1)", "bee", "ant (3)")
    assert loaded.words.entries == ()


@needs_lite0
def test_imagenet_classes_of_one_name_carry_their_numbers():
    loaded = load()
    assert loaded.name == DEFAULTS["classification"]
    assert loaded.card is None
    assert loaded.labels.entries[242] == "boxer"
    assert loaded.labels.find("crane (135)") == 134
    assert loaded.labels.find("crane (518)") == 517


@needs_lite0
@pytest.mark.parametrize("task", DEFAULTS)
def test_without_a_name_the_tasks_default(task):
    assert load(task=task).name == DEFAULTS[task]


def test_an_unknown_task_lists_the_nearest():
    for name in ("", "vqa_lite0"):
        with pytest.raises(InputError, match=r"There is no task 'vqas'\. Nearest: vqa"):
            load(name, task="vqas")


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("vgg16", "vqa", "vgg16 answers no questions. Models for vqa: vqa_lite0, vqa_vgg19, vqa_easy."),
        ("vgg16", "captioning", "vgg16 is no captioner. Models for captioning: captioner_lite0, captioner_vgg16."),
        (
            "vqa_lite0",
            "classification",
            "vqa_lite0 is no classifier. Models for classification: efficient",
        ),
    ],
)
def test_a_model_of_another_task_is_refused(tmp_path, name, task, message):
    with pytest.raises(InputError, match=message):
        load(name, task=task)
    path = tmp_path / "mine.safetensors"
    write_checkpoint(path, {"params": {"fc8": {"bias": np.zeros(2, np.float32)}}}, CARD._replace(model=name))
    with pytest.raises(CheckpointError, match=f"mine.safetensors' holds {name}, which {message[len(name) + 1 :]}"):
        load(str(path), task=task)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("vqa_lite0", "params/word_embedding/kernel"),
        ("captioner_lite0", "params/word_embedding/embedding"),
    ],
)
def test_a_head_of_another_shape_is_refused(tmp_path, name, array):
    path = tmp_path / "other.safetensors"
    write_checkpoint(path, {"params": {"bias": np.zeros(3, np.float32)}}, CARD._replace(model=name))
    with pytest.raises(CheckpointError, match=f"Expected the weights of {name}, but {array} is missing"):
        load(path)


def test_a_card_that_names_no_model_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    write_checkpoint(path, {"params": {"bias": np.zeros(3, np.float32)}}, CARD._replace(model="vgg61"))
    with pytest.raises(CheckpointError, match=r"no model of the zoo. There is no model 'vgg61'. Nearest: vgg19"):
        load(path)


@pytest.mark.parametrize(
    ("name", "task", "nearest"),
    [
        ("vqa_lite", "vqa", "vqa_lite0, vqa_easy, vqa_vgg19"),
        ("captioner", "captioning", "captioner_vgg16, captioner_lite0"),
        ("vgg61", "", "vgg19, vgg16"),
    ],
)
def test_a_mistyped_name_lists_the_nearest_of_the_task(name, task, nearest):
    with pytest.raises(InputError, match=f"There is no model or file '{name}'. Nearest: {nearest}"):
        load(name, task=task)


@pytest.mark.parametrize(
    ("name", "task", "commands"),
    [
        ("lstm.t7", "vqa", r"--model vqa_vgg19 CAFFEMODEL \S*lstm.t7 VOCABULARY$"),
        ("model.t7", "captioning", r"--model captioner_vgg16 \S*model.t7$"),
        (
            "model.t7",
            "",
            r"--model vgg16 .* --model vqa_vgg19 CAFFEMODEL .* VOCABULARY  or  --model captioner_vgg16 \S*.t7$",
        ),
        ("net.caffemodel", "classification", r"--model vgg16 .*  or  --model alexnet \S*net.caffemodel$"),
        ("weights.pth", "classification", r"--model efficientnet_lite0 .* --model alexnet_torchvision \S*.pth"),
    ],
)
def test_another_programs_file_comes_with_the_command_that_converts_it(tmp_path, name, task, commands):
    path = tmp_path / name
    with pytest.raises(InputError, match=r"python scripts/convert_checkpoint\.py " + commands):
        load(path, task=task)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("vqa_lite0", r"python scripts/train\.py --task vqa --data DIR"),
        ("captioner_vgg16", r"python scripts/download_checkpoints\.py captioner_vgg16"),
        ("vgg16", r"python scripts/download_checkpoints\.py vgg16"),
    ],
)
def test_missing_weights_come_with_the_command_that_gets_them(monkeypatch, tmp_path, name, command):
    monkeypatch.setattr("gradcam_jax.zoo.places.checkpoint_folders", lambda: [tmp_path])
    with pytest.raises(InputError, match=f"The weights of {name} are not here. Get them with:  {command}"):
        load(name)


@pytest.mark.parametrize("name", ["vgg16", "vqa_easy"])
def test_a_checkpoint_under_another_models_name_is_refused(checkpoint, monkeypatch, tmp_path, name):
    monkeypatch.setattr("gradcam_jax.zoo.places.checkpoint_folders", lambda: [tmp_path])
    checkpoint[0].rename(tmp_path / f"{name}.safetensors")
    with pytest.raises(CheckpointError, match=f"holds the weights of small, not of {name}"):
        load(name)


@needs_lite0
def test_a_head_is_put_on_its_cnn(tmp_path, monkeypatch):
    monkeypatch.setattr("gradcam_jax.zoo.places.checkpoint_folders", lambda: [tmp_path])
    write_small_captioner(tmp_path)
    loaded, classifier = load("captioner_lite0"), load("efficientnet_lite0")
    assert loaded.model.hidden_size == 16
    assert loaded.statistics["mean_features"].shape == (1280,)
    cnn = loaded.variables["params"]["cnn"]
    assert cnn.keys() == classifier.variables["params"].keys() - {"classifier"}
    np.testing.assert_array_equal(cnn["head"]["kernel"], classifier.variables["params"]["head"]["kernel"])
    jax.tree.map(
        np.testing.assert_array_equal,
        loaded.variables["batch_stats"],
        {"cnn": classifier.variables["batch_stats"]},
    )


@needs_lite0
def test_a_checkpoint_may_hold_a_cnn_of_its_own(tmp_path):
    """As one whose CNN was trained too."""
    small = load(write_small_captioner(tmp_path))
    trained = jax.tree.map(lambda leaf: leaf + np.float32(1), small.variables)
    path = tmp_path / "trained.safetensors"
    write_checkpoint(path, trained, small.card)
    loaded = load(path)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, trained)
    assert loaded.statistics == {}
