"""How many processes suit this machine."""

import os

import jax


def usable_cores() -> int:
    """Returns the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decoding_processes() -> int:
    """Returns how many processes should decode: one a core, on CPUs half as many."""
    cores = usable_cores()
    return max(cores // 2, 1) if jax.local_devices()[0].platform == "cpu" else cores
