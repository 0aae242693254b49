"""What a script sets for its process: quick programs for one photo, the collector, the cache."""

import functools
import gc
import gzip
import json

import jax
import numpy as np
import pytest

from gradcam_jax.app import one_photo, start
from gradcam_jax.app.one_photo import explain_one
from gradcam_jax.app.options import Options, make_task
from gradcam_jax.pipeline import Item
from gradcam_jax.tasks import explain_photo
from tests.app.small_models import add_small_models, write_photo
from tests.comparison import assert_close
from tests.pipeline import sources
from tests.pipeline.small_task import run_items


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    with pytest.MonkeyPatch.context() as patch:
        add_small_models(folder, patch)
        yield folder


@pytest.fixture
def options(folder, tmp_path):
    photo = write_photo(folder / "photo.png")
    return Options(model="small_classification", input_image_path=str(photo), out_path=str(tmp_path / "out"))


def test_a_program_that_is_called_once_gives_the_same_numbers(options):
    assert start.options_for_one_call()["xla_backend_optimization_level"] == 0
    task, photo = make_task(options), options.input_image_path
    quick = explain_photo(task, photo, compiler_options=start.options_for_one_call()).description.rows[0]
    usual = explain_photo(task, photo).description.rows[0]
    assert quick.name == usual.name
    for name in ("cam", "guided_backprop", "guided_grad_cam"):
        assert_close(getattr(quick, name), getattr(usual, name), 2e-6)


def test_a_compiler_without_the_options_does_without(options, monkeypatch):
    monkeypatch.setattr(one_photo, "options_for_one_call", lambda: {"xla_of_another_version": 1})
    explain_one(options)
    record = json.loads((one_photo.Path(options.out_path) / "explanation.json").read_text())
    assert np.isfinite(record["targets"][0]["score"])


def test_other_errors_of_the_compiler_are_not_hidden(options, monkeypatch):
    monkeypatch.setattr(one_photo, "options_for_one_call", lambda: {"xla_backend_optimization_level": "high"})
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_backend_optimization_level"):
        explain_one(options)


def test_garbage_is_collected_again_afterwards():
    def fail():
        with start.garbage_kept():
            assert not gc.isenabled()
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert gc.isenabled()


def test_a_profile_shows_what_a_run_does(tmp_path):
    items = [Item(f"{n}", f"{n}", pixels=functools.partial(sources.slow, n, 0.0)) for n in range(12)]
    with start.profiled(""):
        run_items(items[:4], tmp_path / "not_profiled", batch_size=4)
    with start.profiled(str(tmp_path / "profile")):
        run_items(items, tmp_path / "run", batch_size=4)
    (profile,) = (tmp_path / "profile").rglob("*.trace.json.gz")
    with gzip.open(profile, "rt") as file:
        events = [event["name"] for event in json.load(file)["traceEvents"] if event.get("ph") == "X"]
    for name in ("move", "compute", "fetch", "write"):
        assert events.count(name) == 3
