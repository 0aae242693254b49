"""The training loop: jitted steps, evaluation, the best parameters kept, exact resume."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.serialization
import jax
import jax.numpy as jnp
import msgpack
import numpy as np
import optax

from gradcam_jax.errors import CheckpointError, InputError
from gradcam_jax.formats.whole_file import write_whole

Params = Any
Batch = Any
Loss = Callable[[Params, Batch, jax.Array], tuple[jax.Array, Mapping[str, jax.Array]]]
Report = Callable[[int, Mapping[str, float]], None]

_HISTORY = "history.jsonl"
_STATE = "state.msgpack"
_SETTINGS = "settings.json"


class TrainingState(NamedTuple):
    """Everything that the rest of a run depends on.

    Attributes:
        step: Steps taken, int32.
        best_params: The parameters that evaluated best so far; the current ones without a ``monitor``.
        best_score: Their score, float32; minus infinity before the first evaluation.
    """

    step: jax.Array
    params: Params
    optimizer_state: Any
    best_params: Params
    best_score: jax.Array


def train(
    loss: Loss,
    params: Params,
    batch_at: Callable[[int], Batch],
    optimizer: optax.GradientTransformation,
    steps: int,
    *,
    key: jax.Array,
    evaluate: Callable[[Params], Mapping[str, float]] | None = None,
    monitor: str | None = None,
    every: int = 500,
    folder: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    report: Report = lambda _step, _numbers: None,
) -> TrainingState:
    """Trains for a number of steps, or goes on where an interrupted run in the same folder stopped.

    The same arguments give the same parameters bit for bit on one machine, interrupted or not.

    Args:
        loss: ``loss(params, batch, key) -> (scalar, metrics)``; traced once a batch shape.
        params: The initial parameters, a tree of arrays.
        batch_at: The batch of a step, counted from 0: a pure function, a tree of numpy arrays.
        optimizer: An optax transformation.
        steps: Steps of the whole run.
        key: PRNG key; step n gets ``fold_in(key, n)``.
        evaluate: Numbers of the parameters on data kept apart.
        monitor: Which of these numbers is to be large: the parameters where it was largest are kept.
        every: Steps between evaluations, reports and snapshots.
        folder: Where snapshots and ``history.jsonl`` go; nothing is written without one.
        settings: What the run depends on besides these arguments; a folder of other settings is an error.
        report: Called with the step and its numbers: the mean training loss and metrics, and the evaluation's.
    """
    # Copies, so that no later step shares a buffer with what the caller gave.
    params = jax.tree.map(jnp.array, params)
    state = TrainingState(jnp.int32(0), params, optimizer.init(params), params, jnp.asarray(-jnp.inf, jnp.float32))
    described = dict(settings or {}) | {"steps": steps, "every": every}
    if folder is not None:
        state = _read_snapshot(folder, state, described)
        _forget_after(folder / _HISTORY, int(state.step))

    @jax.jit
    def advance(state: TrainingState, batch: Batch) -> tuple[TrainingState, dict[str, jax.Array]]:
        step_key = jax.random.fold_in(key, state.step)
        (value, metrics), gradients = jax.value_and_grad(loss, has_aux=True)(state.params, batch, step_key)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer_state, state.params)
        moved = state._replace(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            optimizer_state=optimizer_state,
        )
        return moved, {"loss": value, **metrics}

    recent: list[dict[str, jax.Array]] = []
    for step in range(int(state.step), steps):
        state, metrics = advance(state, batch_at(step))
        recent.append(metrics)
        if (step + 1) % every and step + 1 != steps:
            continue
        numbers = _means(recent)
        recent.clear()
        evaluated = {} if evaluate is None else dict(evaluate(state.params))
        state = _keep_best(state, None if monitor is None else evaluated[monitor])
        if folder is not None:
            _append(folder / _HISTORY, {"step": step + 1, **numbers, **evaluated})
            _write_snapshot(folder, state, described)
        report(step + 1, numbers | evaluated)
    return state


def shuffled(count: int, batch_size: int, seed: int, step: int) -> tuple[np.ndarray, np.random.Generator]:
    """Returns a step's rows and generator: every row once an epoch, but for an incomplete last batch."""
    epoch, place = divmod(step, whole_batches(count, batch_size))
    order = np.random.default_rng((seed, epoch)).permutation(count)
    rows = order[place * batch_size : (place + 1) * batch_size]
    return rows, np.random.default_rng((seed, epoch, place))


def whole_batches(count: int, batch_size: int) -> int:
    """Returns how many whole batches examples make: at least one."""
    if count < batch_size:
        raise InputError(f"Expected at least {batch_size} examples, a batch, got {count} instead.")
    return count // batch_size


def _keep_best(state: TrainingState, score: float | None) -> TrainingState:
    if score is None:
        return state._replace(best_params=state.params)
    if score > float(state.best_score):
        return state._replace(best_params=state.params, best_score=jnp.asarray(score, jnp.float32))
    return state


def _means(recent: list[dict[str, jax.Array]]) -> dict[str, float]:
    return {name: float(np.mean([metrics[name] for metrics in recent])) for name in recent[0]}


def _append(path: Path, numbers: Mapping[str, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(numbers) + "\n")


def _forget_after(path: Path, step: int) -> None:
    """Drops what an interrupted run wrote after its last snapshot: these steps are taken, and written, again."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        write_whole(path, "".join(whole))


def _write_snapshot(folder: Path, state: Any, settings: Mapping[str, Any]) -> None:
    """Writes a state and the settings it belongs to; a crash in between leaves the last snapshot readable."""
    write_whole(folder / _SETTINGS, json.dumps(settings, indent=1, sort_keys=True))
    write_whole(folder / _STATE, flax.serialization.to_bytes(state))


def _read_snapshot(folder: Path, initial: Any, settings: Mapping[str, Any]) -> Any:
    """Returns the state that a folder holds, or the initial one if it holds none; refuses other settings."""
    path = folder / _STATE
    if not path.is_file():
        return initial
    before = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    now = json.loads(json.dumps(settings))
    differing = [name for name in sorted(before | now) if before.get(name) != now.get(name)]
    if differing:
        shown = ", ".join(f"{name} ({before.get(name)}, now {now.get(name)})" for name in differing)
        raise InputError(f"{str(folder)!r} holds a run of other settings: {shown}. Choose another folder.")
    try:
        state = flax.serialization.from_bytes(initial, path.read_bytes())
    except (ValueError, KeyError, msgpack.UnpackException) as error:
        raise CheckpointError(f"The snapshot {str(path)!r} cannot be read: {error}") from error
    shapes, read_shapes = (jax.tree.map(lambda leaf: tuple(leaf.shape), tree) for tree in (initial, state))
    if shapes != read_shapes:
        raise CheckpointError(f"The snapshot {str(path)!r} is of a model of other sizes. Choose another folder.")
    return jax.tree.map(jnp.asarray, state)
