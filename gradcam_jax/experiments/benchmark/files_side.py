"""The process that measures the way from files: decoding, moving, the compiled function, and the whole run."""

from typing import Any

from gradcam_jax.experiments.benchmark.files import Options, Way, measure_decoding, measure_run, task_of
from gradcam_jax.images.decoder import EXACT, Decoding
from gradcam_jax.pipeline.machine import usable_cores


class FilesSide:
    """Measures in a process of its own: a parent that holds the device would leave less of it."""

    def measure(self, images: str, fields: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns rows with ``work`` (what was measured), ``batch_size``, ``runs``, ``value`` and ``unit``.

        Args:
            images: The photos, as ``--images`` of ``explain.py`` takes them.
            fields: Of :class:`gradcam_jax.experiments.benchmark.files.Options`.
        """
        fast = Decoding(fast=True)
        options = Options(images, decoding=fast, **fields)
        task = task_of(options)
        rows = measure_decoding(options, task, [Way(usable_cores(), decoding) for decoding in (EXACT, fast)])
        rows += measure_run(options, task)
        return [
            {
                "work": _in_words(row),
                "batch_size": options.batch_size,
                "runs": len(row["rounds"]),
                "value": f"{row['images_per_second']:.1f}",
                "unit": "photos/s",
            }
            for row in rows
        ]


def _in_words(row: dict[str, Any]) -> str:
    workers = f"{row['decoding']} decoding, processes: {row['workers']}"
    names = {"decoding": f"decoding alone, {workers}", "run": f"whole run, {workers}"}
    return names.get(row["what"], f"{row['what']} alone")
