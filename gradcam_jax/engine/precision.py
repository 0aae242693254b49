"""The precision of an explanation, by a name that is true on every device.

JAX leaves the products of float32 arrays (matrix products and convolutions) to the device: by default an NVIDIA
GPU rounds their factors to TensorFloat-32, 10 bits of mantissa instead of 23, and a TPU to bfloat16, 7 bits. Here
a name says what is computed, and a device that does not have it is refused:

- ``"float32"``: every product is exact float32. Devices differ by the order of their sums alone.
- ``"tensorfloat32"``: factors of float32 products are rounded to TensorFloat-32, sums are float32.
- ``"bfloat16"``: the trunk, everything up to the mapped layer, is bfloat16, its guided backward pass included. The
  head, its gradients and the maps are float32, and the head's products ``jax.lax.Precision.HIGH``: TensorFloat-32
  on NVIDIA GPUs, three bfloat16 passes on TPUs, exact on CPUs, all finer than the trunk's roundings were.

In all three the sums that make a map of activations and weights are exact.

References:
    https://docs.jax.dev/en/latest/jax.lax.html#jax.lax.Precision
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from gradcam_jax.errors import InputError, lookup
from gradcam_jax.interception.tapped import Tapped, layer_shapes

_PRODUCTS = {"float32": "highest", "tensorfloat32": "high", "bfloat16": "high"}

PRECISIONS = tuple(_PRODUCTS)
"""Names of the precisions."""


def with_precision(forward: Tapped, precision: str, *inputs: Any) -> Tapped:
    """Returns a tapped model that is explained in a precision, whatever JAX is configured to.

    Args:
        forward: A tapped model.
        precision: Of :data:`PRECISIONS`.
        *inputs: One example of the model's inputs, or their shapes, as the model will get them.

    Raises:
        InputError: If there is no such precision, the device does not have it, or the trunk of a model that is
            tapped at no layer is asked to be bfloat16.
    """
    require_precision(precision)
    if precision == "bfloat16":
        forward = _with_bfloat16_trunk(forward, *inputs)
    return dataclasses.replace(forward, precision=precision)


def require_precision(precision: str) -> None:
    """Raises InputError if there is no such precision, or if this process's devices do not have it."""
    lookup(_PRODUCTS, precision, "precision")
    device = jax.local_devices()[0]
    if precision == "tensorfloat32" and not _has_tensorfloat32(device):
        raise InputError(
            "Expected a device that has tensorfloat32, an NVIDIA GPU of compute capability 8.0 or more, got "
            f"{device.device_kind} instead. Nearest: float32, which every device has."
        )


@contextlib.contextmanager
def precision_of(forward: Tapped) -> Iterator[None]:
    """Lets what is traced in the body be computed in a tapped model's precision; if it has none, as configured."""
    with contextlib.ExitStack() as stack:
        if forward.precision:
            stack.enter_context(jax.default_matmul_precision(_PRODUCTS[forward.precision]))
        if forward.precision == "bfloat16":
            # Flax's batch normalisation mixes bfloat16 values with its float32 statistics, on purpose.
            stack.enter_context(jax.numpy_dtype_promotion("standard"))
        yield


def _has_tensorfloat32(device: Any) -> bool:
    major, _, _ = str(getattr(device, "compute_capability", "")).partition(".")  # an AMD GPU's is "gfx942"
    return device.platform == "gpu" and major.isdigit() and int(major) >= 8


def _with_bfloat16_trunk(forward: Tapped, *inputs: Any) -> Tapped:
    """Converts the parameters of every module up to the layer; statistics of batch normalisation stay float32."""
    called = list(layer_shapes(forward, *inputs))
    layers = [layer for layer in forward.layers if layer in called]
    if not layers:
        raise InputError(f"Expected the model to be tapped at one layer of {', '.join(called)}.")
    first = min(called.index(layer) for layer in layers)
    modules = {name.partition(":")[0] for name in called[: first + 1]}
    variables = forward.program.cast(forward.variables, modules, jnp.bfloat16)
    return dataclasses.replace(forward, variables=variables)
