"""How long the command takes for one photo, from a new process to its files."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from gradcam_jax.errors import InputError

COMMAND = (sys.executable, "-c", "from gradcam_jax.app.main import run; run()")
"""What ``explain.py`` is, from wherever the package lies."""


def measure_startup(
    model: str, photo: str, seconds: float, command: Sequence[str] = COMMAND
) -> Iterator[tuple[str, float]]:
    """Explains one photo by the command in new processes: with nothing compiled before, and again.

    Args:
        model: Its name.
        photo: A file; empty: the sample photo.
        seconds: After so many in all the process is ended.
        command: What is started.

    Yields:
        ``"nothing cached"`` and ``"cached"``, each with its seconds. CUDA's own cache is left as it is.

    Raises:
        InputError: If the command failed, or took longer.
    """
    deadline = time.perf_counter() + seconds
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"XDG_CACHE_HOME": folder}
        arguments = [f"--model={model}", f"--out_path={Path(folder) / 'out'}"]
        arguments += [f"--input_image_path={photo}"] if photo else []
        for name in ("nothing cached", "cached"):
            start = time.perf_counter()
            try:
                process = subprocess.run(
                    [*command, *arguments],
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=max(deadline - start, 0),
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise InputError(f"explain.py, {name}, took longer than {deadline - start:.0f} s.") from error
            if process.returncode:
                words = " | ".join(process.stderr.strip().splitlines()[-3:])
                raise InputError(f"explain.py, {name}, failed: {words}")
            yield name, time.perf_counter() - start
