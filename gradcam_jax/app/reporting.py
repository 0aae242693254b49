"""Makes a run's report from the command line: a bar while it goes on, and what was written at its end."""

from collections.abc import Callable
from pathlib import Path

import tqdm

from gradcam_jax.pipeline import Run
from gradcam_jax.report import Written, write_report


def report_run(
    run: Run,
    say: Callable[[str], None],
    *,
    folder: Path | None = None,
    photos: Path | None = None,
    title: str = "",
) -> Written:
    """Writes the report and says where it is; the options are those of :func:`gradcam_jax.report.write_report`."""
    with tqdm.tqdm(total=len(run), desc="report", unit=" photos", disable=None) as bar:

        def show(done: int) -> None:
            bar.update(done - bar.n)

        written = write_report(run, folder, photos=photos, title=title, report=show)
    say(f"report of {written.photos} photos, {written.failed} failed: open {written.page}")
    if written.without_picture:
        say(
            f"  {written.without_picture} explained photos could not be read again; "
            "--photos FOLDER says where they lie now"
        )
    return written
