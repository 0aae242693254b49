"""Each stage of a run is starved on purpose, and the summary names it."""

import functools
import time

import numpy as np
import pytest

from gradcam_jax.app.summary import busy_shares, summary
from gradcam_jax.pipeline import Item, Progress, store
from tests.pipeline import sources
from tests.pipeline.small_task import results_of, run_items, small_task, write_photos

pytestmark = pytest.mark.timed

ROWS, PAUSE = 4, 0.08
TASK = small_task(max_targets=1)


class Late:
    """An array that a device needs a while to compute, and a while to bring back."""

    def __init__(self, array, ready, coming):
        self.array, self.ready, self.coming = array, ready, coming

    def block_until_ready(self):
        time.sleep(max(self.ready - time.perf_counter(), 0))
        return self

    def __array__(self, *_, **__):
        time.sleep(self.coming)
        return self.array


class Device:
    compilations = 1

    def __init__(self, *, moving=0.0, computing=0.0, coming=0.0):
        self.times, self.results = (moving, computing, coming), results_of(TASK, ROWS)
        self.ready = 0.0

    def put(self, *batch):
        time.sleep(self.times[0])
        return batch

    def __call__(self, *_):
        _, computing, coming = self.times
        self.ready = max(self.ready, time.perf_counter()) + computing  # one batch after the other
        return {**self.results, "scores": Late(self.results["scores"], self.ready, coming)}


def made(count, seconds=0.0):
    return (Item(f"{n}", f"{n}", pixels=functools.partial(sources.slow, 7, seconds)) for n in range(count))


def last_line(progress, cores=8):
    *_, about, advice = summary(progress, cores)
    print(about)
    return advice


@pytest.mark.parametrize(
    ("stage", "device", "advice"),
    [
        ("compute", {"computing": PAUSE}, "Faster with a faster device, or more of them."),
        ("transfer", {"moving": PAUSE}, "Faster with a faster way to the device."),
        ("fetch", {"coming": PAUSE}, "Faster with a faster way from the device, or fewer --methods."),
    ],
)
def test_a_slow_device_is_named(tmp_path, stage, device, advice):
    progress = run_items(made(80), tmp_path / "run", task=TASK, function=Device(**device), batch_size=ROWS)
    shares = busy_shares(progress)
    assert max(shares, key=shares.get) == stage
    # 20 batches, each of which takes the stage the pause and nearly nothing more
    assert getattr(progress, f"{stage}_seconds") == pytest.approx(20 * PAUSE, rel=0.15)
    assert last_line(progress) == advice


def test_slow_files_are_told_from_slow_decoding(tmp_path):
    fast = functools.partial(run_items, task=TASK, function=Device(), batch_size=ROWS, workers=1)
    files = fast(made(60, 0.03), tmp_path / "files")
    assert files.file_seconds > 0.9 * files.decode_seconds
    assert files.decode_processor_seconds < 0.2 * files.decode_seconds
    assert last_line(files) == "Faster with a faster disk or network to read from, or more --workers."
    assert files.starved_seconds > 0.8 * files.seconds

    photos = write_photos(tmp_path / "photos", 1, size=(1200, 900)) / "0000.png"
    decoding = fast((Item(f"{n}", str(photos)) for n in range(60)), tmp_path / "decoding")
    assert decoding.file_seconds < 0.2 * decoding.decode_seconds
    assert last_line(decoding) == "Faster with more --workers: 1 of 8 cores decode."
    assert last_line(decoding, 1).startswith("Faster with more cores (or --scaled_decoding")


def test_a_slow_disk_is_told_from_slow_pictures_and_from_much_to_say(tmp_path, monkeypatch):
    run = functools.partial(run_items, function=Device(), batch_size=ROWS, store={"shard_seconds": 0.0})
    draw = lambda *_: time.sleep(PAUSE / 4)  # noqa: E731
    drawing = run(made(60), tmp_path / "drawing", task=TASK, draw=draw, workers=1)
    assert last_line(drawing) == "Faster with fewer pictures (--save), or more cores."

    def record(*_):
        time.sleep(PAUSE / 4)
        return {}

    saying = run(made(60), tmp_path / "saying", task=TASK._replace(record=record))
    assert last_line(saying) == "Faster with more processes that share the images (--num_processes)."

    write = store.write_shard
    monkeypatch.setattr(store, "write_shard", lambda *shard: (time.sleep(PAUSE), write(*shard)))
    disk = run(made(60), tmp_path / "disk", task=TASK)
    assert last_line(disk) == "Faster with a faster disk to write to."
    assert disk.disk_seconds > 0.9 * disk.write_seconds


def test_the_stages_overlap(tmp_path):
    times, batches = {"moving": PAUSE, "computing": PAUSE, "coming": PAUSE}, 20
    progress = run_items(
        made(batches * ROWS), tmp_path / "run", task=TASK, function=Device(**times), batch_size=ROWS
    )
    # One after the other they would take three pauses a batch.
    assert progress.seconds - progress.first_map_seconds < 1.25 * batches * PAUSE
    assert progress.transfer_seconds + progress.fetch_seconds == pytest.approx(2 * batches * PAUSE, rel=0.15)


def test_nothing_is_advised_where_nothing_was_busy():
    idle = summary(Progress(explained=1, seconds=10), 2)
    assert len(idle) == 3
    assert "decode 0%, transfer 0%, compute 0%, fetch 0%, write 0%" in idle[1]
    assert len(summary(Progress(failed=3, seconds=1), 2)) == 1


def test_shares_of_decoding_are_means_over_processes():
    progress = Progress(explained=10, seconds=10, processes=2, decode_seconds=18, compute_seconds=4)
    assert busy_shares(progress)["decode"] == pytest.approx(0.9)
    assert np.isclose(busy_shares(progress)["compute"], 0.4)
