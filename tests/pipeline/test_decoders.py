"""Processes that decode: in order, into shared memory, without JAX, and none of them takes a photo with it."""

import contextlib
import functools
import itertools
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.images import read_photo
from gradcam_jax.images.decoder import EXACT, Settings
from gradcam_jax.images.preprocessing import EFFICIENTNET_LITE
from gradcam_jax.images.ring import Layout, Ring
from gradcam_jax.pipeline import Item, decoders, explain_items, open_run, open_store, read_items
from gradcam_jax.pipeline.decoders import Decoders
from gradcam_jax.pipeline.decoding import decoded_batches
from tests.pipeline import sources
from tests.pipeline.small_task import children, results_of, run_items, small_task, write_photos

SIZE, ROWS = 32, 8


@contextlib.contextmanager
def decoding(processes=1, *, size=SIZE, rows=ROWS, keep_photo=False):
    layout = Layout(6, rows, size, "uint8")
    with (
        contextlib.closing(Ring(layout)) as ring,
        Decoders(Settings(EFFICIENTNET_LITE, EXACT, keep_photo, layout, ring.descriptor), processes) as pool,
    ):
        yield pool, ring


def encode(request):
    if "label" in request:
        raise InputError(f"no class {request['label']!r}")
    return {"targets": np.zeros(1, np.int32)}


def decoded(items, pool, ring):
    """Yields each item with its pixels, or with the reason why there are none."""
    for batch in decoded_batches(items, encode, pool, ring):
        for row, (item, photo) in enumerate(zip(batch.items, batch.decoded, strict=True)):
            yield item, photo.error or batch.images[row].copy()
        ring.give_back(batch.place)


def made(name, source, *arguments, **request):
    return Item(name, name, request, pixels=functools.partial(source, *arguments))


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")


def test_pixels_come_in_order_from_several_processes(tmp_path):
    photos = write_photos(tmp_path / "photos", 30)
    items = [Item(f"{n:04d}", str(photos / f"{n:04d}.png")) for n in range(30)]
    with decoding(3) as (pool, ring):
        results = list(decoded(items, pool, ring))
        assert len(pool) == 3
    assert [item.id for item, _ in results] == [item.id for item in items]
    for item, pixels in results:
        np.testing.assert_array_equal(pixels, EFFICIENTNET_LITE.resize(read_photo(item.path), SIZE).image)
    assert pool.work.seconds >= pool.work.processor_seconds > 0
    assert 0 < pool.work.waiting_seconds < pool.work.seconds


def test_what_cannot_be_decoded_or_asked_is_one_line(tmp_path):
    items = [
        made("good", sources.grey, 7),
        made("asked", sources.grey, 7, label="no such"),
        Item("gone", str(tmp_path / "gone.jpg")),
        Item("line 3", "", problem="line 3: expected a path"),
        made("large", sources.out_of_memory),
        made("last", sources.grey, 9),
    ]
    with decoding() as (pool, ring):
        results = {item.id: result for item, result in decoded(items, pool, ring)}
    assert (results["good"] == 7).all()
    assert (results["last"] == 9).all()
    assert results["asked"] == "no class 'no such'"
    assert "does not exist" in results["gone"]
    assert results["line 3"] == "line 3: expected a path"
    assert results["large"] == "MemoryError"


@needs_proc
def test_a_photo_that_kills_its_process_costs_one_line():
    items = [made(f"{n}", sources.grey, n) for n in range(20)]
    items[3] = items[12] = made("deadly", sources.deadly)
    with decoding(2) as (pool, ring):
        results = list(decoded(items, pool, ring))
        before = set(children())
        assert len(before) == 2
    for number, (_, result) in enumerate(results):
        if number in (3, 12):
            assert "ended the process twice (signal 9)" in result
        else:
            assert (result == number).all()
    assert not set(children())


@needs_proc
def test_processes_that_are_killed_from_outside_cost_nothing(tmp_path):
    count, kills = int(os.environ.get("GRADCAM_JAX_KILLED_FILES", "160")), []
    rng = np.random.default_rng(0)

    def kill_one(_):
        for process in rng.permutation(children())[:1]:
            time.sleep(rng.uniform(0, 0.03))
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)
                kills.append(process)

    items = (made(f"{n}", sources.slow, n % 256, 0.02) for n in range(count))
    progress = run_items(items, tmp_path / "run", workers=2, report=kill_one)
    assert len(kills) >= 10
    assert (progress.explained, progress.failed) == (count, 0)
    run = open_run(tmp_path / "run")
    assert list(run) == [f"{n}" for n in range(count)]
    run_items((made(f"{n}", sources.grey, n % 256) for n in range(count)), tmp_path / "undisturbed")
    for name, record in open_run(tmp_path / "undisturbed").items():
        np.testing.assert_array_equal(run[name].arrays["cam"], record.arrays["cam"])


def test_a_process_that_cannot_start_stops_the_run_with_a_message(monkeypatch, tmp_path):
    monkeypatch.setattr(decoders, "_PROGRAM", "raise SystemExit(3)  # {path}")
    with pytest.raises(InputError, match="could not be started"):
        run_items(iter([made("a", sources.grey, 1)]), tmp_path / "run")


def test_what_cannot_be_sent_to_a_process_is_said(tmp_path):
    item = Item("a", "a", pixels=lambda: sources.grey(1))
    with pytest.raises(InputError, match=r"functools\.partial.*lambda"):
        run_items(iter([item]), tmp_path / "run")


def test_more_processes_than_cores_start_only_where_files_are_slow(tmp_path, monkeypatch):
    monkeypatch.setattr("gradcam_jax.pipeline.run.usable_cores", lambda: 1)
    quick = (made(f"{n}", sources.grey, 1) for n in range(60))
    many = [
        Item(f"{n}", str(write_photos(tmp_path / "photos", 1, size=(400, 300)) / "0000.png")) for n in range(24)
    ]
    assert run_items(iter(many), tmp_path / "quick", workers=4).processes == 1
    assert run_items(quick, tmp_path / "none", workers=1).processes == 1
    slow = (made(f"{n}", sources.slow, 1, 0.01) for n in range(60))
    assert run_items(slow, tmp_path / "slow", workers=4).processes == 4


@pytest.mark.timed
def test_two_photos_are_decoded_at_once():
    items = [made(f"{n}", sources.slow, n, 0.05) for n in range(24)]
    seconds = {}
    for processes in (1, 3):
        with decoding(processes) as (pool, ring):
            list(decoded(items[:3], pool, ring))
            started = time.perf_counter()
            list(decoded(items, pool, ring))
            seconds[processes] = time.perf_counter() - started
    assert seconds[1] > 1.2
    assert seconds[3] < 0.6 * seconds[1]


class NoTime:
    """A device that takes no time: it gives every batch the same results."""

    compilations = 1

    def __init__(self, results):
        self.results = results

    def put(self, *batch):
        return batch

    def __call__(self, *_):
        return self.results


@pytest.mark.timed
def test_the_pipeline_moves_what_its_decoders_can_decode(tmp_path):
    task, rows = small_task(max_targets=1), 32
    photos = write_photos(tmp_path / "photos", 40, size=(240, 180))
    items = [
        item._replace(id=f"{n}")
        for n, item in enumerate(itertools.islice(itertools.cycle(read_items(str(photos))), 320))
    ]
    results, ratios = results_of(task, rows), []
    for turn in range(5):
        with decoding(1, rows=rows) as (pool, ring):
            list(decoded(items[:64], pool, ring))
            started = time.perf_counter()
            list(decoded(items, pool, ring))
            alone = time.perf_counter() - started
        with open_store(task, tmp_path / f"run{turn}") as store:
            function, first = NoTime(results), []
            look = lambda progress, first=first: first.append((progress.seconds, progress.explained))  # noqa: E731
            progress = explain_items(task, function, iter(items), store, batch_size=rows, workers=1, report=look)
        began, done = first[1]  # what the processes' start took is not counted
        rate = (progress.explained - done) / (progress.seconds - began)
        ratios.append(rate * alone / len(items))
    assert np.median(ratios) > 0.85, ratios
