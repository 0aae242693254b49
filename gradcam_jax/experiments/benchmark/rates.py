"""What a device can do at most: matrix products, copies in its memory, and transfers from and to the host."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_RUNS = 5
_QUEUED = {"cpu": 1}  # products that are started before one waits; on accelerators starting one takes its time
_MANY = 8
_SIDE = 224

TRANSFERRED = ("uint8", "float16", "float32")
"""Types of the photos that are moved."""


def matrix_rates(side: int, precisions: Sequence[str]) -> dict[str, float]:
    """Measures the product of two square matrices in every precision that the device has.

    Args:
        side: Rows of a matrix.
        precisions: Of ``"float32"`` (exact), ``"tensorfloat32"`` and ``"bfloat16"``; others are left out, as
            tensorfloat32 is where the device is no GPU.

    Returns:
        Precision -> GFLOP/s, the best of several runs.
    """
    settings = {"float32": (jnp.float32, "highest"), "bfloat16": (jnp.bfloat16, "default")}
    if jax.default_backend() == "gpu":
        settings["tensorfloat32"] = (jnp.float32, "tensorfloat32")
    queued, rates = _QUEUED.get(jax.default_backend(), _MANY), {}
    for name in precisions:
        if name in settings:
            dtype, precision = settings[name]
            multiply = jax.jit(functools.partial(jnp.matmul, precision=precision))
            matrix = jnp.ones((side, side), dtype)
            seconds = _best(lambda: None, lambda _, f=multiply, m=matrix: [f(m, m) for _ in range(queued)])
            rates[name] = 2 * side**3 * queued / seconds / 1e9
    return rates


def memory_rates(photos: int, megabytes: int) -> list[dict[str, Any]]:
    """Measures a copy in the device's memory, and a batch's way from the host's memory and back.

    Args:
        photos: Of a batch, 224x224x3 each.
        megabytes: What is copied on the device.

    Returns:
        Rows with ``work`` (what was measured), ``precision`` (the type), ``value`` (of transfers the best of
        several, a copy's bytes are counted twice, read and written) and ``unit``; of transfers also ``batch_size``
        and ``images_per_second``.
    """
    values = jnp.zeros(megabytes * 250_000, jnp.float32)
    add = jax.jit(lambda x: x + 1)
    rate = 2 * values.nbytes / _best(lambda: None, lambda _: add(values)) / 1e9
    rows: list[dict[str, Any]] = [_row("copy on the device", "float32", rate)]
    for dtype in TRANSFERRED:
        batch = np.ones((photos, _SIDE, _SIDE, 3), dtype)
        there = jax.device_put(batch)
        renew = jax.jit(lambda x: x + jnp.ones((), x.dtype))  # an array that was fetched once is kept on the host
        seconds = {
            "host to device": _best(lambda: None, lambda _, batch=batch: jax.device_put(batch)),
            "device to host": _best(lambda there=there, f=renew: jax.block_until_ready(f(there)), np.asarray),
        }
        rows += [
            _row(
                name,
                dtype,
                batch.nbytes / taken / 1e9,
                batch_size=photos,
                images_per_second=f"{photos / taken:.0f}",
            )
            for name, taken in seconds.items()
        ]
    return rows


def _best(make: Callable[[], Any], work: Callable[[Any], Any]) -> float:
    """Returns the least seconds that the work took on what was made for it, after a run that is not counted."""
    times = []
    for _ in range(1 + _RUNS):
        made = make()
        start = time.perf_counter()
        jax.block_until_ready(work(made))
        times.append(time.perf_counter() - start)
    return min(times[1:])


def _row(work: str, precision: str, rate: float, **fields: Any) -> dict[str, Any]:
    return {"work": work, "precision": precision, "value": f"{rate:.2f}", "unit": "GB/s", **fields}
