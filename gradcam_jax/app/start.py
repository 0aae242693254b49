"""What a script sets for its process: the compilation cache, a quick start, and its place among several."""

import contextlib
import gc
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

from gradcam_jax.errors import InputError

_SHORTEST = 0.3  # seconds of compilation that are worth a file
# On two cores EfficientNet-Lite0's program compiles in 1.2 s instead of 4.8 and runs in 0.19 s instead of 0.04. On
# an H200 it compiles in 11 s without the search for the fastest kernels, with it in more than 25.
_OLDER_EMITTERS = {"xla_cpu_use_fusion_emitters": False} if jax.__version_info__ < (0, 11) else {}
_RUNS_ONCE = {
    "cpu": {"xla_backend_optimization_level": 0} | _OLDER_EMITTERS,
    "gpu": {"xla_gpu_autotune_level": 0},
}


class Place(NamedTuple):
    """This process among those that share a run."""

    process: int
    processes: int


def use_compilation_cache(folder: str | Path | None = None) -> Path | None:
    """Lets later starts read what this one compiles, from the user's cache folder unless given; returns it.

    A user without a home keeps nothing: None is returned.
    """
    if folder is None:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        if base.startswith("~"):
            return None
        folder = Path(base) / "gradcam_jax" / "compiled"
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _SHORTEST)
    return Path(folder)


def say(line: str) -> None:
    """Prints a line; where nobody reads on, as in ``| head -1``, the work goes on in silence."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process


def speak_any_language() -> None:
    """Lets names that a terminal's encoding has no letters for be shown by their numbers."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def options_for_one_call() -> dict[str, Any]:
    """Returns XLA's compiler options for a program that this process calls once: fewer passes over it."""
    return _RUNS_ONCE.get(jax.default_backend(), {})


@contextlib.contextmanager
def garbage_kept() -> Iterator[None]:
    """Collects no garbage while the body runs: a tenth of what one photo takes, since tracing frees little."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def profiled(folder: str) -> Iterator[None]:
    """Writes a profile of the body to the folder, for Perfetto or XProf; none if the folder has no name.

    A run's threads mark moving a batch to the devices (``move``), waiting for its results (``compute``), bringing
    them back (``fetch``) and writing them (``write``); XLA adds what the devices did.
    """
    if not folder:
        yield
        return
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # every Python call would be ten times the file
    options.host_tracer_level = 1
    with jax.profiler.trace(folder, profiler_options=options):
        yield


def join_processes(processes: int, process: int, coordinator: str, *, from_cluster: bool = False) -> Place:
    """Joins the processes that share a run and returns this one's place.

    Each explains its own images on its own devices, so they need not wait for each other: with numbers and no
    coordinator they do not even know each other. A TPU pod needs one, ``host:port`` of process 0; ``from_cluster``
    reads all three from the cluster's environment (TPU pods, Slurm, MPI...).

    Raises:
        InputError: If they cannot be joined.
    """
    if not coordinator and not from_cluster:
        return Place(process, processes)
    # One process that dies must not take the others with it; the same command brings it back.
    jax.config.update("jax_enable_recoverability", True)
    try:
        if from_cluster:
            jax.distributed.initialize()
        else:
            jax.distributed.initialize(coordinator, processes, process)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"The processes cannot be joined: {error}") from error
    return Place(jax.process_index(), jax.process_count())
