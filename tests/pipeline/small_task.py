"""A task that is done in no time: a VGG of two convolutions on 32x32 photos, with random weights.

As a program it is a run of its own, to be killed: ``python -m tests.pipeline.small_task SOURCE FOLDER [SECONDS]``.
"""

import contextlib
import os
import sys
import time
from pathlib import Path

import jax
import numpy as np
import PIL.Image

from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.images import preprocessing
from gradcam_jax.models.vgg import VGG
from gradcam_jax.pipeline import Computation, device_function, explain_items, open_store, read_items
from gradcam_jax.pipeline.items import share_of
from gradcam_jax.tasks.classification import classification
from gradcam_jax.text.ilsvrc import imagenet_classes
from gradcam_jax.text.vocabulary import Vocabulary
from gradcam_jax.zoo import Entry, Loaded, example_inputs
from tests.comparison import kaiming_variables

LAYER, SIZE = "relu2_1", 32


def build(**fields):
    return VGG((1, 1), (8, 16), hidden=16, input_size=SIZE, **fields)


ENTRY = Entry(
    name="small",
    task="classification",
    build=build,
    layer=LAYER,
    preprocessing=preprocessing.EFFICIENTNET_LITE._replace(size=SIZE),
    size=SIZE,
    trained_by="make it",
)


def loaded(entry=ENTRY, variables=None):
    """Returns the model as the zoo would: with random weights unless some are given."""
    variables = variables or kaiming_variables(variable_shapes(entry.build(), *example_inputs(entry)))
    labels = Vocabulary(f"{class_.name} ({class_.label})" for class_ in imagenet_classes())
    return Loaded(entry, entry.build(), variables, labels, Vocabulary(()), None, {})


def small_task(entry=ENTRY, variables=None, **options):
    return classification(loaded(entry, variables), **options)


def write_photos(folder, count, *, broken=(), size=(40, 36)):
    """Writes ``0000.png`` and so on, of random colours; those in ``broken`` are cut short."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number:04d}.png"
        pixels = rng.integers(0, 255, (size[1] // 4, size[0] // 4, 3), np.uint8)
        PIL.Image.fromarray(pixels).resize(size).save(path)
        if number in broken:
            path.write_bytes(path.read_bytes()[:60])
    return folder


def run_small(source, folder, *, process=0, processes=1, store=None, **options):
    """Explains a source; the task is :func:`small_task`, with one target a photo, unless another is given."""
    items = share_of(read_items(str(source)), process, processes)
    place = {"process": process, "processes": processes}
    return run_items(items, folder, store={**place, **(store or {})}, **options)


def run_items(
    items,
    folder,
    *,
    task=None,
    computation=Computation(),  # noqa: B008 - a tuple
    batch_size=8,
    workers=2,
    store=None,
    function=None,
    **options,
):
    """Explains images, as :func:`run_small` does those of a source."""
    task = task or small_task(max_targets=1)
    opened = open_store(task, folder, computation, **(store or {}))
    function = function or device_function(task, jax.local_devices(), computation)
    with opened as entered:
        return explain_items(task, function, items, entered, batch_size=batch_size, workers=workers, **options)


def results_of(task, rows):
    """Returns results such as a batch has, of the right names and shapes."""
    images = np.zeros((rows, task.size, task.size, 3), np.uint8)
    arrays = {name: np.stack([array] * rows) for name, array in task.encode({}).items()}
    function = device_function(task, jax.devices()[:1])
    return jax.device_get(function(*function.put(images, arrays)))


def children(parent=None, program=b"gradcam_jax.images.decoder"):
    """Returns the ids of the decoding processes of a process, this one unless its id is given, or of others."""
    found, wanted = [], str(parent or os.getpid())
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            own = path.read_text().rpartition(")")[2].split()[1] == wanted
            if own and program in (path.parent / "cmdline").read_bytes():
                found.append(int(path.parent.name))
    return found


def main(source, folder, pause="0"):
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_compilation_cache_dir", str(Path(folder).parent / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    task = small_task(max_targets=1)

    def slow(results, request):
        time.sleep(float(pause))
        return task.record(results, request)

    run_small(source, folder, task=task._replace(record=slow), store={"shard_seconds": 0.05})


if __name__ == "__main__":
    main(*sys.argv[1:])
