"""The loop: learns, resumes exactly, keeps the best, and refuses a folder of another run."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.experiments.training.loop import TrainingState, train
from gradcam_jax.experiments.training.optimizers import modern

_TRUE = np.array([1.0, -2.0, 3.0], np.float32)


def _loss(params, batch, key):
    kept = jax.random.bernoulli(key, 0.9, batch["x"].shape).astype(jnp.float32)
    error = (batch["x"] * kept) @ params["w"] - batch["y"]
    return jnp.mean(error**2), {"largest": jnp.max(jnp.abs(error))}


def _batch_at(step: int) -> dict[str, np.ndarray]:
    x = np.random.default_rng([7, step]).normal(size=(16, 3)).astype(np.float32)
    return {"x": x, "y": x @ _TRUE}


def _run(steps: int = 60, folder: Path | None = None, batch_at=_batch_at, **options) -> TrainingState:
    start = {"w": jnp.zeros(3)}
    options = {"every": 10, "folder": folder, "key": jax.random.key(3)} | options
    return train(_loss, start, batch_at, modern(0.2, 60), steps, **options)


class _PowerCutError(Exception):
    pass


def _until(last: int):
    def batch_at(step: int) -> dict[str, np.ndarray]:
        if step == last:
            raise _PowerCutError
        return _batch_at(step)

    return batch_at


def test_it_learns_and_reports_means():
    reports = []
    state = _run(report=lambda step, numbers: reports.append((step, dict(numbers))))
    np.testing.assert_allclose(state.params["w"], _TRUE, atol=0.5)
    assert [step for step, _ in reports] == [10, 20, 30, 40, 50, 60]
    assert reports[-1][1]["loss"] < 0.2 * reports[0][1]["loss"]
    assert set(reports[0][1]) == {"loss", "largest"}


@pytest.mark.parametrize("cut", [4, 20, 37])
def test_an_interrupted_run_ends_bit_for_bit_as_an_uninterrupted_one(tmp_path, cut):
    whole = _run(folder=tmp_path / "whole")
    with pytest.raises(_PowerCutError):
        _run(folder=tmp_path / "cut", batch_at=_until(cut))
    resumed = _run(folder=tmp_path / "cut")
    jax.tree.map(np.testing.assert_array_equal, whole, resumed)
    histories = [(tmp_path / name / "history.jsonl").read_text() for name in ("whole", "cut")]
    assert histories[0] == histories[1]


def test_what_was_written_after_the_last_snapshot_is_written_once(tmp_path):
    with pytest.raises(_PowerCutError):
        _run(folder=tmp_path, batch_at=_until(25))
    with (tmp_path / "history.jsonl").open("a") as lines:
        lines.write('{"step": 30, "loss": 1.0}\n{"step": 4')
    _run(folder=tmp_path)
    steps = [json.loads(line)["step"] for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert steps == [10, 20, 30, 40, 50, 60]


def test_the_best_parameters_are_kept():
    seen = []

    def evaluate(params) -> dict[str, float]:
        seen.append(np.asarray(params["w"]))
        return {"score": [1.0, 5.0, 2.0, 3.0, 4.0, 0.0][len(seen) - 1]}

    state = _run(evaluate=evaluate, monitor="score")
    np.testing.assert_array_equal(state.best_params["w"], seen[1])
    np.testing.assert_array_equal(state.params["w"], seen[5])
    assert float(state.best_score) == 5.0


def test_without_a_monitor_the_last_parameters_are_the_best():
    state = _run()
    np.testing.assert_array_equal(state.best_params["w"], state.params["w"])


def test_a_folder_of_other_settings_is_refused_by_name(tmp_path):
    _run(folder=tmp_path, settings={"seed": 1})
    with pytest.raises(InputError, match=r"other settings: seed \(1, now 2\)"):
        _run(folder=tmp_path, settings={"seed": 2})


def test_a_damaged_snapshot_is_an_error(tmp_path):
    _run(folder=tmp_path)
    path = tmp_path / "state.msgpack"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CheckpointError, match="cannot be read"):
        _run(folder=tmp_path)


def test_a_snapshot_of_other_sizes_is_an_error(tmp_path):
    _run(folder=tmp_path)
    with pytest.raises(CheckpointError, match="other sizes"):
        train(_loss, {"w": jnp.zeros(4)}, _batch_at, modern(0.2, 60), 60, key=jax.random.key(3), every=10,
              folder=tmp_path)  # fmt: skip
