"""A function of a batch over several devices: an equal part of the batch to each, and nothing exchanged.

Each device explains its own images (``jax.shard_map``): the compiled program has no collective, and a process of
several uses its own devices alone.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gradcam_jax.errors import InputError

_AXIS = "batch"
_SHARE = 0.7  # of a device's memory that a batch may fill
_MOST = {"cpu": 32}  # images a device past which nothing is gained
_LARGEST = 1024


class DeviceFunction:
    """A function of ``(forward, *batch)`` on some devices, with the forward already there.

    Attributes:
        devices: The devices.
    """

    def __init__(self, function: Callable[..., Any], forward: Any, devices: Sequence[Any]):
        """Puts the forward onto every device; compiles nothing yet.

        Args:
            function: Takes the forward and trees of arrays with a leading axis n, and returns such a tree.
            forward: A tree of arrays that every device needs whole, such as a :class:`gradcam_jax.Tapped`.
            devices: Where; the batch size must be a multiple of their number.
        """
        self.devices = tuple(devices)
        mesh = Mesh(np.array(self.devices), (_AXIS,))
        self._split = NamedSharding(mesh, PartitionSpec(_AXIS))
        self._forward = jax.device_put(forward, NamedSharding(mesh, PartitionSpec()))
        self._call = jax.jit(over_devices(function, mesh))

    @property
    def compilations(self) -> int:
        """How many programs were compiled: one, as long as every batch has the same shape."""
        return cast(Any, self._call)._cache_size()

    def put(self, *batch: Any) -> Any:
        """Starts to move a batch to the devices, an equal part to each."""
        return jax.device_put(batch, self._split)

    def __call__(self, *batch: Any) -> Any:
        """Starts to compute a batch that :meth:`put` moved; the results stay on the devices."""
        return self._call(self._forward, *batch)

    def lower(self, *batch: Any) -> jax.stages.Lowered:
        """Returns the program for a batch of these shapes, for its count of operations, memory and text."""
        return self._call.lower(self._forward, *batch)


def over_devices(function: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    """Returns a function of ``(forward, *batch)`` that gives each device of a mesh its own part of the batch."""
    split, whole = PartitionSpec(_AXIS), PartitionSpec()

    def call(forward: Any, *batch: Any) -> Any:
        # Without check_vma=False the zeros at which gradients are taken count as one value on all devices, and
        # their gradients would be summed over the devices.
        specs = (whole, *(split for _ in batch))
        shared = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False)
        return shared(forward, *batch)

    return call


def choose_batch_size(function: Callable[..., Any], forward: Any, devices: Sequence[Any], *example: Any) -> int:
    """Returns the largest power of two a device whose program fits the device's memory.

    Two small programs are compiled, and the memory that they need is extended in a straight line.

    Args:
        function: As for :class:`DeviceFunction`.
        forward: As for :class:`DeviceFunction`.
        devices: Where.
        *example: One example of the batch: trees of arrays or shapes, without the leading axis.

    Returns:
        Images a batch, over all the devices.

    Raises:
        InputError: If not even one image fits.
    """
    device = devices[0]
    measured = DeviceFunction(function, forward, [device])
    few, more = (_memory(measured, example, count) for count in (1, 3))
    slope = max((more - few) / 2, 1.0)
    room = _SHARE * _free_memory(device) - (few - slope)
    fitting = min(room / slope, _MOST.get(device.platform, _LARGEST))
    if fitting < 1:
        raise InputError(
            f"One image needs {few / 2**30:.1f} GB, more than {device.device_kind} has free. "
            "Take a smaller --input_sz."
        )
    return 2 ** int(np.log2(fitting)) * len(devices)


def _memory(function: DeviceFunction, example: tuple[Any, ...], count: int) -> int:
    batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype), example)
    needed = function.lower(*batch).compile().memory_analysis()
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
