"""The way from files: every way to decode, and a run beside its function."""

import csv

import pytest

from gradcam_jax import zoo
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.benchmark.files import COLUMNS, Options, Way, measure_decoding, measure_run, run
from gradcam_jax.images.decoder import EXACT, Decoding
from tests.pipeline.small_task import ENTRY, loaded, small_task, write_photos


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """Puts the classifier ``small`` into the zoo, with weights of its own."""
    monkeypatch.setenv(zoo.CHECKPOINTS_VARIABLE, str(tmp_path))
    monkeypatch.setitem(zoo.MODELS, "small", ENTRY)
    card = zoo.Card("small", "efficientnet_lite", "none", 0)
    zoo.write_checkpoint(tmp_path / "small.safetensors", loaded().variables, card)


def options(photos, **fields):
    return Options(str(photos), "small", **{"batch_size": 4, "workers": 2, "rounds": 2} | fields)


def test_every_way_to_decode_is_measured_every_round(tmp_path):
    ways = [Way(1, EXACT), Way(2, Decoding(scaled=True))]
    rows = measure_decoding(options(write_photos(tmp_path / "photos", 6)), small_task(), ways)
    assert [(row["workers"], row["decoding"]) for row in rows] == [(1, "exact"), (2, "scaled")]
    assert [row["images"] for row in rows] == [4, 6]  # one batch at least
    assert all(len(row["rounds"]) == 2 and min(row["rounds"]) > 0 for row in rows)


def test_the_run_is_measured_beside_its_parts(tmp_path):
    photos, lines = write_photos(tmp_path / "photos", 20, broken={3}), []
    transfer, function, whole = measure_run(options(photos), small_task(), lines.append)
    assert [row["what"] for row in (transfer, function, whole)] == ["transfer", "function", "run"]
    assert (transfer["images"], function["images"], whole["images"]) == (19, 19, 20)
    for row in (transfer, function, whole):
        assert len(row["rounds"]) == 2
        assert min(row["rounds"]) > 0
    assert lines == ["round 1 of 2", "round 2 of 2"]


def test_photos_are_taken_again_until_there_are_so_many(tmp_path):
    photos = write_photos(tmp_path / "photos", 3)
    *_, whole = measure_run(options(photos, count=10, rounds=1), small_task())
    assert whole["images"] == 10


def test_without_photos_there_is_nothing_to_measure(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no image in"):
        measure_decoding(options(tmp_path / "empty"), small_task(), [Way(1, EXACT)])
    with pytest.raises(InputError, match="no image in"):
        measure_run(options(write_photos(tmp_path / "photos", 1, broken={0})), small_task())


def test_the_table_says_what_was_timed_on_what(tmp_path):
    photos, path, said = write_photos(tmp_path / "photos", 6), tmp_path / "tables" / "files.csv", []
    run(options(photos, decoding=Decoding(fast=True), out_path=str(path)), said.append)
    text = path.read_text()
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert {line.partition(":")[0] for line in head} >= {"# device", "# processor", "# versions", "# command"}
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    assert tuple(rows[0]) == COLUMNS
    *decoding, transfer, function, exact, whole = rows
    assert {row["what"] for row in decoding} == {"decoding"}
    assert [row["decoding"] for row in decoding] == ["exact"] * (len(decoding) // 2) + ["fast"] * (
        len(decoding) // 2
    )
    assert [row["what"] for row in (transfer, function, exact, whole)] == ["transfer", "function", "run", "run"]
    assert (exact["decoding"], whole["decoding"]) == ("exact", "fast")
    assert all(float(row["images_per_second"]) > 0 for row in rows)
    (ratio,) = (line.partition("): ")[2] for line in head if line.startswith("# run / function"))
    assert float(ratio) > 0
    assert f"run / function: {ratio}" in said[-1]
