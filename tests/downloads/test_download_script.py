"""The command line of `scripts/download_checkpoints.py`."""

import hashlib
import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gradcam_jax.downloads import sources
from gradcam_jax.downloads.sources import SOURCES, Digest, Source
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
