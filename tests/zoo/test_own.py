"""A model of one's own from a function and a checkpoint of any kind: as if the zoo had it."""

import functools
import shutil

import flax.serialization
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint
import pytest
import safetensors.numpy
from flax import nnx
from flax.training.train_state import TrainState

import gradcam_jax as gc
from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.zoo import Card, find_layer, spatial_layers, write_checkpoint
from tests.comparison import assert_close
from tests.zoo import own_models
from tests.zoo.own_models import NAMES, SIZE, Net, NNXNet, linen_variables, nnx_model

HERE = "tests.zoo.own_models"
OPTIONS = {"recipe": f"{HERE}:SMALL", "layer": "second"}
IMAGE = np.random.default_rng(0).uniform(-1, 1, (SIZE, SIZE, 3)).astype(np.float32)


def arrays(tree, separator="/"):
    flat = flax.traverse_util.flatten_dict(jax.tree.map(np.asarray, tree), sep=separator)
    return {name: np.array(leaf) for name, leaf in flat.items()}


class State(TrainState):
    batch_stats: dict


def training_state(variables):
    state = State.create(
        apply_fn=Net().apply,
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        tx=optax.adam(1e-3),
    )
    return state.replace(step=7)


def save_orbax(folder, tree):
    with orbax.checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder.absolute(), tree)


def save_npz(path, arrays):
    with path.open("wb") as file:
        np.savez(file, **arrays)


def save_steps(folder, tree):
    with orbax.checkpoint.CheckpointManager(folder.absolute()) as manager:
        manager.save(9, args=orbax.checkpoint.args.StandardSave(jax.tree.map(jnp.zeros_like, tree)))
        manager.save(10, args=orbax.checkpoint.args.StandardSave(tree))


def save_items(folder, variables):
    with orbax.checkpoint.CheckpointManager(folder.absolute(), item_names=("extra", "state")) as manager:
        items = {"extra": {"x": jnp.ones(1)}, "state": training_state(variables)}
        composite = {name: orbax.checkpoint.args.StandardSave(tree) for name, tree in items.items()}
        manager.save(3, args=orbax.checkpoint.args.Composite(**composite))


CHECKPOINTS = {
    "orbax": save_orbax,
    "orbax training state": lambda path, v: save_orbax(path, training_state(v)),
    "orbax steps": lambda path, v: save_steps(path, training_state(v)),
    "orbax items": save_items,
    "safetensors": lambda path, v: safetensors.numpy.save_file(arrays(v), path),
    "safetensors with dots": lambda path, v: safetensors.numpy.save_file(arrays(v, "."), path),
    "safetensors inside": lambda path, v: safetensors.numpy.save_file(
        arrays({"model": v, "step": {"n": 1}}), path
    ),
    "npz": lambda path, v: save_npz(path, arrays(v)),
    "msgpack": lambda path, v: path.write_bytes(flax.serialization.to_bytes(v)),
    "msgpack training state": lambda path, v: path.write_bytes(flax.serialization.to_bytes(training_state(v))),
    "our own": lambda path, v: write_checkpoint(path, v, Card("any", "any", "any", 0, labels=NAMES)),
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_linen_model_has_its_checkpoints_weights(tmp_path, kind):
    variables = linen_variables()
    CHECKPOINTS[kind](tmp_path / "mine", variables)
    loaded = gc.zoo.load(f"{HERE}:linen", checkpoint=tmp_path / "mine", labels=NAMES, **OPTIONS)
    shutil.rmtree(tmp_path)  # what is mapped or read stays
    assert loaded.labels.entries == NAMES
    assert (loaded.name, loaded.source) == (f"{HERE}:linen", str(tmp_path / "mine"))
    assert_close(loaded.tapped()({}, IMAGE)[0], Net().apply(variables, IMAGE[None], False)[0], 1e-6)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, dict(variables))


NNX_CHECKPOINTS = {
    "orbax": lambda path, model: save_orbax(path, nnx.state(model)),
    "orbax pure": lambda path, model: save_orbax(
        path, nnx.to_pure_dict(nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat)))
    ),
    "safetensors": lambda path, model: safetensors.numpy.save_file(
        arrays(nnx.to_pure_dict(nnx.state(model, nnx.Not(nnx.RngState))) | {"convs": convs_of(model)}, "/"), path
    ),
}


def convs_of(model):
    pure = nnx.to_pure_dict(nnx.state(model, nnx.Param))["convs"]
    return {str(number): leaves for number, leaves in pure.items()}


@pytest.mark.parametrize("kind", NNX_CHECKPOINTS)
def test_an_nnx_model_has_its_checkpoints_weights(tmp_path, kind):
    model = nnx_model(seed=5)
    NNX_CHECKPOINTS[kind](tmp_path / "mine", model)
    options = {**OPTIONS, "layer": "convs.1"}
    loaded = gc.zoo.load(NNXNet, checkpoint=tmp_path / "mine", labels=NAMES, **options)
    model.eval()
    assert_close(loaded.tapped()({}, IMAGE)[0], model(IMAGE[None])[0], 1e-6)
    assert loaded.name == f"{HERE}:NNXNet"


def test_maps_are_those_of_the_model_called_directly(tmp_path):
    variables = linen_variables()
    save_orbax(tmp_path / "mine", variables)
    loaded = gc.zoo.load(own_models.linen, checkpoint=tmp_path / "mine", labels=NAMES, **OPTIONS)
    task = gc.tasks.classification(loaded, label="dog, 1")
    photo = np.random.default_rng(1).integers(0, 255, (50, 60, 3), np.uint8)
    found = gc.tasks.explain_photo(task, photo, methods=gc.tasks.METHODS)
    image = gc.images.to_network(own_models.SMALL.resize(photo, SIZE).image, own_models.SMALL)
    forward = gc.tapped(Net(), variables, "second", train=False)
    expected = gc.explain(forward, image[None], jnp.array([[3, 0]]), guided=True)
    for row, cam, score in zip(found.description.rows, expected.cam[0], expected.scores[0], strict=True):
        assert_close(row.cam, cam, 1e-5)
        assert_close(row.score, score, 1e-5)
    assert [row.name for row in found.description.rows] == ["dog", "ant"]
    assert expected.guided_backprop is not None
    gradients = np.stack([row.guided_backprop for row in found.description.rows])
    assert_close(gradients, gc.images.to_rgb(expected.guided_backprop[0], own_models.SMALL), 1e-5)


def test_a_transformers_tokens_are_mapped_on_their_grid():
    loaded = gc.zoo.load(f"{HERE}:vit", recipe=own_models.SMALL)
    assert "its 26 tokens are taken for 5x5 positions after 1 class tokens" in loaded.notes
    photo = np.random.default_rng(1).integers(0, 255, (50, 60, 3), np.uint8)
    found = gc.tasks.explain_photo(gc.tasks.classification(loaded, label="2"), photo)
    image = gc.images.to_network(own_models.SMALL.resize(photo, SIZE).image, own_models.SMALL)
    forward = gc.tapped(own_models.vit(), loaded.entry.layer)
    expected = gc.explain(forward, image[None], jnp.array([[1]]), layout=gc.token_grid())
    assert_close(found.description.rows[0].cam, expected.cam[0, 0], 1e-5)
    assert found.description.rows[0].cam.shape == (5, 5)


@pytest.mark.parametrize("name", ["with_variables", "as_tapped", "as_functions"])
def test_what_has_its_weights_needs_no_checkpoint(name):
    loaded = gc.zoo.load(
        f"{HERE}:{name}", recipe=own_models.SMALL, layer="features" if name == "as_functions" else "second"
    )
    assert_close(loaded.tapped()({}, IMAGE)[0], Net().apply(linen_variables(), IMAGE[None], False)[0], 1e-6)
    assert loaded.labels.entries == ("class 1", "class 2", "class 3", "class 4", "class 5")
    assert "its 5 classes have no names, so they are numbered from 1" in loaded.notes


def test_what_is_not_said_is_chosen_and_noted(tmp_path):
    write_checkpoint(tmp_path / "mine", linen_variables(), Card("any", "any", "any", 0, labels=NAMES))
    loaded = gc.zoo.load(own_models.linen, checkpoint=tmp_path / "mine", size=SIZE)
    assert loaded.labels.entries == NAMES  # the card's
    assert loaded.entry.preprocessing.name == "zero_to_one"
    assert loaded.entry.layer == "second.relu" == find_layer(loaded, "")
    assert loaded.notes == (
        "recipe zero_to_one, since none is named: RGB in [0, 1], the whole photo",
        "layer second.relu: The last of 5 layers with a spatial extent: 10x10 positions of 12 channels, before "
        "the outputs pool them.",
    )
    assert list(spatial_layers(loaded)) == ["first", "norm", "norm.relu", "second", "second.relu"]
    assert find_layer(loaded, "4") == "second"


def test_a_model_itself_and_a_partial_function_will_do(tmp_path):
    save_orbax(tmp_path / "mine", linen_variables())
    expected = Net().apply(linen_variables(), IMAGE[None], False)[0]
    for made in (Net(), functools.partial(Net)):
        loaded = gc.zoo.load(made, checkpoint=tmp_path / "mine", labels=NAMES, **OPTIONS)
        assert_close(loaded.tapped()({}, IMAGE)[0], expected, 1e-6)
    tapped = gc.zoo.load(own_models.as_tapped(), labels=NAMES, **{**OPTIONS, "layer": "4"})
    assert_close(tapped.tapped()({}, IMAGE)[0], expected, 1e-6)
    assert tapped.entry.layer == "second"  # the fourth


def test_a_function_may_read_the_checkpoint_itself(tmp_path):
    write_checkpoint(tmp_path / "mine", {"params": {"x": np.zeros(1, np.float32)}}, Card("any", "any", "any", 0))
    loaded = gc.zoo.load(f"{HERE}:reads_itself", checkpoint=tmp_path / "mine", labels=NAMES, **OPTIONS)
    assert_close(loaded.tapped()({}, IMAGE)[0], Net().apply(linen_variables(), IMAGE[None], False)[0], 1e-6)


def test_weights_and_labels_make_the_digest(tmp_path):
    digests = set()
    for seed, labels in ((0, NAMES), (1, NAMES), (0, NAMES[::-1])):
        save_orbax(tmp_path / f"{seed}{labels[0]}", linen_variables(seed))
        path = tmp_path / f"{seed}{labels[0]}"
        digests.add(gc.zoo.load(own_models.linen, checkpoint=path, labels=labels, **OPTIONS).digest())
    again = gc.zoo.load(own_models.linen, checkpoint=tmp_path / "0ant", labels=NAMES, **OPTIONS).digest()
    assert len(digests) == 3
    assert again in digests


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("linen", {}, "returns a Linen module, which needs weights: --checkpoint FOLDER_OR_FILE"),
        ("linan", {}, "'tests.zoo.own_models' has no 'linan'. Nearest: linen"),
        ("NO_FUNCTION", {}, "to be a function that returns a model, got int"),
        ("nothing", {}, r"to return a Flax module \(Linen or NNX\), .* got NoneType"),
        ("needs_more", {}, "needs width, which are not known here. Name a function without arguments"),
        ("reads_itself", {}, "takes a checkpoint, and none is named"),
        ("as_tapped", {"checkpoint": "any"}, "returns a tapped model, which has its weights already"),
        ("two_outputs", {}, r"an array \(classes,\) for one image, got 3 float32, a number float32"),
        ("with_variables", {"labels": NAMES[:3]}, r"Expected 5 labels, one for each class of .*, got 3\."),
        ("with_variables", {"recipe": f"{HERE}:SIZE"}, "to be a gradcam_jax.images.Preprocessing, got int"),
        ("with_variables", {"recipe": "torchvison"}, "There is no recipe 'torchvison'. Nearest: torchvision"),
        ("with_variables", {"layer": "secnd"}, "secnd.*second"),
        ("with_variables", {"layer": "9"}, "Expected a layer number from 1 to 5, got 9"),
        ("with_variables", {"layer": "head"}, "Layer 'head' has no spatial extent"),
        ("linen", {"checkpoint": "none"}, "There is no checkpoint 'none'"),
        ("with_variables", {"task": "vqa"}, "A model of one's own is a classifier; vqa needs one of the zoo's"),
    ],
)
def test_mistakes_are_said(name, options, message):
    with pytest.raises(InputError, match=message):
        gc.zoo.load(f"{HERE}:{name}", **options)


def test_a_module_that_is_not_there_is_said_and_a_fault_inside_one_is_shown(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"There is no module 'nowhere' for 'nowhere.models:make', neither"):
        gc.zoo.load("nowhere.models:make")
    with pytest.raises(InputError, match=r"Expected a module's name, got the file's: models:make\."):
        gc.zoo.load("models.py:make")
    (tmp_path / "broken_models.py").write_text("import a_library_that_is_missing\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_library_that_is_missing"):
        gc.zoo.load("broken_models:make")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda v: v["params"].pop("head"),
            "mine: The arrays do not fit the model in 2 places:\n  missing: params/head",
        ),
        (lambda v: v["params"].update(more={"x": np.ones(1)}), "unexpected: params/more/x"),
        (lambda v: v["params"]["head"].update(bias=np.ones(7)), r"mis-shaped: params/head/bias is \(7,\)"),
        (
            lambda v: [v.clear(), v.update(other=np.ones(1))],
            "has none of the model's arrays, such as .* it has other",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_says_where(tmp_path, change, message):
    variables = flax.serialization.to_state_dict(linen_variables())
    change(variables)
    (tmp_path / "mine").write_bytes(flax.serialization.msgpack_serialize(jax.tree.map(np.asarray, variables)))
    with pytest.raises(CheckpointError, match=message):
        gc.zoo.load(own_models.linen, checkpoint=tmp_path / "mine", **OPTIONS)


def test_files_of_other_kinds_are_named(tmp_path):
    for name, content, message in (
        ("lfs", b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (
            "cut",
            flax.serialization.msgpack_serialize({"params": np.ones(9)})[:-8],
            "is no whole msgpack file of Flax",
        ),
        ("net.caffemodel", b"\x0a\x01x\xa2\x06\x00", "expected a Flax model's checkpoint .* got caffemodel"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            gc.zoo.load(own_models.linen, checkpoint=tmp_path / name, **OPTIONS)
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckpointError, match=r"expected the folder of a checkpoint that Orbax wrote"):
        gc.zoo.load(own_models.linen, checkpoint=tmp_path / "folder", **OPTIONS)
    with pytest.raises(
        InputError, match=r"holds weights .* that do not tell which model they are of. Name it too"
    ):
        gc.zoo.load(tmp_path / "folder")


def test_averaged_weights_beside_the_others_are_an_error(tmp_path):
    variables = linen_variables()
    safetensors.numpy.save_file(arrays({"model": variables, "ema": linen_variables(1)}), tmp_path / "mine")
    with pytest.raises(CheckpointError, match=r"mine: The checkpoint holds the model's 'batch_stats' 2 times"):
        gc.zoo.load(own_models.linen, checkpoint=tmp_path / "mine", **OPTIONS)


def test_caller_models_are_not_changed(tmp_path):
    model = nnx_model()
    save_orbax(tmp_path / "mine", nnx.state(nnx_model(seed=9)))
    before = jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    gc.zoo.load(lambda: model, checkpoint=tmp_path / "mine", **{**OPTIONS, "layer": "convs.1"})
    after = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.asarray, after))
    assert not model.dropout.deterministic
