"""The command line of `scripts/download_checkpoints.py`."""

import hashlib
import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.downloads import sources
from gradcam_jax.downloads.sources import SOURCES, Digest, Source
from gradcam_jax.zoo import captioners, question_models
from gradcam_jax.zoo.checkpoint import count_parameters, read_card
from gradcam_jax.zoo.heads import find_checkpoint
from tests.downloads import loopback_server

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "download_checkpoints.py"
WEIGHTS = b"weights" * 1000


def run(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_list_names_every_model_file_and_address():
    done = run("--list")
    assert done.returncode == 0
    for source in SOURCES:
        for expected in (*source.models, source.file_name, *source.addresses, source.terms):
            assert expected in done.stdout


def test_list_tells_the_size_of_the_originals_that_are_not_here(script, monkeypatch):
    entry = question_models.QUESTION_MODELS["vqa_vgg19"]
    vqa = variable_shapes(entry.build(12602, 1000), *question_models.example_inputs(entry))
    entry = captioners.CAPTIONERS["captioner_vgg16"]
    captioner = variable_shapes(entry.build(9567), *captioners.example_inputs(entry))
    counted = {"vqa_vgg19": count_parameters(vqa), "captioner_vgg16": count_parameters(captioner)}
    assert counted == script.PARAMETERS_OF_ORIGINALS
    monkeypatch.setattr(script, "find_checkpoint", lambda name: None)
    listing = script.listing()
    assert "vqa_vgg19             vqa             cnn/relu5_4      611.9 MB  no" in listing
    assert "captioner_vgg16       captioning      cnn/relu5_3      593.1 MB  no" in listing


def test_list_reads_the_licence_of_a_bundled_model_from_its_card(script):
    path = find_checkpoint("vqa_lite0")
    line = next(line for line in script.listing().splitlines() if line.startswith("vqa_lite0 "))
    assert f"{path.stat().st_size / 1e6:.1f} MB  yes" in line
    assert line.endswith(read_card(path).licence)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "error: name at least one model: vgg16, vgg19"),
        (("vg16",), "error: no published files are known for 'vg16': did you mean 'vgg16'?"),
        (("vgg16", "--from_file=none.caffemodel"), "error: --from_file none.caffemodel: no such file"),
        (("vgg16", "vgg19", "--from_file=a"), "error: --from_file goes with one model, got vgg16, vgg19"),
        (("vgg16", f"--from_file={SCRIPT}"), "vgg16 is made from VGG_ILSVRC_16_layers.caffemodel"),
    ],
)
def test_mistakes_are_told_without_a_traceback(arguments, message):
    done = run(*arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def script():
    # Loaded once: absl refuses to define a flag a second time.
    spec = importlib.util.spec_from_file_location("download_checkpoints", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def manifest(monkeypatch):
    """Puts a small model of two files, one of them in an archive, in the manifest's place."""

    def replace(address):
        digest = Digest("sha1", hashlib.sha1(WEIGHTS).hexdigest())
        plain = Source("plain.bin", (address,), ("small",), "none", size=len(WEIGHTS), digest=digest)
        packed = Source("packed.zip", (address,), ("small",), "none", member="*.t7")
        monkeypatch.setattr(sources, "SOURCES", (plain, packed))

    return replace


def packed_in(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/lstm.t7", b"lstm")
    return path


def test_files_are_downloaded_and_unpacked(script, manifest, tmp_path):
    archive = packed_in(tmp_path / "served.zip").read_bytes()
    with loopback_server.serving() as server:
        manifest(server.plan(loopback_server.file(WEIGHTS), loopback_server.file(archive)))
        files = script.gather("small", [], tmp_path)
    assert files == [tmp_path / "plain.bin", tmp_path / "lstm.t7"]
    assert [file.read_bytes() for file in files] == [WEIGHTS, b"lstm"]


@pytest.mark.parametrize("archived", [True, False])
def test_files_at_hand_need_no_network(script, manifest, tmp_path, archived):
    manifest("http://127.0.0.1:1/")
    (tmp_path / "plain.bin").write_bytes(WEIGHTS)
    (tmp_path / "mine.t7").write_bytes(b"lstm")
    packed = packed_in(tmp_path / "packed.zip") if archived else tmp_path / "mine.t7"
    files = script.gather("small", [tmp_path / "plain.bin", packed], tmp_path / "kept")
    assert [file.read_bytes() for file in files] == [WEIGHTS, b"lstm"]


def test_a_damaged_file_at_hand_is_refused(script, manifest, tmp_path):
    manifest("http://127.0.0.1:1/")
    (tmp_path / "plain.bin").write_bytes(WEIGHTS[:-1])
    with pytest.raises(sources.InputError, match="it has 6,999 bytes, expected 7,000"):
        script.gather("small", [tmp_path / "plain.bin"], tmp_path / "kept")
