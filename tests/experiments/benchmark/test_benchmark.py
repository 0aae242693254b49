"""The benchmark's parts: the workers' protocol, the turns, the files, and every kind of work on small nets."""

import csv
import json

import jax
import numpy as np
import pytest

from gradcam_jax import zoo
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.benchmark import explanations
from gradcam_jax.experiments.benchmark.own import OwnSide, _arguments
from gradcam_jax.experiments.benchmark.table import COLUMNS, markdown, timing_row, write_csv
from gradcam_jax.experiments.benchmark.turns import Timing, time_task
from gradcam_jax.experiments.benchmark.work import WORK, Prepared, Task, UnsupportedError, class_indices
from gradcam_jax.experiments.benchmark.worker import OWN, answer, workers
from gradcam_jax.images.preprocessing import TORCHVISION
from gradcam_jax.models.vgg import VGG

TASK = Task("vgg16", "grad_cam", 2)
FIELDS = {"convolutions": (1, 1), "channels": (4, 6), "hidden": 8, "input_size": 16}


@pytest.fixture
def small_zoo(monkeypatch):
    """Puts a tiny net in VGG-16's place, without weights."""
    entry = zoo.find("vgg16")._replace(
        build=lambda: VGG(**FIELDS), layer="relu2_1", preprocessing=TORCHVISION._replace(size=16)
    )
    monkeypatch.setitem(zoo.MODELS, "vgg16", entry)
    monkeypatch.setattr(zoo, "weights_path", lambda _: None)


class Counting:
    """A competitor that only counts how often it ran, and does no guided work."""

    runs = 0

    def about(self):
        return {"version": "1"}

    def prepare(self, task):
        if task.work.startswith("guided"):
            raise UnsupportedError("not that")
        if not task.batch_size:
            raise MemoryError("too many")
        return Prepared(self._run, {"gflop": 3.0})

    def _run(self):
        self.runs += 1


def test_a_worker_answers_each_request_with_one_line():
    side = Counting()
    requests = [{"about": []}, {"prepare": TASK}, {"run": []}, {"run": []}]
    requests += [{"prepare": ["vgg16", "guided", 1]}, {"prepare": ["vgg16", "forward", 0]}]
    replies = [json.loads(line) for line in answer(side, map(json.dumps, requests))]
    assert replies[0] == {"version": "1"}
    assert replies[1] == {"gflop": 3.0}
    assert all(reply["seconds"] >= 0 for reply in replies[2:4])
    assert replies[4] == {"unsupported": "not that"}
    assert replies[5] == {"failed": "MemoryError: too many"}
    assert side.runs == 3  # one to warm up, two timed


class FakeWorker:
    """A worker whose answers are known, and that notes when it ran."""

    def __init__(self, name, seconds, log, **facts):
        self.name, self._seconds, self._log, self._facts = name, iter(seconds), log, facts

    def ask(self, name, *arguments):
        if name == "prepare":
            return self._facts
        self._log.append(self.name)
        return {"seconds": next(self._seconds)}


def test_competitors_take_turns_and_medians_are_of_each():
    log = []
    both = [FakeWorker("a", [1.0, 2.0, 9.0], log), FakeWorker("b", [4.0, 4.0, 8.0], log)]
    timings = time_task(both, TASK, rounds=3, most_seconds=60)
    assert log == ["a", "b"] * 3
    assert [(t.name, t.median, t.low, t.high, t.runs) for t in timings] == [
        ("a", 2.0, 1.5, 5.5, 3),
        ("b", 4.0, 4.0, 6.0, 3),
    ]


def test_two_rounds_are_run_however_long_they_take():
    log = []
    time_task([FakeWorker("a", [1.0] * 5, log)], TASK, rounds=5, most_seconds=0)
    assert log == ["a", "a"]


def test_who_fails_is_named_and_who_does_not_do_such_work_is_passed_over():
    log, said = [], []
    failed = FakeWorker("b", [], log, failed="no memory")
    three = [FakeWorker("a", [1.0] * 2, log), failed, FakeWorker("c", [], log, unsupported="")]
    assert [timing.name for timing in time_task(three, TASK, 2, 60, said.append)] == ["a"]
    assert said == ["b, vgg16 grad_cam 2 float32: no memory"]


def test_a_worker_that_ends_is_an_error_with_its_last_words():
    with workers([OWN], 1) as started:
        with pytest.raises(InputError, match=f"{OWN} ended: .+nonsense"):
            started[0].ask("nonsense")
        said = []
        assert time_task(started, TASK, 2, 60, said.append) == []
        assert f"The process of {OWN} ended" in said[0]


def test_a_worker_is_ended_after_the_seconds_that_it_was_given():
    with workers([OWN], 1) as started, pytest.raises(InputError, match=f"{OWN} ended: it was stopped"):
        started[0].ask("about", seconds=0.1)


def test_the_csv_keeps_everything_and_the_table_compares(tmp_path):
    timings = [
        Timing(OWN, TASK, 0.2, 0.1, 0.3, 5, {"gflop": 30.0, "compile_seconds": 1.25}),
        Timing("peer", TASK, 0.5, 0.4, 0.6, 5, {}),
    ]
    path = tmp_path / "new" / "table.csv"
    write_csv(path, {"device": "a chip"}, COLUMNS, [timing_row(timing, {"float32": 300.0}) for timing in timings])
    first, *rest = path.read_text().splitlines()
    assert first == "# device: a chip"
    rows = list(csv.DictReader(rest))
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["median_ms"] == "200.00"
    assert rows[0]["images_per_second"] == "10.00"
    assert rows[0]["gflop_per_second"] == "150.0"
    assert rows[0]["share_of_peak"] == "0.500"
    assert rows[1]["gflop"] == ""
    assert markdown(timings, OWN).splitlines() == [
        f"| vgg16 | batch | precision | {OWN} | peer |",
        "| --- | --- | --- | --- | --- |",
        f"| {WORK['grad_cam']} | 2 | float32 | **200** | 500 (2.5x) |",
    ]


@pytest.mark.parametrize("work", WORK)
def test_every_kind_of_work_runs_and_gives_what_it_should(small_zoo, work):
    prepared = OwnSide().prepare(Task("vgg16", work, 2))
    classes, maps, pixels = (2, 1000), (8, 8), (16, 16, 3)
    expected = {
        "forward": classes, "grad_cam": (2, 1, *maps), "ten_classes": (2, 10, *maps),
        "all_classes": (*classes, *maps),
        "guided_backprop": (2, 1, *pixels), "guided_grad_cam": (2, 1, *pixels),
        "gradient_methods": (2, 1, *maps), "ablation_cam": (2, 1, *maps),
    }  # fmt: skip
    result = prepared.run()
    assert jax.tree.leaves(result)[-1].shape == expected[work]
    if work == "gradient_methods":  # traced as two passes, compiled as one
        assert len(result) == 10
        assert "gflop" not in prepared.facts
    else:
        assert prepared.facts["gflop"] > 0


def test_classes_differ():
    rows = class_indices(8, 10)
    assert np.shape(rows) == (8, 10)
    assert all(len(set(row)) == 10 and max(row) < 1000 for row in rows)


def test_the_command_writes_its_file_and_reports_the_table(tmp_path):
    lines = []
    options = explanations.Options(
        models=["alexnet"],
        work=["forward"],
        batch_sizes=[1],
        rounds=2,
        matrix=64,
        out_path=str(tmp_path / "new" / "b.csv"),
    )
    timings = explanations.run(options, lines.append)
    assert [timing.name for timing in timings] == [OWN]
    text = (tmp_path / "new" / "b.csv").read_text()
    for key in ("device", "processor", "versions", "command"):
        assert f"# {key}: " in text
    assert "alexnet,forward,1,float32,gradcam_jax," in text
    assert "| forward pass alone | 1 | float32 | **" in "\n".join(lines)


def test_unknown_work_is_an_error():
    with pytest.raises(InputError, match=r"no kind of work 'backward'. Nearest: forward"):
        explanations.run(explanations.Options(work=["backward"]), print)
    with pytest.raises(InputError, match="no model"):
        explanations.run(explanations.Options(models=["vgg61"]), print)


def test_a_model_is_timed_at_the_size_it_was_published_for():
    (image, _) = _arguments(Task("efficientnet_lite0", "grad_cam", 3))
    assert image.shape == (3, 224, 224, 3)  # explain.py's default is 320
