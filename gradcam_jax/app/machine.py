"""What the machine is, for the head of a table of times."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import jax


def usable_cores() -> int:
    """Returns the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decoding_threads() -> int:
    """Returns how many threads should decode: one a core, or where the processor itself computes, half as many."""
    cores = usable_cores()
    return max(cores // 2, 1) if jax.local_devices()[0].platform == "cpu" else cores


def processor() -> str:
    """Returns the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def this_run() -> dict[str, str]:
    """Returns the device, the processor, the versions and the command of this run."""
    versions = [f"{name} {version(name)}" for name in ("jax", "jaxlib", "flax", "numpy", "pillow")]
    return {
        "device": f"{len(jax.local_devices())} x {jax.local_devices()[0].device_kind}",
        "processor": f"{processor()}, {usable_cores()} cores",
        "versions": "; ".join([f"Python {platform.python_version()}", *versions]),
        "command": " ".join(["python", *sys.argv]),
    }
