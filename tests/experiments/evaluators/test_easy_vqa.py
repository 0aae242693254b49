"""The bundled easy-VQA model's scores on official test pictures."""

import json

import pytest

from gradcam_jax.experiments.data.easy_vqa import EasyVqa, read_easy_vqa, split_off
from gradcam_jax.experiments.evaluators import easy_vqa
from gradcam_jax.experiments.evaluators.program import EASY_VQA, Options, run


def test_scores_on_the_first_official_test_pictures(tmp_path, monkeypatch):
    pytest.importorskip("easy_vqa", reason="needs the package easy-vqa")

    def some(split: str) -> EasyVqa:
        return split_off(read_easy_vqa("test"), 920)[0]

    monkeypatch.setattr(easy_vqa, "read_easy_vqa", some)
    record = json.loads(run(Options(task="vqa", dataset=EASY_VQA, out_path=str(tmp_path))).read_text())
    # All 1,000 pictures: 0.990 of the answers, 0.888 of the maps. These are 80, some 200 maps.
    assert record["answers"]["all"]["accuracy"] > 0.97
    assert record["pointing_game"]["all"]["accuracy"] > 0.83
    assert record["pointing_game"]["all"]["random_map"] < 0.15
