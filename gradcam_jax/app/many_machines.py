"""Explains many photos on the machines of a Ray cluster: ``explain.py --images LIST --ray ADDRESS``."""

import contextlib
import dataclasses
import functools
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import tqdm

from gradcam_jax.app.drawing import draw_explained, kinds_of
from gradcam_jax.app.looks import map_label, style_of
from gradcam_jax.app.many_photos import INTERRUPTED, OK, SOME_FAILED, name_failures, stopped_by_signals
from gradcam_jax.app.options import Options, make_task
from gradcam_jax.app.reporting import report_run
from gradcam_jax.app.start import use_compilation_cache
from gradcam_jax.app.summary import summary
from gradcam_jax.errors import InputError
from gradcam_jax.formats.storage import is_remote, path_of
from gradcam_jax.images.decoder import Decoding
from gradcam_jax.pipeline import Progress, device_function, explain_items, fitting_batch_size, open_run, read_items
from gradcam_jax.pipeline.cluster import (
    Outcome,
    Share,
    import_ray,
    most_workers,
    share_of_node,
    share_parts,
)
from gradcam_jax.pipeline.computation import run_settings
from gradcam_jax.pipeline.part_store import PartStore
from gradcam_jax.pipeline.parts import (
    Part,
    cut,
    failed_of_done,
    mark_done,
    number_of_parts,
    read_part,
    remove_unnamed,
    set_aside,
)
from gradcam_jax.pipeline.run import started_front
from gradcam_jax.pipeline.store import SHARDS, record_settings


def explain_on_cluster(options: Options, say: Callable[[str], None] = lambda _: None) -> int:
    """Cuts the list into parts, lets the cluster's machines explain them, and returns the exit code.

    Args:
        options: The user's; ``options.ray`` is an address, ``auto`` or ``local``.
        say: Takes lines for the terminal.

    Raises:
        InputError: If something that was asked for cannot be had, or results cannot be written.
    """
    _check(options)
    ray = import_ray()
    folder, started = path_of(options.out_path), time.perf_counter()
    (folder / SHARDS).mkdir(parents=True, exist_ok=True)
    # A worker may be started in another folder.
    options = dataclasses.replace(options, **{name: _whole(getattr(options, name)) for name in _PATHS})
    parts = _cut(options, folder)
    if not parts:
        raise InputError(f"There is no image in {options.images!r}.")
    failed = {part: failed_of_done(folder, part) for part in parts}
    undone = [part for part in parts if failed[part] is None or (failed[part] and options.retry_failed)]
    total = Progress(skipped=sum(part.images for part in parts) - sum(part.images for part in undone))
    bar = tqdm.tqdm(unit=" images", smoothing=0.05, total=sum(part.images for part in parts))
    with _connected(ray, options.ray), stopped_by_signals() as stop, bar:
        share = share_of_node(ray.nodes())
        room = most_workers(ray.nodes(), share)
        say(f"{len(undone)} of {len(parts)} parts are to be done; the cluster has room for {room} workers")
        outcome = share_parts(
            undone,
            functools.partial(_start, ray, options, share),
            lambda: most_workers(ray.nodes(), share),
            welcome=functools.partial(_welcome, folder),
            report=functools.partial(_show, bar, total.skipped),
            stopped=stop.is_set,
        )
    by_node = Counter[str]()
    for part, progress, node in outcome.done:
        failed[part] = failed_of_done(folder, part)
        total.explained += progress.explained
        total.skipped += progress.skipped
        by_node[node] += progress.explained
    total.failed = sum(progress.failed for _, progress, _ in outcome.done)
    total.seconds = time.perf_counter() - started
    for line in summary(total)[:1] + [f"node {node[:8]}: {images} images" for node, images in by_node.items()]:
        say(line)
    for part, reason in outcome.aside:
        set_aside(folder, part, reason)
        say(f"part {part.name} with {part.images} images was given up: {reason}")
    if any(failed.values()):
        name_failures(folder, (0, 1), say)
    say(f"results: {folder / 'manifest*.jsonl'}; gradcam_jax.pipeline.open_run({str(folder)!r}) reads them")
    if stop.is_set():
        say("interrupted; the same command goes on from here")
        return INTERRUPTED
    remove_unnamed(folder, SHARDS)
    if options.report:
        report_run(open_run(folder), say)
    return SOME_FAILED if outcome.aside or any(failed.values()) else OK


_PATHS = "images", "out_path", "model", "checkpoint", "labels"


class PhotoWorker:
    """Holds the model on this machine's device, and explains parts. Ray makes an actor of it."""

    def __init__(self, options: Options, cores: int):
        """Does nothing yet: what goes wrong in an actor's constructor reaches nobody as it was raised.

        Args:
            options: The user's.
            cores: How many of this machine's cores it may use.
        """
        self._options, self._cores, self._folder = options, cores, path_of(options.out_path)
        self._progress = Progress()

    def ready(self) -> tuple[str, tuple[dict[str, Any], str]]:
        """Loads the model; returns the node's id, and the run's settings with the kind of the device."""
        options = self._options
        use_compilation_cache()
        self._task, devices = make_task(options), jax.local_devices()
        self._function = device_function(self._task, devices, options.computation)
        self._decoding = Decoding(options.fast_decoding, options.scaled_decoding)
        on_cpu = devices[0].platform == "cpu"
        self._batch_size = options.batch_size or fitting_batch_size(self._task, devices, options.computation)
        self._decoders = options.workers or max(self._cores // 2 if on_cpu else self._cores, 1)
        kinds, looks = kinds_of(options), (map_label(options), style_of(options, self._task))
        folder = Path(options.out_path)
        self._draw = functools.partial(draw_explained, folder, kinds, looks) if kinds else None
        # Processes that decode serve all parts: to start them takes as long as to explain many photos.
        front = started_front(
            self._task, self._batch_size, self._decoders, self._decoding, keep_photo=self._draw is not None
        )
        self._held = contextlib.ExitStack()  # until the actor ends
        self._front = self._held.enter_context(front)
        settings = run_settings(self._task, options.computation, self._decoding)
        return import_ray().get_runtime_context().get_node_id(), (settings, devices[0].device_kind)

    def progress(self) -> Progress:
        """Returns the progress of the part that is being explained."""
        return self._progress

    def explain(self, part: Part) -> Progress:
        """Explains the images of a part that are not done yet, and writes its manifest."""
        self._progress = Progress()
        retry = self._options.retry_failed
        with PartStore(self._folder, part, retry_failed=retry) as store:
            items = read_part(self._folder, part)
            progress = explain_items(
                self._task,
                self._function,
                items,
                store,
                batch_size=self._batch_size,
                workers=self._decoders,
                decoding=self._decoding,
                draw=self._draw,
                report=self._note,
                front=self._front,
            )
        mark_done(self._folder, part, progress.failed + (0 if retry else store.done.failed))
        return progress

    def _note(self, progress: Progress) -> None:
        self._progress = dataclasses.replace(progress)


def _check(options: Options) -> None:
    options.check()
    if options.num_processes > 1:
        raise InputError("--ray shares the images by itself: leave --num_processes and --process_id out.")
    for flag in [f"--save {options.save}"] * (options.save != "maps") + ["--report"] * options.report:
        if is_remote(options.out_path):
            raise InputError(f"{flag} draws into folders, but {options.out_path!r} is an object store.")
    if options.part_size < 1:
        raise InputError(f"Expected --part_size of 1 or more, got {options.part_size} instead.")


def _whole(path: str) -> str:
    """Returns a path that means the same in any folder; an empty one, a store's, and what is no file stay."""
    whole = os.path.abspath(os.path.expanduser(path))
    return path if is_remote(path) or not path or not os.path.exists(whole) else whole


def _cut(options: Options, folder: Any) -> Sequence[Part]:
    """Writes the parts' lists; how many parts a run has is decided once."""
    parts = number_of_parts(folder)
    if not parts:
        images = sum(1 for _ in read_items(options.images))
        parts = max(math.ceil(images / options.part_size), 1)
    items = (item._replace(path=_whole(item.path)) for item in read_items(options.images))
    return cut(items, folder, parts)


@contextlib.contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Joins a cluster, or starts one on this machine, and leaves it at the end; one that is joined stays so."""
    if ray.is_initialized():
        yield
        return
    if address == "local":
        ray.init(include_dashboard=False, log_to_driver=False)
    else:
        ray.init(address=address, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


def _start(ray: Any, options: Options, share: Share) -> Any:
    # Two calls at once: a part, and the question how far it is. A worker that died is not brought back by Ray, but
    # replaced here, where its part is known.
    actor = ray.remote(PhotoWorker).options(**share.options(), max_concurrency=2, max_restarts=0)
    return actor.remote(options, int(share.num_cpus))


def _welcome(folder: Any, about: tuple[dict[str, Any], str]) -> None:
    """Records what a new worker computes and on what, or refuses it: the folder may hold another run."""
    settings, device = about
    record_settings(folder, {**settings, "parts": number_of_parts(folder)}, device)


def _show(bar: tqdm.tqdm, before: int, outcome: Outcome, under_way: Sequence[tuple[str, Progress]]) -> None:
    everything = [progress for _, progress, _ in outcome.done] + [progress for _, progress in under_way]
    nodes = len({node for node, _ in under_way})
    bar.set_postfix(
        {"failed": sum(progress.failed for progress in everything), "workers": len(under_way), "nodes": nodes},
        refresh=False,
    )
    bar.n = before + sum(progress.explained + progress.failed + progress.skipped for progress in everything)
    bar.refresh()
