import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import PIL.Image
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.images.decoder import Decoding
from gradcam_jax.pipeline import Item, device_function, explain_items, open_run, open_store, read_items
from tests.comparison import assert_close
from tests.pipeline.small_task import children, run_small, small_task, write_photos

FILES, KILLS = (
    int(os.environ.get("GRADCAM_JAX_KILLED_FILES", "160")),
    int(os.environ.get("GRADCAM_JAX_KILLS", "3")),
)
ROOT = Path(__file__).parents[2]


def explain(items, store, **options):
    task = small_task()
    return explain_items(task, device_function(task, jax.devices()), items, store, **options)


def lines_of(folder):
    manifests = sorted(folder.glob("manifest*.jsonl"))
    return [json.loads(line) for path in manifests for line in path.read_text().splitlines()]


def test_every_image_is_explained_once_in_order_and_every_bad_one_named(tmp_path):
    photos = write_photos(tmp_path / "photos", 21, broken={0, 7, 20})
    (photos / "0021.jpg").write_bytes(b"not an image")
    (tmp_path / "list.txt").write_text(
        "".join(f"photos/{n:04d}.png\n" for n in range(21)) + "photos/0021.jpg\ngone.jpg\n"
    )
    progress = run_small(tmp_path / "list.txt", tmp_path / "run")
    assert (progress.explained, progress.failed, progress.skipped) == (18, 5, 0)
    lines = lines_of(tmp_path / "run")
    assert [line["id"] for line in lines] == [
        *(f"photos/{n:04d}.png" for n in range(21)),
        "photos/0021.jpg",
        "gone.jpg",
    ]
    bad = {line["id"]: line["error"] for line in lines if line["status"] == "failed"}
    assert list(bad) == ["photos/0000.png", "photos/0007.png", "photos/0020.png", "photos/0021.jpg", "gone.jpg"]
    assert "truncated" in bad["photos/0007.png"]
    assert "does not exist" in bad["gone.jpg"]
    good = [line for line in lines if line["status"] == "ok"]
    assert all(isinstance(line["prediction"], str) and np.isfinite(line["targets"][0]["score"]) for line in good)


def test_results_are_those_of_each_photo_alone(tmp_path):
    photos = write_photos(tmp_path / "photos", 11)
    run_small(photos, tmp_path / "many", batch_size=4)
    many = open_run(tmp_path / "many")
    for name in ("0000.png", "0006.png", "0010.png"):
        run_small(photos / name, tmp_path / name, batch_size=1)
        alone = open_run(tmp_path / name)[name]
        assert_close(many[name].arrays["cam"], alone.arrays["cam"])
        assert many[name].fields["prediction"] == alone.fields["prediction"]


def test_the_same_command_again_does_nothing_and_more_images_only_those(tmp_path):
    photos = write_photos(tmp_path / "photos", 6)
    run_small(photos, tmp_path / "run")
    again = run_small(photos, tmp_path / "run")
    assert (again.explained, again.skipped) == (0, 6)
    write_photos(photos, 9)
    more = run_small(photos, tmp_path / "run")
    assert (more.explained, more.skipped) == (3, 6)
    assert len(open_run(tmp_path / "run")) == 9


def test_each_line_is_asked_its_own(tmp_path):
    write_photos(tmp_path / "photos", 1)
    rows = [{"path": "photos/0000.png", "label": "boxer"}, {"path": "photos/0000.png", "label": "no such class"}]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run_small(tmp_path / "list.jsonl", tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert run["photos/0000.png#1"].arrays["targets"].tolist() == [242]
    assert "no such class" in run["photos/0000.png#2"].fields["error"]


def test_a_stopped_run_finishes_what_it_began(tmp_path):
    photos = write_photos(tmp_path / "photos", 60)
    stop = threading.Event()
    first = run_small(photos, tmp_path / "run", batch_size=4, stop=stop, report=lambda _: stop.set())
    assert 4 <= first.explained < 60
    assert len(lines_of(tmp_path / "run")) == first.explained
    assert run_small(photos, tmp_path / "run", batch_size=4).explained == 60 - first.explained


def test_only_what_is_about_to_be_needed_is_read(tmp_path):
    photos = write_photos(tmp_path / "photos", 1)
    ahead = 0
    taken = [0]

    def endless():
        while taken[0] < 300:
            taken[0] += 1
            yield Item(f"{taken[0]}", str(photos / "0000.png"))

    def look(progress):
        nonlocal ahead
        ahead = max(ahead, taken[0] - progress.explained)

    with open_store(small_task(), tmp_path / "run") as store:
        explain(endless(), store, batch_size=4, workers=2, report=look)
    assert taken[0] == 300
    assert ahead <= 7 * 4  # three batches are decoded; four wait for a device, are computed, fetched, written


def test_what_goes_wrong_while_writing_stops_the_run(tmp_path, monkeypatch):
    photos = write_photos(tmp_path / "photos", 40)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gradcam_jax.pipeline.store.write_shard", fail)
    with pytest.raises(InputError, match="the disk is full"):
        run_small(photos, tmp_path / "run", store={"shard_seconds": 0.0})
    monkeypatch.undo()
    assert run_small(photos, tmp_path / "run").explained == 40


def test_a_source_that_breaks_keeps_what_was_done(tmp_path):
    photos = write_photos(tmp_path / "photos", 8)

    def broken():
        yield from read_items(str(photos))
        raise InputError("the list ends in the middle")

    with (
        pytest.raises(InputError, match="ends in the middle"),
        open_store(small_task(), tmp_path / "run") as store,
    ):
        explain(broken(), store, batch_size=4, workers=1)
    assert len(open_run(tmp_path / "run")) == 8


def test_pictures_are_drawn_before_an_image_counts(tmp_path):
    photos = write_photos(tmp_path / "photos", 5, broken={2})
    drawn = []
    run_small(
        photos,
        tmp_path / "run",
        draw=lambda item, one, about: drawn.append((item.id, one.photo.shape, about.rows[0].cam.shape)),
    )
    assert sorted(name for name, _, _ in drawn) == ["0000.png", "0001.png", "0003.png", "0004.png"]
    assert {(photo, cam) for _, photo, cam in drawn} == {((36, 40, 3), (16, 16))}


def test_large_jpegs_can_be_decoded_at_a_smaller_scale(tmp_path):
    rng = np.random.default_rng(0)
    picture = PIL.Image.fromarray(rng.integers(0, 255, (9, 12, 3), np.uint8)).resize(
        (960, 720), PIL.Image.Resampling.BICUBIC
    )
    (tmp_path / "photos").mkdir()
    picture.save(tmp_path / "photos" / "large.jpg")
    whole, scaled = tmp_path / "whole", tmp_path / "scaled"
    sizes = []
    for folder, is_scaled in ((whole, False), (scaled, True)):
        draw = lambda _, one, __: sizes.append(one.photo.shape)  # noqa: E731
        run_small(tmp_path / "photos", folder, decoding=Decoding(scaled=is_scaled), draw=draw)
    assert sizes == [(720, 960, 3), (90, 120, 3)]  # an eighth, both sides at least twice 32
    cams = [open_run(folder)["large.jpg"].arrays["cam"] for folder in (whole, scaled)]
    assert_close(cams[1], cams[0], 0.1)  # bytes are rounded at another place


def test_the_union_of_two_processes_is_the_run_of_one(tmp_path):
    photos = write_photos(tmp_path / "photos", 30, broken={4, 5})
    run_small(photos, tmp_path / "one")
    for process in range(2):
        run_small(photos, tmp_path / "two", process=process, processes=2)
    one, two = open_run(tmp_path / "one"), open_run(tmp_path / "two")
    assert set(one) == set(two)
    for name in one:
        assert one[name].fields["status"] == two[name].fields["status"]
        for key, array in one[name].arrays.items():
            assert_close(two[name].arrays[key], array)


def kill_at_random(source, folder, moments, pause):
    """Starts the run again and again, killing it so many seconds after its first shard; the last one finishes."""
    command = [sys.executable, "-m", "tests.pipeline.small_task", str(source), str(folder), str(pause)]
    killed = 0
    for moment in moments:
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
        before, until = count_lines(folder), time.monotonic() + 60
        # The moment is counted from the first shard on, or it would mostly fall into the start.
        while process.poll() is None and time.monotonic() < until and count_lines(folder) == before:
            time.sleep(0.01)
        time.sleep(moment)
        decoding = children(process.pid)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.communicate()
        until = time.monotonic() + 10
        while any(Path(f"/proc/{one}").exists() for one in decoding) and time.monotonic() < until:
            time.sleep(0.02)
        assert time.monotonic() < until, "processes that decode outlived their run"
    subprocess.run(command, cwd=ROOT, check=True)
    return killed


def count_lines(folder):
    manifest = folder / "manifest.jsonl"
    return manifest.read_bytes().count(b"\n") if manifest.exists() else 0


def test_a_run_that_is_killed_again_and_again_explains_every_image_once(tmp_path):
    broken = set(range(0, FILES, 100))
    photos = write_photos(tmp_path / "photos", FILES, broken=broken)
    moments = np.random.default_rng(FILES).uniform(0, 0.4, KILLS)
    killed = kill_at_random(photos, tmp_path / "run", moments, 0.004 * 160 / FILES)
    lines = lines_of(tmp_path / "run")
    assert killed >= KILLS // 2, "the run was over before it was killed"
    assert sorted(line["id"] for line in lines) == [f"{number:04d}.png" for number in range(FILES)]
    assert {line["id"] for line in lines if line["status"] == "failed"} == {f"{n:04d}.png" for n in broken}
    run_small(photos, tmp_path / "undisturbed")
    undisturbed, run = open_run(tmp_path / "undisturbed"), open_run(tmp_path / "run")
    for name in run:
        for key, array in run[name].arrays.items():
            assert_close(array, undisturbed[name].arrays[key])
    assert not list((tmp_path / "run").rglob("*.part"))


def resident_bytes():
    """Returns the memory of this process and those that decode for it; what they share counts for each."""
    pages = 0
    for process in ("self", *children()):
        with open(f"/proc/{process}/statm", encoding="ascii") as numbers:
            pages += int(numbers.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory in use from /proc")
def test_memory_stays_flat(tmp_path):
    count = int(os.environ.get("GRADCAM_JAX_MEMORY_FILES", "2000"))
    photos = write_photos(tmp_path / "photos", 50)
    items = (Item(f"{number}", str(photos / f"{number % 50:04d}.png")) for number in range(count))
    peaks = {}

    def look(progress):
        tenth = 10 * progress.explained // count
        peaks[tenth] = max(peaks.get(tenth, 0), resident_bytes())

    with open_store(small_task(), tmp_path / "run", shard_bytes=2**17) as store:
        explain(items, store, batch_size=16, workers=2, report=look)
    first = max(peaks[0], peaks[1])
    assert max(peaks.values()) < 1.05 * first, {tenth: peak // 2**20 for tenth, peak in peaks.items()}
