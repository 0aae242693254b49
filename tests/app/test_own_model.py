"""A model of one's own at the command line: one photo, many, a run that goes on, its layers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint
import pytest
from flax import nnx

import gradcam_jax as gc
from gradcam_jax.app import conversion
from gradcam_jax.app.layers import list_layers
from gradcam_jax.app.many_photos import explain_many
from gradcam_jax.app.one_photo import explain_one
from gradcam_jax.app.options import Options
from gradcam_jax.errors import InputError
from gradcam_jax.formats.pytorch import read_pytorch
from gradcam_jax.pipeline import open_run
from gradcam_jax.text.ilsvrc import imagenet_classes
from tests.app.small_models import ENTRIES, add_small_models, write_photo
from tests.app.test_conversion import LITE0, needs_lite0
from tests.comparison import assert_close
from tests.formats.torch_writer import write_state_dict
from tests.zoo import own_models
from tests.zoo.own_models import NAMES, Net, linen_variables, nnx_model

ROOT = Path(__file__).resolve().parents[2]
HERE = "tests.zoo.own_models"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with checkpoints, labels and photos, and the process in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    (tmp_path / "photos").mkdir()
    for number in range(5):
        write_photo(tmp_path / "photos" / f"{number}.png", seed=number)
    (tmp_path / "photos" / "broken.png").write_bytes(b"no photo")
    for name, tree in (
        ("linen", linen_variables()),
        ("other", linen_variables(1)),
        ("nnx", nnx.state(nnx_model())),
    ):
        with orbax.checkpoint.StandardCheckpointer() as checkpointer:
            checkpointer.save(tmp_path / name, tree)
    return tmp_path


def options(**others):
    return Options(
        **{
            "model": f"{HERE}:linen",
            "checkpoint": "linen",
            "labels": "names.txt",
            "recipe": f"{HERE}:SMALL",
            **others,
        }
    )


def test_one_photo(place):
    lines = []
    files = explain_one(options(input_image_path="photos/0.png", label="Dog, 1", out_path="out"), lines.append)
    assert {"classify_panel_4.png", "classify_gb_gcam_1.png", "explanation.json"} <= {file.name for file in files}
    record = json.loads(Path("out/explanation.json").read_text())
    assert (record["model"], record["checkpoint"], record["layer"]) == (f"{HERE}:linen", "linen", "second.relu")
    assert [(target["name"], target["label"]) for target in record["targets"]] == [("dog", 4), ("ant", 1)]
    photo = gc.images.read_photo("photos/0.png")
    image = gc.images.to_network(own_models.SMALL.resize(photo, 40).image, own_models.SMALL)
    scores = Net().apply(linen_variables(), image[None], False)[0]
    assert_close([target["score"] for target in record["targets"]], scores[jnp.array([3, 0])], 1e-5)
    assert any(line.startswith("layer second.relu: The last of 5 layers") for line in lines)


def test_many_photos_and_a_run_that_goes_on(place):
    many = {"images": "photos", "out_path": "run", "top_k": 2, "batch_size": 4, "save": "panels"}
    assert explain_many(options(**many)) == 2
    run = open_run("run")
    record = run["3.png"]
    image = gc.images.to_network(
        own_models.SMALL.resize(gc.images.read_photo("photos/3.png"), 40).image, own_models.SMALL
    )
    forward = gc.tapped(Net(), linen_variables(), "second.relu", train=False)
    expected = gc.explain(forward, image[None], gc.top_k(2))
    assert_close(record.arrays["cam"], expected.cam[0], 1e-5)
    assert record.fields["prediction"] == NAMES[int(expected.outputs[0].argmax())]
    assert run["broken.png"].fields["status"] == "failed"
    assert len(list(Path("run").rglob("*.png"))) == 5
    settings = json.loads(Path("run/run.json").read_text())
    assert (settings["model"], settings["recipe"]) == (f"{HERE}:linen", f"{HERE}:SMALL")
    write_photo(place / "photos" / "new.png", seed=9)
    lines = []
    explain_many(options(**many), lines.append)
    assert any(line.startswith("1 explained, 0 failed, 6 done before") for line in lines), lines
    for change in ({"checkpoint": "other"}, {"labels": "reversed.txt"}):
        (place / "reversed.txt").write_text("\n".join(NAMES[::-1]))
        with pytest.raises(InputError, match=r"holds a run of other settings .weights_and_labels"):
            explain_many(options(**many, **change))


def test_an_nnx_model_over_many_photos_guided_and_in_bfloat16(place):
    own = {"model": f"{HERE}:NNXNet", "checkpoint": "nnx", "images": "photos", "batch_size": 4}
    explain_many(options(**own, out_path="run", methods="guided_grad_cam", guided_dtype="float32"))
    explain_many(options(**own, out_path="half", dtype="bfloat16"))
    model = nnx_model()
    model.eval()
    pixels = own_models.SMALL.resize(gc.images.read_photo("photos/1.png"), 40).image
    image = gc.images.to_network(pixels, own_models.SMALL)[None]
    run = open_run("run")
    record = run["1.png"]
    half = open_run("half")
    coarse = half["1.png"].arrays["cam"]
    expected = gc.explain(gc.tapped(model, record_layer("run")), image, gc.top_k(1), guided=True)
    assert_close(record.arrays["cam"], expected.cam[0], 1e-5)
    assert_close(coarse, expected.cam[0], 0.05)


def record_layer(folder):
    return json.loads((Path(folder) / "run.json").read_text())["layer"]


def test_layers_are_listed(place):
    lines = []
    list_layers(options(), lines.append)
    assert [line.split() for line in lines if "x" in line.split()[1][:4] or line.startswith("head")] == [
        ["first", "20x20x8", "1"],
        ["norm", "20x20x8", "2"],
        ["norm.relu", "20x20x8", "3"],
        ["second", "10x10x12", "4"],
        ["second.relu", "10x10x12", "5", "(default)"],
        ["head", "5"],
    ]
    with pytest.raises(InputError, match="Layer 'head' has no spatial extent"):
        explain_one(options(input_image_path="photos/0.png", layer_name="head"))


def test_flags_that_are_for_classifiers_are_refused_elsewhere(place):
    for flag in ({"labels": "names.txt"}, {"checkpoint": "linen"}):
        with pytest.raises(InputError, match=f"--{next(iter(flag))} is for --task classification, not for vqa"):
            explain_one(Options(task="vqa", **flag))


def test_a_zoo_model_takes_weights_and_names_from_elsewhere(place, monkeypatch):
    add_small_models(place, monkeypatch)
    entry = gc.zoo.find(ENTRIES["classification"].name)
    own = {"model": entry.name, "input_image_path": "photos/0.png", "out_path": "out"}
    (place / "many.txt").write_text("\n".join(f"kind {number}" for number in range(1, 1001)))
    explain_one(Options(**own, labels="many.txt", label="kind 7"))
    assert json.loads(Path("out/explanation.json").read_text())["targets"][0]["label"] == 7
    with pytest.raises(
        InputError, match="Expected 1000 labels, one for each class of small_classification, got 5"
    ):
        explain_one(Options(**own, labels="names.txt"))


@needs_lite0
def test_every_way_to_the_same_weights_gives_the_same_maps(place):
    """The zoo's weights with ten of their classes: in PyTorch's names, as a checkpoint, and by a function."""
    original = read_pytorch(gc.zoo.weights_path(LITE0))
    kept = [281, 285, 967, 242, 1, 2, 3, 4, 5, 6]
    state = {f"module.{name}": np.array(array) for name, array in original.items()}
    for kind in ("weight", "bias"):
        state[f"module.head.1.{kind}"] = state.pop(f"module._fc.{kind}")[kept]
    write_state_dict(place / "ten.pth", state)
    names = [imagenet_classes()[index].name for index in kept]
    (place / "ten.txt").write_text("\n".join(names))
    conversion.run(LITE0.name, ["ten.pth"], labels="ten.txt")
    ways = {
        "zoo": {},
        "checkpoint": {"model": "ten.safetensors"},
        "pytorch": {"model": LITE0.name, "checkpoint": "ten.pth", "labels": "ten.txt"},
        "function": {
            "model": f"{HERE}:lite_of_ten",
            "checkpoint": "ten.safetensors",
            "recipe": "efficientnet_lite",
            "input_sz": LITE0.size,  # a function's default is the recipe's, 224
        },
    }
    found = {}
    for name, way in ways.items():
        lines = []
        explain_one(Options(**way, label="Egyptian cat, espresso", out_path=name), lines.append)
        assert not any("have no names" in line for line in lines)
        found[name] = np.load(f"{name}/explanation.npz")
    for name in ways:
        for key in ("cam", "guided_backprop", "guided_grad_cam"):
            assert_close(found[name][key], found["zoo"][key], 1e-5)


def test_a_module_in_the_current_folder_is_found_by_all_processes(place):
    source = (ROOT / "tests" / "zoo" / "own_models.py").read_text()
    (place / "my_models.py").write_text(source)
    command = [sys.executable, str(ROOT / "scripts" / "explain.py"), "--model=my_models:with_variables"]
    command += ["--recipe=my_models:FLIPPED", "--labels=names.txt", "--images=photos", "--out_path=run"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 2, done.stderr
    assert "5 explained, 1 failed" in done.stdout
    run = open_run(place / "run")
    cam = run["2.png"].arrays["cam"]
    resized = own_models.FLIPPED.resize(gc.images.read_photo("photos/2.png"), 40).image
    np.testing.assert_array_equal(
        resized, own_models.SMALL.resize(gc.images.read_photo("photos/2.png"), 40).image[::-1]
    )
    image = gc.images.to_network(resized, own_models.FLIPPED)
    forward = gc.tapped(Net(), linen_variables(), "second.relu", train=False)
    assert_close(cam, gc.explain(forward, image[None], gc.top_k(1)).cam[0], 1e-5)
