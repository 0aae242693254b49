"""How many threads suit this machine."""

import os

import jax


def usable_cores() -> int:
    """Returns the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decoding_threads() -> int:
    """Returns how many threads should decode: one a core, or where the processor itself computes, half as many."""
    cores = usable_cores()
    return max(cores // 2, 1) if jax.local_devices()[0].platform == "cpu" else cores
