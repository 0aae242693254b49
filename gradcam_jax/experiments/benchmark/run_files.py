"""Times the way from files: decoding in every way, and a whole run beside its compiled function."""

import csv
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gradcam_jax.app.machine import decoding_threads, this_run, usable_cores
from gradcam_jax.experiments.benchmark.run_decoding import Way, measure_decoding
from gradcam_jax.experiments.benchmark.run_pipeline import measure_pipeline
from gradcam_jax.pipeline.classification import classification_job
from gradcam_jax.zoo import classifiers as zoo

_COLUMNS = ("what", "pool", "workers", "scaled", "batch_size", "images", "images_per_second", "rounds")


@dataclasses.dataclass(frozen=True)
class Options:
    """What to time.

    Attributes:
        images: The photos, as ``--images`` of ``explain.py`` takes them.
        model: A classifier.
        batch_size: Images at once.
        workers: Threads that decode in the run.
        count: At most so many photos are decoded, and explained.
        rounds: How often each is measured.
        out_path: The CSV file to write.
    """

    images: str
    model: str = zoo.DEFAULT["classification"]
    batch_size: int = 32
    workers: int = dataclasses.field(default_factory=decoding_threads)
    count: int | None = None
    rounds: int = 5
    out_path: str = "docs/benchmarks/files.csv"


def run(options: Options, report: Callable[[str], None]) -> list[dict[str, Any]]:
    """Times, writes the CSV, and reports a table in Markdown.

    Args:
        options: What to time.
        report: Takes lines for people.

    Returns:
        The table's rows.
    """
    entry = zoo.find_entry(options.model)
    count, workers, cores = options.count or 200, options.workers, usable_cores()
    ways = [Way(pool, number, scaled=False) for pool in ("threads", "processes") for number in (1, cores)]
    ways.append(Way("threads", cores, scaled=True))
    shape = {"recipe": entry.recipe.name, "size": entry.recipe.size, "count": count, "rounds": options.rounds}
    rows: list[dict[str, Any]] = [
        {
            "what": "decoding",
            "pool": found["pool"],
            "workers": found["workers"],
            "scaled": found["scaled"],
            "images": found["photos"],
            "images_per_second": found["photos_per_second"],
            "rounds": found["rounds"],
        }
        for found in measure_decoding(options.images, ways, report=report, **shape)
    ]
    job = classification_job(entry, entry.recipe, entry.recipe.size, layer=entry.layer)
    settings = {"batch_size": options.batch_size, "workers": workers}
    found = measure_pipeline(
        job, options.images, count=options.count, rounds=options.rounds, report=report, **settings
    )
    for what in ("function", "run"):
        middle = sorted(found[what])[len(found[what]) // 2]
        row = {"what": what, "images": found["images"], "images_per_second": middle, "rounds": found[what]}
        rows.append(row | settings)
    path = Path(options.out_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    ratio = {"model": options.model, "run / function (median of the rounds' ratios)": f"{found['ratio']:.3f}"}
    _write(path, rows, this_run() | ratio)
    report(f"run / function: {found['ratio']:.3f}; written: {path}")
    return rows


def _write(path: Path, rows: Sequence[dict[str, Any]], about: dict[str, str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for key, value in about.items():
            file.write(f"# {key}: {value}\n")
        writer: Any = csv.DictWriter(file, _COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            rounds = " ".join(f"{rate:.1f}" for rate in row["rounds"])
            writer.writerow({**row, "images_per_second": f"{row['images_per_second']:.1f}", "rounds": rounds})
