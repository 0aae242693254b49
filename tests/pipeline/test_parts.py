"""Parts of a list: each image in one part, by its id; a part done whole or not at all, on disks and in stores."""

import itertools
import json
import tracemalloc

import jax
import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.formats.storage import path_of
from gradcam_jax.images import sample_photo
from gradcam_jax.pipeline import Item, device_function, explain_items, open_run, read_items
from gradcam_jax.pipeline.computation import run_settings
from gradcam_jax.pipeline.part_store import PartStore
from gradcam_jax.pipeline.parts import (
    cut,
    failed_of_done,
    mark_done,
    number_of_parts,
    read_part,
    remove_unnamed,
    set_aside,
)
from gradcam_jax.pipeline.store import SHARDS, record_settings
from tests.pipeline.small_task import run_small, small_task, write_photos

TASK = small_task(max_targets=1)


def explain_parts(folder, parts, function, **options):
    record_settings(folder, {**run_settings(TASK), "parts": len(parts)}, "cpu")
    counts = []
    for part in parts:
        with PartStore(folder, part, **options) as store:
            items = read_part(folder, part)
            counts.append(explain_items(TASK, function, items, store, batch_size=8, workers=1))
        mark_done(folder, part, counts[-1].failed + store.done.failed)
    return counts


def same_results(one, other):
    assert set(one) == set(other)
    for name in one:
        left, right = one[name], other[name]
        for field in left.fields.keys() - {"shard", "row"}:
            assert left.fields[field] == right.fields[field]
        assert left.arrays.keys() == right.arrays.keys()
        assert all(np.array_equal(left.arrays[key], right.arrays[key]) for key in left.arrays)


@pytest.fixture(scope="module")
def function():
    return device_function(TASK, jax.local_devices())


def test_each_image_is_in_one_part_whatever_their_order(tmp_path):
    items = [Item(f"{n}", f"{n}.jpg", {"label": "1"} if n % 3 else {}) for n in range(300)]
    parts = cut(iter(items), tmp_path / "a", 7)
    again = cut(reversed(items), tmp_path / "b", 7, buffered=1000)  # in many small lists
    assert parts == again
    assert sum(part.images for part in parts) == 300
    assert number_of_parts(tmp_path / "a") == 7
    found = [list(read_part(tmp_path / "a", part)) for part in parts]
    assert sorted(itertools.chain(*found)) == sorted(items)
    for part, images in zip(again, found, strict=True):
        assert sorted(read_part(tmp_path / "b", part)) == sorted(images)


def test_a_photo_that_is_no_file_cannot_be_shared(tmp_path):
    with pytest.raises(InputError, match="share files alone, but 'x'"):
        cut(iter([Item("x", "x", pixels=sample_photo)]), tmp_path, 2)


def test_a_list_is_cut_in_bounded_memory(tmp_path):
    lengths = 2_000, 20_000
    peaks = []
    for length in lengths:
        tracemalloc.start()
        cut(
            (Item(f"photos/{n:09d}.jpg", f"/data/photos/{n:09d}.jpg") for n in range(length)),
            tmp_path,
            5,
            buffered=10**5,
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.parametrize("where", ["disk", "memory"])
def test_the_parts_hold_what_one_run_holds(where, tmp_path, function):
    if where == "memory":
        pytest.importorskip("upath", reason="object stores need the extra `ray`")
    photos = write_photos(tmp_path / "photos", 30, broken=(4,))
    run_small(photos, tmp_path / "whole")
    folder = tmp_path / "parts" if where == "disk" else path_of(f"memory://{tmp_path.name}/run")
    parts = cut(read_items(str(photos)), folder, 4)
    counts = explain_parts(folder, parts, function)
    assert sum(one.explained for one in counts) == 29
    same_results(open_run(tmp_path / "whole"), open_run(folder))
    assert sum(failed_of_done(folder, part) for part in parts) == 1

    before = {path.name for path in (folder / SHARDS).glob("*")}
    assert sum(one.explained + one.failed for one in explain_parts(folder, parts, function)) == 0
    assert {path.name for path in (folder / SHARDS).glob("*")} == before
    assert remove_unnamed(folder, SHARDS) == 0
    assert sum(one.failed for one in explain_parts(folder, parts, function, retry_failed=True)) == 1
    same_results(open_run(tmp_path / "whole"), open_run(folder))


def test_an_attempt_that_ends_early_leaves_nothing_that_counts(tmp_path, function):
    photos, folder = write_photos(tmp_path / "photos", 20), tmp_path / "run"
    (part,) = cut(read_items(str(photos)), folder, 1)
    record_settings(folder, {**run_settings(TASK), "parts": 1}, "cpu")
    with pytest.raises(KeyError), PartStore(folder, part, shard_bytes=1) as store:  # noqa: PT012
        explain_items(TASK, function, read_part(folder, part), store, batch_size=8, workers=1)
        raise KeyError
    assert len(open_run(folder)) == 0
    assert failed_of_done(folder, part) is None
    assert remove_unnamed(folder, SHARDS) == 3
    explain_parts(folder, [part], function)
    assert len(open_run(folder)) == 20


def test_two_attempts_at_one_part_leave_one_result(tmp_path, function):
    photos, folder = write_photos(tmp_path / "photos", 12), tmp_path / "run"
    (part,) = cut(read_items(str(photos)), folder, 1)
    record_settings(folder, {**run_settings(TASK), "parts": 1}, "cpu")
    with PartStore(folder, part) as slow, PartStore(folder, part) as quick:
        for store in (slow, quick):
            explain_items(TASK, function, read_part(folder, part), store, batch_size=8, workers=1)
    run = open_run(folder)
    assert len(run) == 12
    assert len({record.fields["shard"] for record in run.values()}) == 1
    assert remove_unnamed(folder, SHARDS) == 1
    assert all(record.arrays["cam"].any() for record in run.values())


def test_a_part_of_other_images_is_not_done(tmp_path):
    items = [Item(f"{n}", f"{n}.jpg") for n in range(10)]
    (part,) = cut(iter(items), tmp_path, 1)
    set_aside(tmp_path, part, "why")
    mark_done(tmp_path, part, 2)
    assert failed_of_done(tmp_path, part) == 2
    assert not list((tmp_path / "parts").glob("*.aside"))
    (longer,) = cut(iter([*items, Item("new", "new.jpg")]), tmp_path, 1)
    assert failed_of_done(tmp_path, longer) is None
    assert json.loads((tmp_path / "parts" / "00000.done").read_text())[2] == 2
