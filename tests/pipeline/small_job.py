"""A job that is done in no time: a VGG of two convolutions on 32x32 photos, with random weights.

As a program it is a run of its own, to be killed: ``python -m tests.pipeline.small_job SOURCE FOLDER [SECONDS]``.
"""

import sys
import time
from pathlib import Path

import jax
import numpy as np
import PIL.Image

from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.images import preprocessing
from gradcam_jax.models.vgg import VGG
from gradcam_jax.pipeline.classification import classification_job
from gradcam_jax.pipeline.device import DeviceFunction
from gradcam_jax.pipeline.items import read_items, share_of
from gradcam_jax.pipeline.run import explain_images, open_store
from gradcam_jax.zoo import classifiers as zoo
from tests.comparison import kaiming_variables

LAYER, SIZE = "relu2_1", 32


def build(**fields):
    return VGG((1, 1), (8, 16), hidden=16, input_size=SIZE, **fields)


ENTRY = zoo.Entry(
    name="small",
    task="classification",
    build=build,
    layer=LAYER,
    recipe=preprocessing.EFFICIENTNET_LITE._replace(size=SIZE),
    parameters=0,
    licence="",
)


def small_job(**options):
    variables = kaiming_variables(variable_shapes(build(), zoo.example_image(ENTRY)))
    recipe = options.pop("recipe", ENTRY.recipe)
    return classification_job(ENTRY, recipe, SIZE, layer=LAYER, variables=variables, **options)


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


def run_small(source, folder, *, job=None, process=0, processes=1, batch_size=8, store=None, **options):
    job = job or small_job()
    items = share_of(read_items(str(source)), process, processes)
    opened = open_store(job, folder, process=process, processes=processes, **(store or {}))
    with opened as entered:
        return explain_images(
            job,
            DeviceFunction(job, jax.local_devices()),
            items,
            entered,
            batch_size=batch_size,
            workers=2,
            **options,
        )


def main(source, folder, pause="0"):
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_compilation_cache_dir", str(Path(folder).parent / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    job = small_job()
    describe = job.describe

    def slow(row):
        time.sleep(float(pause))
        return describe(row)

    run_small(source, folder, job=job._replace(describe=slow), store={"shard_seconds": 0.05})


if __name__ == "__main__":
    main(*sys.argv[1:])
