"""`convert_checkpoint.py` and the conversion at the end of `download_checkpoints.py`, as a user runs them."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from gradcam_jax.app import conversion
from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.zoo import CHECKPOINTS_VARIABLE, MODELS, find, load, read_card, weights_path
from gradcam_jax.zoo.originals import originals_of
from tests.formats.caffe_writer import Layer, write_caffemodel

ROOT = Path(__file__).resolve().parents[2]
LITE0 = find("efficientnet_lite0")
needs_lite0 = pytest.mark.skipif(
    importlib.util.find_spec(LITE0.package.module) is None,
    reason=f"needs EfficientNet-Lite0's weights: {LITE0.package.install}",
)


def run(script, *arguments, folder):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / script, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT), CHECKPOINTS_VARIABLE: str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def caffe_file(path, sources):
    """A Caffe net with the right names for a table and one number in every array."""
    names = dict.fromkeys(source.split("/")[0] for source in sources)
    one = np.ones((1, 1, 1, 1), np.float32)
    write_caffemodel(path, [Layer(name, "Convolution", [one, one[0, 0, 0]]) for name in names])
    return path


@needs_lite0
def test_a_converted_file_is_what_the_zoo_loads(tmp_path, monkeypatch):
    original = weights_path(LITE0)
    disguised = shutil.copy(original, tmp_path / "weights.caffemodel")  # The name is not believed.
    done = run("convert_checkpoint.py", "--model", LITE0.name, disguised, folder=tmp_path / "made")
    assert done.returncode == 0, done.stderr
    assert "weights.caffemodel: pytorch, 296 arrays" in done.stdout
    assert "_fc.weight" in done.stdout
    assert "1000x1280" in done.stdout
    assert f"efficientnet_lite0, {LITE0.parameters:,} parameters" in done.stdout

    path = tmp_path / "made" / "efficientnet_lite0.safetensors"
    card = read_card(path)
    assert (card.model, card.recipe, card.licence) == (LITE0.name, "efficientnet_lite", "Apache-2.0")
    assert card.parameters == LITE0.parameters
    assert card.sources[0].sha256.startswith("57934424")  # published in the file's own name
    assert card.labels[242] == "boxer"

    from_package = load(LITE0.name)
    monkeypatch.setenv(CHECKPOINTS_VARIABLE, str(tmp_path / "made"))
    monkeypatch.setitem(MODELS, LITE0.name, LITE0._replace(package=None))
    assert weights_path(MODELS[LITE0.name]) == path
    converted = load(LITE0.name)
    jax.tree.map(np.testing.assert_array_equal, converted.variables, from_package.variables)
    assert converted.labels.entries == from_package.labels.entries


@needs_lite0
def test_a_checkpoint_under_another_models_name_is_refused(tmp_path, monkeypatch):
    conversion.run(LITE0.name, [weights_path(LITE0)], tmp_path / "vgg16.safetensors")
    monkeypatch.setenv(CHECKPOINTS_VARIABLE, str(tmp_path))
    with pytest.raises(CheckpointError, match="holds the weights of efficientnet_lite0, not of vgg16"):
        load("vgg16")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model=vgg16"], "error: name the file or files to convert"),
        (["--model=vgg61", "FILE"], "error: There is no model 'vgg61'. Nearest: vgg19, vgg16"),
        (["--model=vqa_easy", "FILE"], "error: vqa_easy is not made from other programs' files. Get its weights"),
        (["--model=vgg16", "none.caffemodel"], "error: 'none.caffemodel' cannot be read: No such file"),
        (["--model=vgg16", "FILE"], "is not a file of vgg16. What the file holds fits --model vgg19"),
        (["--model=vgg19", "FILE"], "error: The arrays do not fit the model in 37 places:\n  mis-shaped: "),
        (["--model=vgg16", __file__], "expected a checkpoint in one of the formats caffemodel, torch7"),
    ],
)
def test_mistakes_are_reported_without_a_traceback(tmp_path, arguments, message):
    file = caffe_file(tmp_path / "net.caffemodel", [rule.source for rule in originals_of(find("vgg19")).rules])
    arguments = [file if argument == "FILE" else argument for argument in arguments]
    done = run("convert_checkpoint.py", *arguments, folder=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == ["net.caffemodel"]


def test_a_checkpoint_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").touch()
    original = weights_path(LITE0)
    if original is None:
        pytest.skip(f"needs EfficientNet-Lite0's weights: {LITE0.package.install}")
    with pytest.raises(InputError, match="Cannot write"):
        conversion.run(LITE0.name, [original], tmp_path / "file" / "net.safetensors")


def test_downloads_are_converted_at_the_end(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("download_script", ROOT / "scripts" / "download_checkpoints.py")
    script = importlib.util.module_from_spec(spec)
    flags = script_flags(monkeypatch)
    spec.loader.exec_module(script)
    flags(["download_checkpoints.py", f"--folder={tmp_path}"])
    calls = []
    monkeypatch.setattr(script, "gather", lambda entry, at_hand, folder: [folder / f"{entry.name}.caffemodel"])
    monkeypatch.setattr(script.conversion, "run", lambda model, files, progress: calls.append((model, files)))
    script.main(["download_checkpoints.py", "vgg16", "alexnet"])
    assert calls == [(name, [tmp_path / f"{name}.caffemodel"]) for name in ("vgg16", "alexnet")]
    monkeypatch.setattr(script, "gather", interrupted)
    with pytest.raises(SystemExit, match="stopped; run the same command again"):
        script.main(["download_checkpoints.py", "vgg16"])


def interrupted(*_):
    raise KeyboardInterrupt


def script_flags(monkeypatch):
    """Flags of their own for a script that is loaded into this process, where another may have defined them."""
    from absl import flags

    fresh = flags.FlagValues()
    for name in ("DEFINE_bool", "DEFINE_string", "DEFINE_multi_string"):
        define = getattr(flags, name)
        monkeypatch.setattr(flags, name, lambda *a, define=define, **k: define(*a, flag_values=fresh, **k))
    return fresh


def test_the_list_shows_the_zoo(tmp_path):
    done = run("download_checkpoints.py", "--list", folder=tmp_path)
    assert done.returncode == 0
    for entry in MODELS.values():
        line = next(line for line in done.stdout.splitlines() if line.startswith(f"{entry.name} "))
        for expected in (entry.task, entry.layer, entry.licence, "MB"):
            assert expected in line
