import json

import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.evaluators.runs import compare
from gradcam_jax.pipeline import Computation
from tests.pipeline.small_task import run_small, small_task, write_photos


def test_a_run_agrees_with_itself_and_nearly_with_bfloat16(tmp_path):
    photos = write_photos(tmp_path / "photos", 10, broken={4})
    for name, dtype in {"exact": "float32", "rounded": "bfloat16"}.items():
        task, computation = small_task(label="boxer"), Computation(dtype=dtype)
        run_small(photos, tmp_path / name, task=task, computation=computation)
    same = compare(tmp_path / "exact", tmp_path / "exact")
    assert (same["images"], same["maps"]) == (9, 9)
    assert same["predictions_changed"] == same["peaks_changed"] == same["difference"]["worst"] == 0
    assert same["rank_correlation"]["worst"] == pytest.approx(1, abs=1e-6)
    rounded = compare(tmp_path / "rounded", tmp_path / "exact")
    assert 0 < rounded["difference"]["median"] < 0.05
    assert 0.9 < rounded["rank_correlation"]["median"] < 1
    assert '"maps": 9' in json.dumps(rounded, indent=2)  # plain numbers, as the script prints them


def test_runs_that_share_nothing_cannot_be_compared(tmp_path):
    run_small(write_photos(tmp_path / "photos", 2) / "0000.png", tmp_path / "one")
    run_small(tmp_path / "photos" / "0001.png", tmp_path / "two")
    with pytest.raises(InputError, match="share no image"):
        compare(tmp_path / "one", tmp_path / "two")
