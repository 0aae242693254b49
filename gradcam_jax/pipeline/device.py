"""The one compiled function of a run: a batch of photos in, every result out, nothing back to the host in between.

The batch is split over the devices and each explains its own images (``jax.shard_map``), so the compiled program
has no collective, and a process of several uses its own devices alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gradcam_jax.errors import InputError
from gradcam_jax.images.preprocessing import to_network
from gradcam_jax.pipeline.explanation import explain_batch
from gradcam_jax.pipeline.job import Job, Results

_AXIS = "batch"
_SHARE = 0.7  # of a device's memory that a batch may fill
_MOST = {"cpu": 32}  # images a device past which nothing is gained
_LARGEST = 1024


class DeviceFunction:
    """A job on some devices, with its variables already there.

    Attributes:
        devices: The devices.
    """

    def __init__(self, job: Job, devices: Sequence[Any]):
        """Puts the variables onto every device; compiles nothing yet.

        Args:
            job: What is computed.
            devices: Where; the batch size must be a multiple of their number.
        """
        self.devices = tuple(devices)
        self._mesh = Mesh(np.array(self.devices), (_AXIS,))
        self._split = NamedSharding(self._mesh, PartitionSpec(_AXIS))
        self._variables = jax.device_put(job.variables, NamedSharding(self._mesh, PartitionSpec()))
        self._explain = jax.jit(_over_devices(job, self._mesh))

    @property
    def compilations(self) -> int:
        """How many programs were compiled: one, as long as every batch has the same shape."""
        return cast(Any, self._explain)._cache_size()

    def put(self, images: np.ndarray, inputs: Mapping[str, np.ndarray]) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Starts to move a batch to the devices, an equal part to each."""
        return jax.device_put((images, dict(inputs)), self._split)

    def __call__(self, images: jax.Array, inputs: Mapping[str, jax.Array]) -> Results:
        """Starts to explain a batch that :meth:`put` moved; the results stay on the devices.

        Args:
            images: RGB in [0, 1] float32, or uint8, ``(n, size, size, 3)``.
            inputs: Name -> ``(n, ...)``.

        Returns:
            Name -> ``(n, ...)``, as :func:`gradcam_jax.pipeline.explanation.explain_batch` gives them.
        """
        return self._explain(self._variables, images, inputs)

    def lower(self, images: Any, inputs: Mapping[str, Any]) -> jax.stages.Lowered:
        """Returns the program for a batch of these shapes, for its count of operations, memory and text."""
        return self._explain.lower(self._variables, images, inputs)


def choose_batch_size(job: Job, devices: Sequence[Any], example: Mapping[str, np.ndarray]) -> int:
    """Returns the largest power of two a device whose program fits the device's memory.

    Two small programs are compiled, and the memory that they need is extended in a straight line.

    Args:
        job: What is computed.
        devices: Where.
        example: One image's inputs besides the image.

    Returns:
        Images a batch, over all the devices.
    """
    device = devices[0]
    function = DeviceFunction(job, [device])
    few, more = (_memory(function, job, example, count) for count in (1, 3))
    slope = max((more - few) / 2, 1.0)
    room = _SHARE * _free_memory(device) - (few - slope)
    fitting = min(room / slope, _MOST.get(device.platform, _LARGEST))
    if fitting < 1:
        raise InputError(
            f"One image of {job.size}x{job.size} needs {few / 2**30:.1f} GB, more than {device.device_kind} "
            "has free. Take a smaller --input_sz."
        )
    return 2 ** int(np.log2(fitting)) * len(devices)


def _over_devices(job: Job, mesh: Mesh) -> Callable[..., Results]:
    def explain(variables: Any, images: jax.Array, inputs: Mapping[str, jax.Array]) -> Results:
        network = to_network(_in_unit_range(images), job.recipe)
        return explain_batch(job, variables, network.astype(jnp.bfloat16) if job.in_bfloat16 else network, inputs)

    split, whole = PartitionSpec(_AXIS), PartitionSpec()
    # Without check_vma=False the zeros at which gradients are taken count as one value on all devices, and their
    # gradients would be summed over the devices.
    return jax.shard_map(explain, mesh=mesh, in_specs=(whole, split, split), out_specs=split, check_vma=False)


def _in_unit_range(images: jax.Array) -> jax.Array:
    return images.astype(jnp.float32) / 255 if images.dtype == jnp.uint8 else images


def _memory(function: DeviceFunction, job: Job, example: Mapping[str, np.ndarray], count: int) -> int:
    dtype = np.uint8 if job.recipe.in_bytes else np.float32
    images = jax.ShapeDtypeStruct((count, job.size, job.size, 3), dtype)
    inputs = {
        name: jax.ShapeDtypeStruct((count, *np.shape(array)), np.asarray(array).dtype)
        for name, array in example.items()
    }
    needed = function.lower(images, inputs).compile().memory_analysis()
    if needed is None:
        return 0  # This platform does not tell; the number that it is known to take at most is all there is.
    # Two batches are on the device at once, and one is computed.
    return needed.temp_size_in_bytes + 2 * needed.output_size_in_bytes + needed.argument_size_in_bytes


def _free_memory(device: Any) -> int:
    statistics = device.memory_stats() or {}
    if "bytes_limit" in statistics:
        return statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)
    return _free_host_memory()


def _free_host_memory() -> int:
    """Returns what the host has free, in bytes, or 2 GB where it does not tell."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            table = dict(line.split(":", 1) for line in lines)
        return int(table["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return 2 * 2**30
