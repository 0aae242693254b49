"""The way from files: every way to decode, and a run beside its function."""

import csv

import pytest

from gradcam_jax import zoo
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.benchmark.files import COLUMNS, Options, Way, measure_decoding, measure_run, run
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
    ways = [Way("threads", 1, False), Way("threads", 2, True)]
    rows = measure_decoding(options(write_photos(tmp_path / "photos", 6)), ways)
    assert [(row["pool"], row["workers"], row["scaled"], row["images"]) for row in rows] == [
        ("threads", 1, False, 6),
        ("threads", 2, True, 6),
    ]
    assert all(len(row["rounds"]) == 2 and min(row["rounds"]) > 0 for row in rows)


def test_the_run_is_measured_beside_its_function(tmp_path):
    photos, lines = write_photos(tmp_path / "photos", 20, broken={3}), []
    function, whole = measure_run(options(photos), small_task(), lines.append)
    assert (function["what"], whole["what"]) == ("function", "run")
    assert function["images"] == whole["images"] == 19
    assert len(function["rounds"]) == len(whole["rounds"]) == 2
    assert min(*function["rounds"], *whole["rounds"]) > 0
    assert lines == ["round 1 of 2", "round 2 of 2"]


def test_without_photos_there_is_nothing_to_measure(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no image in"):
        measure_decoding(options(tmp_path / "empty"), [Way("threads", 1, False)])
    with pytest.raises(InputError, match="no image in"):
        measure_run(options(write_photos(tmp_path / "photos", 1, broken={0})), small_task())


def test_the_table_says_what_was_timed_on_what(tmp_path):
    photos, path, said = write_photos(tmp_path / "photos", 6), tmp_path / "tables" / "files.csv", []
    run(options(photos, out_path=str(path)), said.append)
    text = path.read_text()
    head = [line for line in text.splitlines() if line.startswith("#")]
    assert {line.partition(":")[0] for line in head} >= {"# device", "# processor", "# versions", "# command"}
    rows = list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
    assert tuple(rows[0]) == COLUMNS
    assert [row["what"] for row in rows] == ["decoding"] * 5 + ["function", "run"]
    assert {row["pool"] for row in rows[:5]} == {"threads", "processes"}
    assert [row["scaled"] for row in rows[:5]] == ["False"] * 4 + ["True"]
    assert all(float(row["images_per_second"]) > 0 for row in rows)
    (ratio,) = (line.partition("): ")[2] for line in head if line.startswith("# run / function"))
    assert 0 < float(ratio) < 2
    assert f"run / function: {ratio}" in said[-1]
