"""Measures how fast, and in how much memory, original checkpoints become checkpoints of this project.

  python scripts/benchmark_conversion.py

Files of the published sizes, with random weights, are written to a temporary folder: VGG-16's caffemodel (553 MB)
and the VQA model's `lstm.t7` (54 MB). Each measurement runs in a process of its own, several times, in turn
with a plain copy that reaches the disk, so that both run under the same conditions. Prints a Markdown table.
"""

import json
import os
import pathlib
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version

from absl import app, flags

# The writers of the test suite: nothing else writes these layouts.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

_RUNS = flags.DEFINE_integer("runs", 5, "Measurements of each kind.")
_FOLDER = flags.DEFINE_string("folder", None, "Where the temporary files go. Default: the system's.")
_CHILD = flags.DEFINE_list("child", None, "For the script's own use: a measurement and its files.")


def _copy(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    with open(target, "rb+") as file:
        os.fsync(file.fileno())


def _convert_vgg16(source: str, target: str) -> None:
    from gradcam_jax.app import conversion

    conversion.run("vgg16", [source], target)


def _read_one_layer(source: str, target: str) -> None:
    del target
    from gradcam_jax.formats.caffemodel import caffe_arrays, read_caffemodel

    caffe_arrays(read_caffemodel(source))["fc7/weight"].sum()


def _convert_lstm(source: str, target: str) -> None:
    from gradcam_jax.conversion.rules import View
    from gradcam_jax.zoo import Card, write_views
    from gradcam_jax.zoo.originals import read_file

    arrays = read_file(source).arrays
    views = {key: View(array.T.shape, array.T) for key, array in arrays.items()}
    write_views(target, views, Card("vqa_vgg19", "original", "", 0))


def _write_originals(caffemodel: str, lstm: str) -> None:
    from tests.conversion.caffe_nets import vgg_layers
    from tests.conversion.torch7_models import write_lstm
    from tests.formats.caffe_writer import write_caffemodel

    write_caffemodel(pathlib.Path(caffemodel), vgg_layers((2, 2, 3, 3, 3)))
    write_lstm(pathlib.Path(lstm), 12602)


_MEASUREMENTS: dict[str, Callable[[str, str], None]] = {
    function.__name__: function
    for function in (_copy, _convert_vgg16, _read_one_layer, _convert_lstm, _write_originals)
}


def _measure_here(name: str, source: str, target: str) -> None:
    """Runs one measurement in this process and prints it as JSON; imports are not counted as work."""
    import gradcam_jax.app.conversion  # noqa: F401

    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    _MEASUREMENTS[name](source, target)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    unit = 1 if sys.platform == "darwin" else 1024
    peak, base = after.ru_maxrss * unit, before.ru_maxrss * unit
    print(json.dumps({"seconds": seconds, "work": work, "peak": peak, "grown": peak - base}))


def _run(name: str, source: pathlib.Path, target: pathlib.Path) -> dict[str, float]:
    command = [sys.executable, __file__, f"--child={name},{source},{target}"]
    process = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(process.stdout.splitlines()[-1])


def _row(what: str, runs: list[dict[str, float]], size: int) -> str:
    median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    spread = f"{min(run['seconds'] for run in runs):.2f} to {max(run['seconds'] for run in runs):.2f}"
    peak = f"{median['peak'] / 1e6:,.0f} MB ({median['peak'] / size:.2f}x)"
    return (
        f"| {what} | {median['seconds']:.2f} | {spread} | {median['work']:.2f} | {peak} "
        f"| {median['grown'] / 1e6:,.0f} MB |"
    )


def main(arguments: list[str]) -> None:
    """Measures in turn and prints the table."""
    del arguments
    if _CHILD.value:
        _measure_here(*_CHILD.value)
        return
    with tempfile.TemporaryDirectory(dir=_FOLDER.value) as name:
        folder = pathlib.Path(name)
        caffemodel, lstm = folder / "vgg16.caffemodel", folder / "lstm.t7"
        # Not in this process: its peak memory would be counted as its children's.
        _run("_write_originals", caffemodel, lstm)
        cases = [
            ("copy VGG-16 caffemodel", "_copy", caffemodel),
            ("convert VGG-16 caffemodel", "_convert_vgg16", caffemodel),
            ("read its fc7 alone (67 MB)", "_read_one_layer", caffemodel),
            ("convert lstm.t7", "_convert_lstm", lstm),
        ]
        runs: dict[str, list[dict[str, float]]] = {what: [] for what, _, _ in cases}
        for _ in range(_RUNS.value):
            for what, measurement, source in cases:
                runs[what].append(_run(measurement, source, folder / "target"))
                (folder / "target").unlink(missing_ok=True)
        sizes = {what: source.stat().st_size for what, _, source in cases}
        versions = ", ".join(f"{package} {version(package)}" for package in ("numpy", "jax", "flax"))
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}\n")
        print("| what | seconds (median) | spread | processor seconds | peak memory (of file) | grown by |")
        print("| --- | --- | --- | --- | --- | --- |")
        for what in runs:
            print(_row(what, runs[what], sizes[what]))
        copied, converted = (runs[case[0]] for case in cases[:2])
        ratios = [ours["seconds"] / copy["seconds"] for copy, ours in zip(copied, converted, strict=True)]
        print("\nThe copy is shutil.copyfile, then fsync; the conversion also ends with fsync.")
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"Conversion against copy, run by run: {statistics.median(ratios):.2f}x (median; {spread})")


if __name__ == "__main__":
    app.run(main)
