"""The survey: every part on a tiny net, what there is no time for, what is missing, and the command itself."""

import collections
import contextlib
import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gradcam_jax import zoo
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.benchmark import survey
from gradcam_jax.experiments.benchmark.agreement import compare
from gradcam_jax.experiments.benchmark.files_side import FilesSide
from gradcam_jax.experiments.benchmark.own import OwnSide
from gradcam_jax.experiments.benchmark.rates import TRANSFERRED, matrix_rates, memory_rates
from gradcam_jax.experiments.benchmark.report import SURVEY_COLUMNS, Report
from gradcam_jax.experiments.benchmark.startup import measure_startup
from gradcam_jax.experiments.benchmark.work import Prepared, Task, UnsupportedError, in_words
from gradcam_jax.experiments.benchmark.worker import FILES, OWN, Worker, answer
from gradcam_jax.images.preprocessing import TORCHVISION
from gradcam_jax.models.vgg import VGG
from tests.pipeline.small_task import write_photos

FIELDS = {"convolutions": (1, 1), "channels": (4, 6), "hidden": 8, "input_size": 16}
MODEL = "vgg16"


class Peer:
    """A peer that is quick, and does Grad-CAM alone."""

    def about(self):
        return {"version": "peer 1"}

    def prepare(self, task):
        if task.work != "grad_cam":
            raise UnsupportedError("not that")
        return Prepared(lambda: None, {})


class FakeFiles:
    """The way from files without files."""

    def measure(self, images, fields):
        assert fields == {"model": MODEL, "dtype": "bfloat16", "batch_size": 3, "rounds": 2, "count": None}
        return [{"work": "whole run", "batch_size": 3, "runs": 2, "value": "1.0", "unit": "photos/s"}]


class InProcess:
    """A worker in this process, where tests can change the zoo; ``captum`` is not installed."""

    def __init__(self, name, threads, environment=None):
        side = {OWN: OwnSide, FILES: FakeFiles}.get(name, Peer)()
        self.name, self._requests = name, collections.deque()
        self._replies = answer(side, iter(self._requests.popleft, None))

    def ask(self, name, *arguments, seconds=None):
        if self.name == "captum":
            raise InputError("The process of captum ended: No module named 'captum'")
        self._requests.append(json.dumps({name: arguments}))
        return json.loads(next(self._replies))

    def close(self):
        pass


@contextlib.contextmanager
def in_process(names, threads):
    yield [InProcess(name, threads) for name in names]


@pytest.fixture
def small(monkeypatch):
    """Puts a tiny net in VGG-16's place, whose random weights count as its own, and lets no process start."""
    entry = zoo.find(MODEL)._replace(
        build=lambda: VGG(**FIELDS), layer="relu2_1", preprocessing=TORCHVISION._replace(size=16)
    )
    monkeypatch.setitem(zoo.MODELS, MODEL, entry)
    monkeypatch.setattr(zoo, "weights_path", lambda _: None)
    monkeypatch.setattr(survey, "workers", in_process)
    monkeypatch.setattr(survey, "Worker", InProcess)
    monkeypatch.setattr(survey, "_with_weights", lambda _: MODEL)
    monkeypatch.setattr(survey, "measure_startup", lambda *_: iter([("nothing cached", 2.0), ("cached", 1.0)]))


@pytest.fixture
def photos(tmp_path):
    return str(write_photos(tmp_path / "photos", 3))


def options(tmp_path, **fields):
    sizes = {"batch_sizes": (3, 2), "matrix": 16, "photos": 2, "megabytes": 1, "rounds": 2}
    return survey.Options(**{"models": [MODEL], "out_path": str(tmp_path / "survey.csv"), **sizes, **fields})


def rows_of(path):
    lines = Path(path).read_text().splitlines()
    head = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    return head, list(csv.DictReader(line for line in lines if not line.startswith("# ")))


def test_every_part_is_in_the_table(small, photos, tmp_path):
    said = []
    work = ("forward", "grad_cam", "all_classes")
    survey.run(options(tmp_path, images=photos, work=work), said.append)
    head, rows = rows_of(tmp_path / "survey.csv")
    assert tuple(rows[0]) == SURVEY_COLUMNS
    assert list(dict.fromkeys(row["part"] for row in rows)) == [
        "rates",
        "agreement",
        "files",
        "start",
        "explanations",
    ]
    timed = [(row["work"], row["batch_size"], row["precision"]) for row in rows if row["library"] == OWN]
    for precision in ("float32", "bfloat16"):
        assert {(name, size) for name, size, its in timed if its == precision} == {
            *((name, "3") for name in work),
            ("forward", "2"),
            ("grad_cam", "2"),
        }
    own = [row for row in rows if row["library"] == OWN]
    assert all(float(row["gflop"]) >= 0 and row["share_of_peak"] and row["compile_seconds"] for row in own)
    peers = {row["library"] for row in rows if row["part"] == "explanations"} - {OWN}
    assert peers == {"torch", "torch-cam", "pytorch-grad-cam (default)", "pytorch-grad-cam (frozen)"}
    assert "No module named 'captum'" in "".join(text for key, text in head.items() if key.startswith("left out"))
    exact = {
        row["work"]: row["value"] for row in rows if row["part"] == "agreement" and row["precision"] == "float32"
    }
    assert exact["rank correlation of maps, worst"] == "1.000000"
    assert exact["difference of scores, worst"] == "0"
    files = [row["work"] for row in rows if row["part"] == "files"]
    assert files == ["whole run"]
    assert [row["value"] for row in rows if row["part"] == "start"] == ["2.00", "1.00"]
    for part in ("rates", "compilation", "agreement", "explanations", "files", "start", "all"):
        assert f"{part} " in head["seconds"]
    tables = "\n".join(said)
    assert "| vgg16 | Grad-CAM, all 1,000 classes | 3 |" in tables
    assert "Left out: Without captum" in tables


def test_what_there_is_no_time_for_is_named(small, tmp_path):
    parts = ["explanations"]
    said, work = [], ["grad_cam"]
    report = survey.run(options(tmp_path, parts=parts, work=work, seconds=0, precisions=["float32"]), said.append)
    assert report.timings == []
    assert report.left_out == [
        "not compiled within 0 s: vgg16 grad_cam 3 float32, vgg16 grad_cam 2 float32",
    ]
    assert "Left out: not compiled within 0 s: vgg16 grad_cam 3 float32" in said[-1]


def test_late_tasks_are_timed_without_peers_or_not_at_all(small, tmp_path):
    fields = {"parts": ["explanations", "peers"], "work": ["grad_cam"], "precisions": ["float32"]}
    report = survey.run(options(tmp_path, seconds=600, timed_by=0, **fields), print)
    assert [(timing.name, timing.task.batch_size) for timing in report.timings] == [(OWN, 3)]
    assert report.left_out[-2:] == [
        "not timed within 0 s: vgg16 grad_cam 2 float32",
        "peers not timed within 0 s: vgg16 grad_cam 3 float32",
    ]


def test_a_precision_that_the_device_lacks_is_named(small, tmp_path):
    fields = {"parts": ["explanations"], "work": ["forward"], "batch_sizes": (1,)}
    report = survey.run(options(tmp_path, precisions=["float8", "float32"], **fields), print)
    assert [text.partition(".")[0] for text in report.left_out] == ["Without float8"]
    assert {timing.task.precision for timing in report.timings} == {"float32"}
    with pytest.raises(InputError, match="Expected a precision that this device has"):
        survey.run(options(tmp_path, precisions=["float8"], **fields), print)


def test_a_part_that_fails_leaves_the_others(small, tmp_path):
    report = survey.run(options(tmp_path, parts=["files", "start"]), print)
    assert report.left_out[-1] == "files: Expected photos to read, --images."
    assert len(report.rows_of("start")) == 2


def test_unknown_parts_and_work_are_errors(tmp_path):
    with pytest.raises(InputError, match=r"no part of the survey 'rate'\. Nearest: rates"):
        survey.run(options(tmp_path, parts=["rate"]), print)
    with pytest.raises(InputError, match="no kind of work 'backward'"):
        survey.run(options(tmp_path, work=["backward"]), print)


def test_a_program_that_does_not_compile_leaves_the_others(small, monkeypatch):
    def compile_task(self, task):
        if task.batch_size > 2:
            raise MemoryError("too many")
        return "program"

    monkeypatch.setattr(OwnSide, "_compile", compile_task)
    tasks = [Task(MODEL, "forward", 4), Task(MODEL, "forward", 2)]
    assert OwnSide().compile_ahead(tasks, 60, 2) == {in_words(tasks[0]): "MemoryError: too many"}


def test_what_is_compiled_ahead_is_not_compiled_again(small):
    side, task = OwnSide(), Task(MODEL, "grad_cam", 2)
    assert side.compile_ahead([task], 60, 1) == {}
    assert side.prepare(task).facts is side.prepare(task).facts


def test_maps_are_of_the_predicted_classes_unless_others_are_given(small, tmp_path):
    side, path, photos = OwnSide(), tmp_path / "maps.npz", tmp_path / "photos.npy"
    np.save(photos, np.random.default_rng(0).random((2, 16, 16, 3), np.float32))
    labels = side.maps(Task(MODEL, "grad_cam", 3), str(photos), [], str(path))
    arrays = np.load(path)
    assert arrays["outputs"].shape == (2, 1000)
    assert arrays["cam"].shape == (2, 8, 8)
    assert labels == arrays["outputs"].argmax(-1).tolist()
    other = tmp_path / "other.npz"
    assert side.maps(Task(MODEL, "grad_cam", 2), str(photos), labels, str(other)) == labels
    assert compare(str(path), str(other))["difference of maps, worst"] < 1e-5


def test_agreement_is_of_each_photo_with_its_reference(tmp_path):
    cam, outputs = np.arange(12.0, dtype=np.float32).reshape(2, 2, 3), np.ones((2, 4), np.float32)
    np.savez(tmp_path / "a.npz", cam=cam, outputs=outputs)
    other = cam.copy()
    other[1] = -other[1]
    np.savez(tmp_path / "b.npz", cam=other, outputs=outputs * np.array([[1.0], [0.5]], np.float32))
    values = compare(str(tmp_path / "b.npz"), str(tmp_path / "a.npz"))
    assert values["rank correlation of maps, worst"] == pytest.approx(-1)
    assert values["rank correlation of maps, median"] == pytest.approx(0, abs=1e-6)
    assert values["difference of maps, worst"] == pytest.approx(2)
    assert values["difference of scores, median"] == pytest.approx(0.25)


def test_rates_are_measured_in_every_type():
    assert set(matrix_rates(8, ["float32", "tensorfloat32", "bfloat16", "float8"])) == {"float32", "bfloat16"}
    copy, *transfers = memory_rates(2, 1)
    assert (copy["work"], copy["unit"]) == ("copy on the device", "GB/s")
    ways = [(row["work"], row["precision"]) for row in transfers]
    assert ways == [(way, dtype) for dtype in TRANSFERRED for way in ("host to device", "device to host")]
    assert all(float(row["value"]) > 0 and row["batch_size"] == 2 for row in transfers)


def test_the_start_is_measured_with_nothing_cached_and_again(tmp_path):
    code = "import os, pathlib; p = pathlib.Path(os.environ['XDG_CACHE_HOME'], 'made'); p.exists(); p.touch()"
    assert [name for name, _ in measure_startup("m", "", 60, (sys.executable, "-c", code))] == [
        "nothing cached",
        "cached",
    ]
    with pytest.raises(InputError, match=r"nothing cached, failed: .*ZeroDivisionError"):
        list(measure_startup("m", "", 60, (sys.executable, "-c", "1 / 0")))
    with pytest.raises(InputError, match="took longer than"):
        list(measure_startup("m", "", 0.2, (sys.executable, "-c", "import time; time.sleep(9)")))


def test_the_way_from_files_is_in_words(photos, tmp_path, monkeypatch):
    from tests.pipeline.small_task import ENTRY, loaded

    monkeypatch.setenv(zoo.CHECKPOINTS_VARIABLE, str(tmp_path))
    monkeypatch.setitem(zoo.MODELS, "small", ENTRY)
    zoo.write_checkpoint(
        tmp_path / "small.safetensors", loaded().variables, zoo.Card("small", "efficientnet_lite", "none", 0)
    )
    rows = FilesSide().measure(photos, {"model": "small", "batch_size": 2, "rounds": 1})
    names = ["decoding alone", "transfer alone", "function alone", "whole run"]
    assert list(dict.fromkeys(row["work"].partition(",")[0] for row in rows)) == names
    assert all(float(row["value"]) > 0 and row["unit"] == "photos/s" for row in rows)


def test_workers_reserve_no_memory_beforehand(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **options: options["env"])
    worker = Worker(OWN, 1, {"JAX_PLATFORMS": "cpu"})
    assert worker._process["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert worker._process["JAX_PLATFORMS"] == "cpu"
    worker._errors.close()


def test_the_report_is_rewritten_after_every_part(tmp_path):
    report = Report(str(tmp_path / "report.csv"))
    with report.part("first"):
        report.add("first", [{"work": "a", "value": "1"}], model="m")
    with report.part("second"):
        raise InputError("no\nmemory")
    head, rows = rows_of(tmp_path / "report.csv")
    assert head["left out (1)"] == "second: no memory"
    assert (rows[0]["part"], rows[0]["model"], rows[0]["value"]) == ("first", "m", "1")
    assert "| model | first | value |" in report.markdown()


def test_the_command_surveys_a_published_model(tmp_path):
    script = Path(__file__).parents[3] / "scripts" / "benchmark.py"
    path = tmp_path / "survey.csv"
    command = [
        sys.executable, str(script), "--survey", "--parts=rates,explanations,agreement", "--precisions=float32",
        "--models=efficientnet_lite0", "--work=grad_cam", "--batch_sizes=1", "--matrix=64", "--photos=1",
        "--megabytes=1", "--rounds=2", "--seconds=600", f"--images={write_photos(tmp_path / 'photos', 1)}",
        f"--out_path={path}",
    ]  # fmt: skip
    process = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert process.returncode == 0, process.stderr
    assert "| efficientnet_lite0 | Grad-CAM, one class a photo | 1 |" in process.stdout
    head, rows = rows_of(path)
    assert head["command"].endswith(f"--out_path={path}")
    assert {row["part"] for row in rows} == {"rates", "agreement", "explanations"}
