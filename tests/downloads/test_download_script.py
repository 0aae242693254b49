"""The command line of `scripts/download_checkpoints.py`."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gradcam_jax.app.published_files import gather, listing
from gradcam_jax.downloads.sources import Digest, Source
from gradcam_jax.errors import InputError
from gradcam_jax.zoo import MODELS, find, read_card, weights_path
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
    for entry in MODELS.values():
        for source in entry.sources:
            for expected in (entry.name, source.file_name, *source.addresses, source.terms):
                assert expected in done.stdout
    assert "\nvgg19, vqa_vgg19: VGG_ILSVRC_19_layers.caffemodel\n" in done.stdout


def test_the_list_has_the_size_of_the_originals_that_are_not_here(monkeypatch):
    monkeypatch.setattr("gradcam_jax.app.published_files.weights_path", lambda entry: None)
    rows = [line.split() for line in listing().splitlines()]  # a column is as wide as its longest cell
    assert ["vqa_vgg19", "vqa", "cnn/relu5_4", "611.9", "MB", "no"] in [row[:6] for row in rows]
    assert ["captioner_vgg16", "captioning", "cnn/relu5_3", "593.1", "MB", "no"] in [row[:6] for row in rows]


def test_the_list_has_the_licence_of_a_bundled_models_card():
    path = weights_path(find("vqa_lite0"))
    line = next(line for line in listing().splitlines() if line.startswith("vqa_lite0 "))
    assert f"{path.stat().st_size / 1e6:.1f} MB  yes" in line
    assert line.endswith(read_card(path).licence)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "error: name at least one model: vgg16, vgg19"),
        (("vg16",), "error: There is no model 'vg16'. Nearest: vgg16, "),
        (("vqa_easy",), "error: vqa_easy has no published files. Get its weights with:  python scripts/train.py"),
        (("vgg16", "--from_file=none.caffemodel"), "error: --from_file none.caffemodel: no such file"),
        (("vgg16", "vgg19", "--from_file=a"), "error: --from_file goes with one model, got vgg16, vgg19"),
        (("vgg16", f"--from_file={SCRIPT}"), "vgg16 is made from VGG_ILSVRC_16_layers.caffemodel"),
    ],
)
def test_mistakes_are_reported_without_a_traceback(arguments, message):
    done = run(*arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def small(address):
    """A small model of two files, one of them in an archive."""
    digest = Digest("sha1", hashlib.sha1(WEIGHTS).hexdigest())
    plain = Source("plain.bin", (address,), "none", size=len(WEIGHTS), digest=digest)
    packed = Source("packed.zip", (address,), "none", member="*.t7")
    return find("vqa_vgg19")._replace(name="small", sources=(plain, packed))


def packed_in(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/lstm.t7", b"lstm")
    return path


def test_files_are_downloaded_and_unpacked(tmp_path):
    archive = packed_in(tmp_path / "served.zip").read_bytes()
    with loopback_server.serving() as server:
        entry = small(server.plan(loopback_server.file(WEIGHTS), loopback_server.file(archive)))
        files = gather(entry, [], tmp_path)
    assert files == [tmp_path / "plain.bin", tmp_path / "lstm.t7"]
    assert [file.read_bytes() for file in files] == [WEIGHTS, b"lstm"]


@pytest.mark.parametrize("archived", [True, False])
def test_files_at_hand_need_no_network(tmp_path, archived):
    (tmp_path / "plain.bin").write_bytes(WEIGHTS)
    (tmp_path / "mine.t7").write_bytes(b"lstm")
    packed = packed_in(tmp_path / "packed.zip") if archived else tmp_path / "mine.t7"
    files = gather(small("http://127.0.0.1:1/"), [tmp_path / "plain.bin", packed], tmp_path / "kept")
    assert [file.read_bytes() for file in files] == [WEIGHTS, b"lstm"]


def test_a_damaged_file_at_hand_is_refused(tmp_path):
    (tmp_path / "plain.bin").write_bytes(WEIGHTS[:-1])
    with pytest.raises(InputError, match="it has 6,999 bytes, expected 7,000"):
        gather(small("http://127.0.0.1:1/"), [tmp_path / "plain.bin"], tmp_path / "kept")
