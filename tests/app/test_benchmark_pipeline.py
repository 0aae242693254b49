import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.benchmark.run_pipeline import measure_pipeline
from tests.pipeline.small_job import small_job, write_photos


def test_the_run_is_measured_beside_its_function(tmp_path):
    photos = write_photos(tmp_path / "photos", 20, broken={3})
    found = measure_pipeline(small_job(), str(photos), batch_size=4, workers=2, rounds=2)
    assert found["images"] == 19
    assert len(found["function"]) == len(found["run"]) == 2
    assert min(*found["function"], *found["run"]) > 0
    assert 0 < found["ratio"] < 2


def test_without_photos_there_is_nothing_to_measure(tmp_path):
    with pytest.raises(InputError, match="no image in"):
        measure_pipeline(
            small_job(), str(write_photos(tmp_path / "photos", 1, broken={0})), batch_size=4, workers=2
        )
