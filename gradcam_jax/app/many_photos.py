"""Explains many photos: one command for a folder, a list or a data set, that can be stopped and resumed."""

import functools
import itertools
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import tqdm

from gradcam_jax.app.drawing import draw_explained, draw_missing, kinds_of
from gradcam_jax.app.looks import map_label, style_of
from gradcam_jax.app.options import Options, make_task
from gradcam_jax.app.reporting import report_run
from gradcam_jax.app.summary import summary
from gradcam_jax.errors import InputError
from gradcam_jax.images.decoder import Decoding
from gradcam_jax.pipeline import (
    Progress,
    device_function,
    explain_items,
    fitting_batch_size,
    open_run,
    open_store,
    read_items,
)
from gradcam_jax.pipeline.items import hash_of, share_of
from gradcam_jax.pipeline.machine import decoding_processes
from gradcam_jax.pipeline.manifest import read_failures
from gradcam_jax.pipeline.times import append_times

OK, SOME_FAILED, INTERRUPTED = 0, 2, 130
"""What the command exits with; 1 is an error that stopped it."""

_NAMED = 10  # failures that are named at the end


def explain_many(options: Options, say: Callable[[str], None] = lambda _: None) -> int:
    """Explains many photos, shows a bar, says at the end where the time went, and returns the exit code.

    Raises:
        InputError: If something that was asked for cannot be had, or results cannot be written.
    """
    options.check()
    passed_over: Counter[str] = Counter()
    # What is wrong with its name is said before a model is loaded.
    source = read_items(options.images, passed_over)
    task, devices, computation = make_task(options), jax.local_devices(), options.computation
    batch_size = options.batch_size or fitting_batch_size(task, devices, computation)
    if batch_size % len(devices):
        raise InputError(
            f"Expected --batch_size to be a multiple of the {len(devices)} devices, got {batch_size}."
        )
    workers = options.workers or decoding_processes()
    folder, place = Path(options.out_path), (options.process_id, options.num_processes)
    kinds = kinds_of(options)
    looks = map_label(options), style_of(options, task)
    draw = functools.partial(draw_explained, folder, kinds, looks) if kinds else None
    decoding = Decoding(options.fast_decoding, options.scaled_decoding)
    numbers = {"process": place[0], "processes": place[1], "retry_failed": options.retry_failed}
    store = open_store(task, folder, computation, decoding=decoding, **numbers)
    with store, stopped_by_signals() as stop, tqdm.tqdm(unit=" images", smoothing=0.05) as bar:
        _count_aside(options, bar)
        what = f"{task.loaded.name} ({task.layer}, {task.size}x{task.size})"
        where = f"{len(devices)} x {devices[0].device_kind}"
        for note in task.loaded.notes:
            say(note)
        say(f"explaining {options.images} with {what} on {where}, {batch_size} at once")
        progress = explain_items(
            task,
            device_function(task, devices, computation),
            share_of(source, *place),
            store,
            batch_size=batch_size,
            workers=workers,
            decoding=decoding,
            draw=draw,
            report=functools.partial(_show, bar),
            stop=stop,
        )
        if kinds and progress.skipped and not stop.is_set():
            items = itertools.takewhile(lambda _: not stop.is_set(), share_of(read_items(options.images), *place))
            drawn, problems = draw_missing(task, open_run(folder), items, kinds, looks=looks, workers=workers)
            say(f"{drawn} photos that were explained before were drawn")
            for problem in problems[:_NAMED]:
                say(f"not drawn: {problem}")
    append_times(folder, progress, device=devices[0].device_kind, process=place[0], interrupted=stop.is_set())
    failed_before = 0 if options.retry_failed else store.done.failed
    for line in summary(progress, failed_before=failed_before):
        say(line)
    if passed_over:
        suffixes = ", ".join(f"{suffix or 'no suffix'}: {count}" for suffix, count in passed_over.most_common())
        say(f"passed over {sum(passed_over.values())} files that are no photos ({suffixes})")
    if progress.failed or failed_before:
        name_failures(folder, place, say)
    say(f"results: {folder / 'manifest*.jsonl'}; gradcam_jax.pipeline.open_run({str(folder)!r}) reads them")
    # Of several processes one may have no image, where there are few.
    if options.num_processes == 1 and not progress.explained + progress.failed + progress.skipped:
        raise InputError(f"There is no image in {options.images!r}.")
    if options.report and not stop.is_set():
        report_run(open_run(folder), say)
    if stop.is_set():
        say("interrupted; the same command goes on from here")
        return INTERRUPTED
    return SOME_FAILED if progress.failed or failed_before else OK


def name_failures(folder: Path, place: tuple[int, int], say: Callable[[str], None]) -> None:
    """Names the images that could not be explained, the first ones each, the rest by their number."""
    process, processes = place
    failed = [
        fields
        for fields in read_failures(sorted(folder.glob("manifest*.jsonl")))
        if hash_of(fields["id"]) % processes == process
    ]
    for fields in failed[:_NAMED]:
        say(f"failed: {fields['id']}: {fields['error']}")
    if len(failed) > _NAMED:
        say(f"and {len(failed) - _NAMED} more, the lines of status failed in {folder / 'manifest*.jsonl'}")
    say("--retry_failed tries them again")


def _show(bar: tqdm.tqdm, progress: Progress) -> None:
    done = progress.explained + progress.failed + progress.skipped
    bar.set_postfix({"failed": progress.failed}, refresh=False)
    bar.update(done - bar.n)


def _count_aside(options: Options, bar: tqdm.tqdm) -> None:
    """Counts the photos in a thread of its own, so that the bar can tell what is left."""

    def count() -> None:
        try:
            items = share_of(read_items(options.images), options.process_id, options.num_processes)
            bar.total = sum(1 for _ in items)
        except InputError:
            return  # The run itself meets it and says so.

    threading.Thread(target=count, name="count", daemon=True).start()


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """Lets the first interrupt finish what was begun; the second is an ordinary one."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before: dict[int, Any] = {}

    def ask(number: int, _frame: Any) -> None:
        stop.set()
        signal.signal(number, before[number])
        # Not by print: the signal may have come while another line was being printed.
        os.write(2, b"\nfinishing the photos that are begun; the same again (Ctrl-C) stops at once\n")

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
