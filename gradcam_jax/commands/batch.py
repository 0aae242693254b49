"""Explains many images: one command for a folder, a list or a data set, that can be stopped and resumed."""

import dataclasses
import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import tqdm

from gradcam_jax import captioners, question_models, zoo
from gradcam_jax.batch.captioning import captioning_job
from gradcam_jax.batch.classification import classification_job
from gradcam_jax.batch.device import DeviceFunction, choose_batch_size
from gradcam_jax.batch.items import Item, read_items, share_of
from gradcam_jax.batch.job import Job, parse_methods
from gradcam_jax.batch.run import Progress, explain_images, open_store
from gradcam_jax.batch.vqa import vqa_job
from gradcam_jax.commands.batch_pictures import KINDS, draw_image
from gradcam_jax.commands.captioning import EXPLAINING_SIZE
from gradcam_jax.commands.classification import find_recipe, input_size
from gradcam_jax.commands.machine import decoding_threads
from gradcam_jax.errors import InputError

OK, SOME_FAILED, INTERRUPTED = 0, 2, 130
"""What the command exits with; 1 is an error that stopped it."""

DTYPES = ("float32", "bfloat16")
SAVE = ("maps", *KINDS, "all")

_ANY_IMAGE = Item("", "", {"question": "What is this?"})


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        images: What to explain: a folder, a glob, a list (.txt, .jsonl, .csv), or tfds:NAME/SPLIT.
        task: ``"classification"``, ``"vqa"`` or ``"captioning"``.
        model: The model's name, or a checkpoint of a VQA model or captioner; empty for the task's own.
        out_path: The run's folder.
        layer_name: The layer to map, or empty for the model's own.
        input_sz: Side of the network's image, in pixels, or 0 for the model's own.
        recipe: A preprocessing recipe, or empty for the model's own.
        methods: Comma-separated: ``grad_cam``, ``guided_backprop``, ``guided_grad_cam``.
        label: Classification: labels for images that bring none.
        question: VQA: the question for images that bring none.
        answer: VQA: answers for images that bring none.
        caption: Captioning: the caption for images that bring none; empty for the generated one.
        top_k: Targets an image.
        beam_size: Captioning: beginnings kept while captions are generated.
        length_exponent: Captioning: how captions of different lengths are compared.
        dtype: ``"float32"``, or ``"bfloat16"`` for the trunk.
        save: ``"maps"`` (always written), ``"overlays"``, ``"panels"`` or ``"all"``.
        batch_size: Images at once over all devices, or 0 for what fits.
        workers: Threads that decode, or 0 for one a core, on CPUs for every second one.
        scaled_decoding: Whether large JPEGs are decoded at 1/2, 1/4 or 1/8 of their size.
        retry_failed: Whether images that failed in an earlier run are tried again.
        process: Number of this process.
        processes: How many share the images.
    """

    images: str
    task: str = "classification"
    model: str = ""
    out_path: str = "output"
    layer_name: str = ""
    input_sz: int = 0
    recipe: str = ""
    methods: str = "grad_cam"
    label: str = ""
    question: str = ""
    answer: str = ""
    caption: str = ""
    top_k: int = 1
    beam_size: int = 3
    length_exponent: float = 1.0
    dtype: str = "float32"
    save: str = "maps"
    batch_size: int = 0
    workers: int = 0
    scaled_decoding: bool = False
    retry_failed: bool = False
    process: int = 0
    processes: int = 1


def run(options: Options, say: Callable[[str], None] = lambda _: None) -> int:
    """Explains images, shows a bar, and says at the end where the time went.

    Args:
        options: What the user asked for.
        say: Takes each line of the report.

    Returns:
        The exit code: 0, 2 if images failed, 130 if it was interrupted.

    Raises:
        InputError: If something asked for cannot be had, or results cannot be written.
    """
    _check(options)
    source = read_items(options.images)  # What is wrong with its name is said before a model is loaded.
    job, devices = make_job(options), jax.local_devices()
    batch_size = options.batch_size or choose_batch_size(job, devices, job.request(_ANY_IMAGE))
    if batch_size % len(devices):
        raise InputError(
            f"Expected --batch_size to be a multiple of the {len(devices)} devices, got {batch_size}."
        )
    workers = options.workers or decoding_threads()
    folder = Path(options.out_path)
    kinds = KINDS if options.save == "all" else tuple(kind for kind in KINDS if kind == options.save)
    draw = functools.partial(draw_image, folder, kinds, job) if kinds else None
    mine = share_of(source, options.process, options.processes)
    store = open_store(
        job, folder, process=options.process, processes=options.processes, retry_failed=options.retry_failed
    )
    with store, _stopped_by_signals() as stop, tqdm.tqdm(unit=" images", smoothing=0.05) as bar:
        _count_aside(options, bar)
        what = f"{job.settings['model']} ({job.settings['layer']}, {job.size}x{job.size})"
        where = f"{len(devices)} x {devices[0].device_kind}"
        say(f"explaining {options.images} with {what} on {where}, {batch_size} at once")
        progress = explain_images(
            job,
            DeviceFunction(job, devices),
            mine,
            store,
            batch_size=batch_size,
            workers=workers,
            scaled=options.scaled_decoding,
            draw=draw,
            report=functools.partial(_show, bar),
            stop=stop,
        )
    for line in summary(progress, workers):
        say(line)
    say(f"results: {folder / 'manifest*.jsonl'}; gradcam_jax.batch.open_run({str(folder)!r}) reads them")
    if not progress.explained + progress.failed + progress.skipped:
        raise InputError(f"There is no image in {options.images!r}.")
    if stop.is_set():
        say("interrupted; the same command goes on from here")
        return INTERRUPTED
    failed_before = store.done.failed and not options.retry_failed
    return SOME_FAILED if progress.failed or failed_before else OK


def make_job(options: Options) -> Job:
    """Loads the model and returns what is to be done with each image."""
    methods, in_bfloat16 = parse_methods(options.methods), options.dtype == "bfloat16"
    shared: dict[str, Any] = {"methods": methods, "in_bfloat16": in_bfloat16}
    recipe = find_recipe(options.recipe) if options.recipe else None
    if options.task == "vqa":
        answering = question_models.load_question_model(options.model or question_models.DEFAULT)
        recipe = recipe or answering.entry.recipe
        size = input_size(options.input_sz or answering.entry.size, recipe)
        layer = question_models.find_layer(answering, options.layer_name, size)
        return vqa_job(
            answering,
            recipe,
            size,
            layer=layer,
            question=options.question,
            answers=options.answer,
            top_k=options.top_k,
            **shared,
        )
    if options.task == "captioning":
        captioner = captioners.load_captioner(options.model or captioners.DEFAULT)
        recipe = recipe or captioner.entry.recipe
        size = input_size(options.input_sz or EXPLAINING_SIZE.get(captioner.name, 0), recipe)
        layer = captioners.find_layer(captioner, options.layer_name, size)
        return captioning_job(
            captioner,
            recipe,
            size,
            layer=layer,
            caption=options.caption,
            beam_size=options.beam_size,
            length_exponent=options.length_exponent,
            **shared,
        )
    entry = zoo.find_entry(options.model or zoo.DEFAULT["classification"])
    recipe = recipe or entry.recipe
    size, model = input_size(options.input_sz, recipe), entry.build()
    variables = zoo.load_variables(entry)
    layer = zoo.find_layer(entry, model, variables, options.layer_name or entry.layer, size)
    return classification_job(
        entry,
        recipe,
        size,
        layer=layer,
        labels=options.label,
        top_k=options.top_k,
        variables=variables,
        **shared,
    )


def summary(progress: Progress, workers: int) -> list[str]:
    """Says how fast a run was, where its time went, and what would make it faster.

    Args:
        progress: The run's.
        workers: Threads that decoded.
    """
    done = progress.explained + progress.failed
    seconds = max(progress.seconds, 1e-9)
    busy = {
        "decode": progress.decode_seconds / workers / seconds,
        "transfer": progress.transfer_seconds / seconds,
        "compute": progress.compute_seconds / seconds,
        "write": progress.write_seconds / seconds,
    }
    advice = {
        "decode": "more cores (or --scaled_decoding, for JPEGs much larger than the network's image)",
        "transfer": "a faster way to the device",
        "compute": "a faster device, or more of them",
        "write": "a faster disk, or fewer pictures",
    }
    slowest = max(busy, key=lambda stage: busy[stage])
    lines = [
        f"{progress.explained} explained, {progress.failed} failed, {progress.skipped} done before; "
        f"{seconds:.1f} s, {done / seconds:.1f} images/s, first map after {progress.first_map_seconds:.1f} s"
    ]
    if progress.explained:
        shares = ", ".join(f"{stage} {share:.0%}" for stage, share in busy.items())
        lines.append(f"busy: {shares}. What would make it faster: {advice[slowest]}.")
    return lines


def _check(options: Options) -> None:
    for name, value, known in (("dtype", options.dtype, DTYPES), ("save", options.save, SAVE)):
        if value not in known:
            raise InputError(f"Expected --{name} {', '.join(known[:-1])} or {known[-1]}, got {value!r} instead.")
    if options.top_k < 1:
        raise InputError(f"Expected --top_k of 1 or more, got {options.top_k} instead.")
    if not 0 <= options.process < options.processes:
        raise InputError(
            f"Expected --process_id from 0 to {options.processes - 1} (--num_processes {options.processes}), "
            f"got {options.process} instead."
        )


def _show(bar: tqdm.tqdm, progress: Progress) -> None:
    done = progress.explained + progress.failed + progress.skipped
    bar.set_postfix({"failed": progress.failed}, refresh=False)
    bar.update(done - bar.n)


def _count_aside(options: Options, bar: tqdm.tqdm) -> None:
    """Counts the images in a thread of its own, so that the bar can tell what is left."""

    def count() -> None:
        try:
            bar.total = sum(1 for _ in share_of(read_items(options.images), options.process, options.processes))
        except InputError:
            return  # The run itself meets it and says so.

    threading.Thread(target=count, name="count", daemon=True).start()


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """Lets the first interrupt finish what was begun; the second is an ordinary one."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before: dict[int, Any] = {}

    def ask(number: int, _frame: Any) -> None:
        stop.set()
        signal.signal(number, before[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
