"""A finished run, loaded by what people load next: csv, numpy, zarr; and photos found by their paths."""

import csv
import json
import sys

import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.pipeline import open_run
from tests.pipeline.small_task import run_small, small_task, write_photos

NASTY = 'a "quoted", <b>name<b>\né.png'


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    photos = write_photos(folder / "photos", 5, broken={1})
    (photos / "0004.png").rename(photos / NASTY)
    rows = [
        {"path": "photos/0000.png", "label": "boxer, tabby"},
        {"path": "photos/0001.png"},
        {"path": "photos/0002.png"},
        {"path": "photos/0000.png", "label": "espresso"},
        {"path": f"photos/{NASTY}"},
    ]
    source = folder / "list.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    # A shard a batch of two, and the broken photo tried twice: what is read back is each image once.
    store = {"shard_bytes": 1, "retry_failed": True}
    for _ in range(2):
        run_small(source, folder / "run", task=small_task(max_targets=2), batch_size=2, store=store)
    return open_run(folder / "run")


def test_records_are_those_of_each_id(run):
    assert len(list(run.records())) == len(run) == 5
    for record in run.records():
        alone = run[record.fields["id"]]
        assert record.fields == alone.fields
        assert record.arrays.keys() == alone.arrays.keys()
        for name, array in record.arrays.items():
            np.testing.assert_array_equal(array, alone.arrays[name])


def test_a_photo_is_found_by_its_path_with_everything_that_was_asked_of_it(run):
    for path in (run.folder.parent / "photos" / "0000.png", "photos/0000.png", "0000.png"):
        asked = [record.fields["request"]["label"] for record in run.of_path(path)]
        assert asked == ["boxer, tabby", "espresso"]
    assert run.of_path("000.png") == []
    assert [record.fields["status"] for record in run.of_path("0001.png")] == ["failed"]


def test_a_table_has_a_row_a_target_and_one_a_failure(run, tmp_path):
    with run.to_csv(tmp_path / "run.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    expected = []
    for record in run.records():
        for target in record.fields["targets"] or [{}]:
            expected.append((record.fields["id"], target.get("name", ""), target.get("score", "")))
    assert [(row["id"], row["name"], row["score"] and float(row["score"])) for row in rows] == expected
    assert [row["error"] != "" for row in rows] == [row["status"] == "failed" for row in rows]
    assert rows[0]["label"] == "boxer, tabby"
    assert [row["rank"] for row in rows if not row["label"]] == [""]
    assert rows[-2]["id"] == f"photos/{NASTY}"  # the broken photo, tried again, is the last
    assert {row["all_negative"] for row in rows} <= {"True", "False", ""}


def test_arrays_in_memory_are_the_records_in_order(run):
    arrays = run.to_numpy()
    good = [record for record in run.records() if record.fields["status"] == "ok"]
    assert arrays["id"].tolist() == [record.fields["id"] for record in good]
    for name in good[0].arrays:
        np.testing.assert_array_equal(arrays[name], np.stack([record.arrays[name] for record in good]))
    assert set(run.to_numpy(["cam"])) == {"id", "cam"}
    with pytest.raises(InputError, match=r"There is no array 'cams'\. Nearest: cam"):
        run.to_numpy(["cams"])


def test_a_zarr_group_holds_the_same(run, tmp_path):
    zarr = pytest.importorskip("zarr", reason="needs the extra `zarr`")
    for _ in range(2):  # the second replaces the first
        group = zarr.open_group(run.to_zarr(tmp_path / "run.zarr"), mode="r")
    arrays = run.to_numpy()
    assert group.attrs["id"] == arrays.pop("id").tolist()
    assert group.attrs["run"]["model"] == "small"
    assert set(group.array_keys()) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(group[name][:], array)
    assert [path.name for path in tmp_path.iterdir()] == ["run.zarr"]


def test_a_missing_library_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(InputError, match="pip install 'zarr>=3'"):
        run.to_zarr(tmp_path / "run.zarr")
