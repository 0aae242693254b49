import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.benchmark.run_decoding import Way, measure_decoding
from tests.pipeline.small_job import write_photos


def test_every_way_is_measured_every_round(tmp_path):
    ways = [Way("threads", 1, False), Way("threads", 2, True)]
    found = measure_decoding(str(write_photos(tmp_path / "photos", 6)), ways, size=32, rounds=2)
    assert [(row["pool"], row["workers"], row["scaled"], row["photos"]) for row in found] == [
        ("threads", 1, False, 6),
        ("threads", 2, True, 6),
    ]
    assert all(len(row["rounds"]) == 2 and min(row["rounds"]) > 0 for row in found)


def test_without_photos_there_is_nothing_to_measure(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no image in"):
        measure_decoding(str(tmp_path / "empty"), [Way("threads", 1, False)])
