"""A process that only decodes photos starts quickly, in little memory, and without JAX."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Prints the seconds and the resident megabytes that the imports took, and which frameworks are loaded.
IMPORT = """
import json, sys, time
start = time.perf_counter()
import gradcam_jax.images
import gradcam_jax.images.photos, gradcam_jax.images.preprocessing, gradcam_jax.images.sample
seconds = time.perf_counter() - start
try:
    with open("/proc/self/status", encoding="ascii") as lines:
        megabytes = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
except OSError:
    megabytes = None
loaded = sorted({"jax", "jaxlib", "flax"} & set(sys.modules))
print(json.dumps({"seconds": seconds, "megabytes": megabytes, "loaded": loaded}))
"""


@pytest.fixture(scope="module")
def imported():
    result = subprocess.run([sys.executable, "-c", IMPORT], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def test_no_framework_is_loaded(imported):
    assert imported["loaded"] == []


def test_the_import_is_quick(imported):
    # 0.15 s on an idle machine; the bound leaves room for a loaded one.
    assert imported["seconds"] < 1


def test_the_memory_is_small(imported):
    if imported["megabytes"] is None:
        pytest.skip("this system does not tell a process's memory")
    assert imported["megabytes"] < 60
