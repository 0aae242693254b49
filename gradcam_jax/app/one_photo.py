"""Explains one photo: the original program's files and numbers, and more pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gradcam_jax.app import output
from gradcam_jax.app.looks import map_label, style_of
from gradcam_jax.app.options import Options, make_task
from gradcam_jax.app.start import options_for_one_call
from gradcam_jax.engine.precision import with_precision
from gradcam_jax.images import read_photo, sample_photo
from gradcam_jax.pictures import View, heatmap_of, save_photo_pictures
from gradcam_jax.tasks.rows import Description
from gradcam_jax.tasks.task import ExplainedPhoto, Task, explain_photo

_PREFIXES = {"classification": "classify", "vqa": "vqa", "captioning": "caption"}


def explain_one(options: Options, say: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Explains one photo, writes the pictures and numbers, and returns the files written.

    Raises:
        InputError: If something that was asked for cannot be had; nothing is left half-written.
    """
    options.check()
    photo = read_photo(options.input_image_path) if options.input_image_path else sample_photo()
    task = make_task(options)
    arrays = task.encode({})  # what is wrong with the request is said before anything is computed
    image = jax.ShapeDtypeStruct((task.size, task.size, 3), np.float32)
    inputs = (arrays[name] for name in task.plan.inputs)
    task = task._replace(forward=with_precision(task.forward, options.dtype, image, *inputs))
    folder = output.make_folder(options.out_path)
    explained = _explained(task, photo, options.computation.methods)
    description = _named(explained.description, options.output_image_name)

    size = (task.size, task.size)
    source = options.input_image_path or "sample photo"
    say(f"{source} through {task.loaded.name} ({task.layer}, {task.size}x{task.size})")
    for line in (*task.loaded.notes, *description.lines):
        say(line)
    view = View(photo, explained.box, size, map_label(options), style_of(options, task))
    files = save_photo_pictures(folder, _PREFIXES[task.name], description, view, in_color=options.save_as_heatmap)
    files += [
        output.save_arrays(folder / "explanation.npz", **_arrays(description, size)),
    ]
    # A folder of photos may be the output's: what was written is no photo of a later run's.
    names = [file.name for file in files]
    record = _record(task, options, description) | {"files": [*names, "explanation.json"]}
    files.append(output.save_record(folder / "explanation.json", record))
    say(f"wrote {len(files)} files to {folder}")
    return files


def _explained(task: Task, photo: np.ndarray, methods: tuple[str, ...]) -> ExplainedPhoto:
    try:
        return explain_photo(task, photo, methods=methods, compiler_options=options_for_one_call())
    except jax.errors.JaxRuntimeError as error:
        if "No such compile option" not in str(error):
            raise
        return explain_photo(task, photo, methods=methods)  # Another version of XLA may lack the options.


def _named(description: Description, name: str) -> Description:
    """Lets file names carry a name that the user chose; several targets are told apart by their own."""
    if not name:
        return description
    several = len(description.rows) > 1
    rows = [row._replace(file_name=f"{name}_{row.file_name}" if several else name) for row in description.rows]
    return description._replace(rows=rows)


def _arrays(description: Description, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Returns what was computed, a row a target."""
    rows, words = description.rows, description.words
    arrays: dict[str, Any] = {
        "cam": [row.cam for row in rows],
        "heatmap": [heatmap_of(row.cam, size) for row in rows],
    }
    for name in ("guided_backprop", "guided_grad_cam"):
        if getattr(rows[0], name) is not None:
            arrays[name] = [getattr(row, name) for row in rows]
    arrays |= {name: [row.maps[name] for row in rows] for name in rows[0].maps}
    if rows[0].tokens:
        arrays["word_importances"] = [[importance for _, importance in row.tokens] for row in rows]
    if words:
        arrays["word_cams"] = [word.cam for word in words]
        arrays |= {f"word_{name}": [word.maps[name] for word in words] for name in words[0].maps}
        arrays["phrase_cams"] = np.reshape([part.cam for part in description.phrases], (-1, *rows[0].cam.shape))
    return {name: np.asarray(values, np.float32) for name, values in arrays.items()}


def _record(task: Task, options: Options, description: Description) -> dict[str, Any]:
    return {
        "task": task.name,
        "model": task.loaded.name,
        **({"checkpoint": task.loaded.source} if task.loaded.source else {}),
        "layer": task.layer,
        "input_size": task.size,
        "recipe": task.plan.preprocessing.name,
        "method": "counterfactual_grad_cam" if options.counterfactual else "grad_cam",
        **({"temperature": task.settings["temperature"]} if "temperature" in task.settings else {}),
        "dtype": options.dtype,
        "device": jax.local_devices()[0].device_kind,
        **description.fields,
    }
