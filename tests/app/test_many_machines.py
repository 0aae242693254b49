"""``explain.py --images ... --ray local``: the same results as one process gives, on disks and in S3."""

import json
import os
import random
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
from gradcam_jax.images import fast
from gradcam_jax.pipeline import open_run
from gradcam_jax.pipeline.store import SHARDS
from tests.app.watched import Watched
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
        ({"fast_decoding": True}, "--fast_decoding needs simplejpeg:  pip install simplejpeg"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_starts(flags, message, tmp_path, monkeypatch):
    monkeypatch.setattr(fast.importlib.util, "find_spec", lambda name: None if name == "simplejpeg" else name)
    with pytest.raises(InputError, match=message):
        explain_on_cluster(Options(images=str(tmp_path), ray="local", **flags))


ray = pytest.importorskip("ray", reason="many machines need the extra `ray`")
cluster_utils = pytest.importorskip("ray.cluster_utils")

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own

PHOTOS, BROKEN, DEADLY, FEW = 1000, 5, "0400.png", 60
LIMIT = 300  # seconds
MEGABYTES = {"command": 400, "worker": 700}

# Opening one photo kills the process that decodes. Python runs a file of this name when it starts.
KILLER = f"""
import os, signal, sys

def kill(event, arguments):
    if event == "open" and str(arguments[0]).endswith("{DEADLY}"):
        os.kill(os.getpid(), signal.SIGKILL)

if "from gradcam_jax.images.decoder" in " ".join(sys.orig_argv):
    sys.addaudithook(kill)
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("environment")
    (folder / "sitecustomize.py").write_text(KILLER)
    paths = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
    names = {"PYTHONPATH": paths, "XDG_CACHE_HOME": str(folder)}
    names |= {"JAX_PLATFORMS": "cpu", "RAY_AUTH_MODE": "disabled"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in names.items():
            patch.setenv(name, value)
        yield dict(os.environ)


@pytest.fixture(scope="module")
def whole(environment, tmp_path_factory):
    """Returns a folder with photos, and what one process makes of them."""
    folder = tmp_path_factory.mktemp("photos")
    photos = write_photos(folder / "photos", PHOTOS, broken=(BROKEN,))
    assert explain_many(Options(images=str(photos), out_path=str(folder / "whole"), **ASKED)) == SOME_FAILED
    return folder


@pytest.fixture
def cluster(environment):
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    yield made
    made.shutdown()


NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


def command(source, folder, address):
    asked = {**ASKED, "images": source, "out_path": folder, "ray": address, "part_size": 20}
    return [sys.executable, "scripts/explain.py", *(f"--{name}={value}" for name, value in asked.items())]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
def test_workers_a_node_and_the_command_are_killed(whole, cluster, environment, tmp_path):
    draw, until, folder = random.Random(0), time.monotonic() + LIMIT, tmp_path / "run"
    run = [*command(whole / "photos", folder, cluster.address), "--save=overlays"]
    leaving = cluster.add_node(**NODE)
    first = Watched(run, [cluster.head_node, leaving], until, cwd=ROOT, env=environment)
    first.kill_workers(4, draw)
    first.wait_for(lambda: list(folder.glob("manifest*")) and first.loaded_workers(leaving))
    cluster.remove_node(leaving)
    first.nodes.remove(leaving)
    first.kill_workers(3, draw)
    first.wait_for(first.loaded_workers)
    first.process.kill()
    first.process.communicate()
    assert 0 < len(open_run(folder)) < PHOTOS

    joining = cluster.add_node(**NODE)
    again = Watched(run, [cluster.head_node, joining], until, cwd=ROOT, env=environment)
    again.kill_workers(3, draw)
    again.wait_for(again.ended, ended=True)
    said, _ = again.process.communicate()
    assert again.process.returncode == SOME_FAILED
    assert "given up" not in said
    assert f"failed: {DEADLY}: decoding it ended the process twice (signal 9)" in said
    same_results(open_run(whole / "whole"), open_run(folder))
    lines = [json.loads(line) for path in folder.glob("manifest*") for line in path.read_text().splitlines()]
    assert sorted(line["id"] for line in lines) == sorted(open_run(folder))
    assert {path.stem for path in (folder / SHARDS).iterdir()} == {line["shard"] for line in lines} - {None}
    assert len(list((folder / "overlays").iterdir())) == PHOTOS - 2
    for watched in (first, again):
        assert all(0 < watched.megabytes[what] < most for what, most in MEGABYTES.items()), watched.megabytes

    said = []
    options = Options(images=str(whole / "photos"), out_path=str(folder), ray=cluster.address, **ASKED)
    assert explain_on_cluster(options, said.append) == SOME_FAILED
    assert said[0].startswith("0 of 50 parts are to be done")


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
            for photo in sorted((whole / "photos").iterdir())[:FEW]:
                (bucket / "photos" / photo.name).write_bytes(photo.read_bytes())
            run = command("s3://bucket/photos", "s3://bucket/run", "local")
            done = subprocess.run(
                run, cwd=ROOT, env=environment | keys, capture_output=True, text=True, check=False
            )
            assert done.returncode == SOME_FAILED, done.stderr
            one, other = open_run(whole / "whole"), open_run("s3://bucket/run")
            assert set(other) == set(sorted(one)[:FEW])
            for name in other:
                assert one[name].arrays.keys() == other[name].arrays.keys()
                assert all((one[name].arrays[key] == other[name].arrays[key]).all() for key in one[name].arrays)
    finally:
        store.stop()
