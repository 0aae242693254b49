"""``explain.py --images ... --ray local``: the same results as one process gives, on disks and in S3."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradcam_jax.app.many_machines import explain_on_cluster
from gradcam_jax.app.many_photos import SOME_FAILED, explain_many
from gradcam_jax.app.options import Options
from gradcam_jax.errors import InputError
from gradcam_jax.formats.storage import path_of
from gradcam_jax.pipeline import open_run
from tests.pipeline.small_task import write_photos
from tests.pipeline.test_parts import same_results

ROOT = Path(__file__).resolve().parents[2]
ASKED = {"task": "vqa", "model": "vqa_easy", "question": "What color is it?", "batch_size": 8}


def test_without_ray_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="needs Ray on every machine:  pip install ray universal-pathlib"):
        explain_on_cluster(Options(images=str(tmp_path), ray="local"))


def test_nothing_else_imports_ray():
    code = "import sys, gradcam_jax.app.main, gradcam_jax.app.many_machines; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"num_processes": 2}, "--ray shares the images by itself"),
        ({"part_size": 0}, "Expected --part_size of 1 or more, got 0"),
        ({"out_path": "s3://bucket/run", "save": "panels"}, "draws into folders, but 's3://bucket/run'"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags, message, tmp_path):
    with pytest.raises(InputError, match=message):
        explain_on_cluster(Options(images=str(tmp_path), ray="local", **flags))


ray = pytest.importorskip("ray", reason="many machines need the extra `ray`")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return {**os.environ, "JAX_PLATFORMS": "cpu", "RAY_AUTH_MODE": "disabled", "XDG_CACHE_HOME": str(cache)}


def command(source, folder, *flags):
    asked = [f"--{name}={value}" for name, value in ASKED.items()]
    run = [sys.executable, "scripts/explain.py", f"--images={source}", f"--out_path={folder}", *asked, *flags]
    return [*run, "--ray=local", "--part_size=20"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    photos = write_photos(folder / "photos", 100, broken=(5,), size=(64, 64))
    assert explain_many(Options(images=str(photos), out_path=str(folder / "whole"), **ASKED)) == SOME_FAILED
    return folder


def test_a_driver_that_is_killed_and_started_again(whole, environment, tmp_path):
    run = command(whole / "photos", tmp_path / "run", "--save=overlays")
    driver = subprocess.Popen(run, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 200
    while driver.poll() is None and time.monotonic() < until and not list((tmp_path / "run").glob("manifest*")):
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert 0 < len(open_run(tmp_path / "run")) < 100
    again = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == SOME_FAILED, again.stderr
    assert "explained, 1 failed" in again.stdout
    same_results(open_run(whole / "whole"), open_run(tmp_path / "run"))
    assert len(list((tmp_path / "run" / "overlays").iterdir())) == 99
    nothing = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "0 of 5 parts are to be done" in nothing.stdout
    assert nothing.returncode == SOME_FAILED


def test_an_object_store(whole, environment, tmp_path):
    pytest.importorskip("s3fs", reason="S3 needs s3fs")
    server = pytest.importorskip("moto.server", reason="a local S3 needs moto")
    store = server.ThreadedMotoServer(port=0)
    store.start()
    try:
        host, port = store.get_host_and_port()
        keys = {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in keys.items():
                patch.setenv(name, value)
            bucket = path_of("s3://bucket")
            bucket.mkdir()
            for photo in sorted((whole / "photos").iterdir()):
                (bucket / "photos" / photo.name).write_bytes(photo.read_bytes())
            run = command("s3://bucket/photos", "s3://bucket/run")
            done = subprocess.run(
                run, cwd=ROOT, env=environment | keys, capture_output=True, text=True, check=False
            )
            assert done.returncode == SOME_FAILED, done.stderr
            one, other = open_run(whole / "whole"), open_run("s3://bucket/run")
            assert set(one) == set(other)
            for name in one:
                assert one[name].arrays.keys() == other[name].arrays.keys()
                assert all((one[name].arrays[key] == other[name].arrays[key]).all() for key in one[name].arrays)
    finally:
        store.stop()
