"""JAX in its strict modes for every test: no silent dtype or rank promotion, and warnings are errors.

No accelerator is taken, unless ``JAX_PLATFORMS`` names one: ``JAX_PLATFORMS=cuda,cpu python -m pytest`` runs the
suite on a GPU.
"""

import atexit
import contextlib
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from tests.turns import turn

jax.config.update("jax_platforms", os.environ.get("JAX_PLATFORMS") or "cpu")
if os.environ.get("JAX_PLATFORMS", "cpu") != "cpu":
    jax.config.update("jax_default_matmul_precision", "highest")  # products of float32 are exact, as on a CPU
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Tests compile the same programs again and again; what one process compiled, the others read.
if "GRADCAM_JAX_TESTS_CACHE" not in os.environ:
    os.environ["GRADCAM_JAX_TESTS_CACHE"] = tempfile.mkdtemp(prefix="gradcam_jax_tests_")
    atexit.register(shutil.rmtree, os.environ["GRADCAM_JAX_TESTS_CACHE"], ignore_errors=True)
jax.config.update("jax_compilation_cache_dir", os.environ["GRADCAM_JAX_TESTS_CACHE"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

# Small models run once: optimising their programs takes longer than it saves. Tests that measure time or compare
# with independent programs compile as users do.
_QUICKLY_COMPILED = "JAX_DISABLE_MOST_OPTIMIZATIONS"
os.environ[_QUICKLY_COMPILED] = "1"  # in the processes that tests start
jax.config.update("jax_disable_most_optimizations", True)

# Tracing makes many small objects that live on: looking through them all again and again frees little.
gc.set_threshold(50_000, 20, 100)

# Cases and helpers whose asserts should show their values, as a test's do.
pytest.register_assert_rewrite(
    *("tests.app.flag_lab", "tests.app.flag_cases", "tests.app.flag_cases_of_runs"),
    "tests.app.flag_cases_of_the_original",
    "tests.app.flag_cases_of_own_models",
)

# Each compiled program has mappings of its own, and Linux gives a process 65,530 (vm.max_map_count), then it dies.
_MOST_MAPPINGS = 25_000

# Helpers that import libraries of extras hold no doctests; without these they must not be imported.
collect_ignore = [
    "attribution/method_disagreements.py",
    "attribution/method_peers.py",
    "experiments/data/boxed_tfds.py",
    "golden/make_torch_golden.py",
    "models/torch_captioner.py",
    "models/torch_twins.py",
    "models/torch_vision_language.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Makes a warning in a test an error; those of other people's plugins, outside tests, are theirs."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("error"), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None):
    """Gives a test that measures time the machine for itself, and forgets compiled programs in time."""
    timed, compares = (item.get_closest_marker(name) is not None for name in ("timed", "oracle"))
    with _optimised(timed or compares):
        if "PYTEST_XDIST_WORKER" not in os.environ:
            result = yield
        else:
            with turn(alone=timed):
                result = yield
    if (nextitem is None or nextitem.path != item.path) and _mappings() > _MOST_MAPPINGS:
        jax.clear_caches()
        gc.collect()
    return result


@contextlib.contextmanager
def _optimised(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    jax.config.update("jax_disable_most_optimizations", False)
    os.environ.pop(_QUICKLY_COMPILED, None)
    try:
        yield
    finally:
        os.environ[_QUICKLY_COMPILED] = "1"
        jax.config.update("jax_disable_most_optimizations", True)


def _mappings() -> int:
    """Returns how many mappings this process's memory has; 0 where that cannot be read."""
    try:
        return len(Path("/proc/self/maps").read_bytes().splitlines())
    except OSError:
        return 0
