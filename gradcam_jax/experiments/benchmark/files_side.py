"""The process that measures the way from files: decoding, the compiled function, and the whole run."""

from typing import Any

from gradcam_jax import zoo
from gradcam_jax.app.machine import usable_cores
from gradcam_jax.experiments.benchmark.files import Options, Way, measure_decoding, measure_run
from gradcam_jax.tasks.classification import classification


class FilesSide:
    """Measures in a process of its own: a parent that holds the device would leave less of it."""

    def measure(self, images: str, model: str, batch_size: int, count: int, rounds: int) -> list[dict[str, Any]]:
        """Returns rows with ``work`` (what was measured), ``batch_size``, ``runs``, ``value`` and ``unit``.

        Args:
            images: The photos, as ``--images`` of ``explain.py`` takes them.
            model: One whose weights are here.
            batch_size: Photos a call.
            count: At most so many photos; 0: all of the run, 200 of decoding alone.
            rounds: How often each is measured.
        """
        options = Options(images, model, batch_size=batch_size, count=count or None, rounds=rounds)
        cores = usable_cores()
        ways = [Way("threads", 1, False), Way("threads", cores, False), Way("processes", cores, False)]
        rows = measure_decoding(options, ways)
        rows += measure_run(options, classification(zoo.load(model, task="classification")))
        return [
            {
                "work": _in_words(row),
                "batch_size": row.get("batch_size", ""),
                "runs": len(row["rounds"]),
                "value": f"{row['images_per_second']:.1f}",
                "unit": "photos/s",
            }
            for row in rows
        ]


def _in_words(row: dict[str, Any]) -> str:
    if row["what"] == "decoding":
        return f"decoding alone, {row['workers']} {row['pool']}"
    return {"function": "function alone", "run": f"whole run, {row['workers']} workers"}[row["what"]]
