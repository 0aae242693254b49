"""What the machine is, for the head of a table of times."""

import platform
import sys
from importlib.metadata import version
from pathlib import Path

import jax

from gradcam_jax.pipeline.machine import usable_cores


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
