"""Explains a photo's classes: the original program's ``classification.lua``, and more pictures."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.app import output
from gradcam_jax.engine.explanation import Explanation
from gradcam_jax.errors import InputError
from gradcam_jax.images import preprocessing
from gradcam_jax.images.photos import read_photo
from gradcam_jax.images.sample import sample_photo
from gradcam_jax.pictures import rendering
from gradcam_jax.tasks.classification import explain_classes
from gradcam_jax.text.ilsvrc import ImageNetClass, find_class, imagenet_classes
from gradcam_jax.zoo import classifiers as zoo

_SAMPLE_LABELS = "Egyptian cat, espresso"
_SHOWN_PREDICTIONS = 5


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        input_image_path: A photo, or empty for the sample photo.
        model: A name in the zoo.
        label: Comma-separated labels (1-based numbers, names or WordNet ids); "-1" is the predicted class;
            empty is -1, or the sample photo's two classes.
        top_k: With label -1, how many of the highest predictions to explain.
        layer_name: The layer to map, or empty for the model's own.
        input_sz: Side of the network's image, in pixels, or 0 for the recipe's.
        recipe: A preprocessing recipe, or empty for the model's own.
        out_path: The output folder.
        output_image_name: What file names carry instead of the label, or empty.
        save_as_heatmap: Whether the map is saved in colour (else in grey).
    """

    input_image_path: str = ""
    model: str = zoo.DEFAULT["classification"]
    label: str = ""
    top_k: int = 1
    layer_name: str = ""
    input_sz: int = 0
    recipe: str = ""
    out_path: str = "output"
    output_image_name: str = ""
    save_as_heatmap: bool = True


class Prediction(NamedTuple):
    """One of the model's answers."""

    class_: ImageNetClass
    probability: float


def run(options: Options, say: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Explains one photo and writes the pictures and numbers.

    Args:
        options: What the user asked for.
        say: Takes each line of the report.

    Returns:
        The files written.

    Raises:
        InputError: If something asked for cannot be had; nothing is left half-written.
    """
    entry = zoo.find_entry(options.model)
    wanted = parse_labels(options.label or ("-1" if options.input_image_path else _SAMPLE_LABELS))
    recipe = find_recipe(options.recipe) if options.recipe else entry.recipe
    folder = output.make_folder(options.out_path)
    photo = read_photo(options.input_image_path) if options.input_image_path else sample_photo()
    size = input_size(options.input_sz, recipe)
    model, variables = entry.build(), zoo.load_variables(entry)
    layer = zoo.find_layer(entry, model, variables, options.layer_name or entry.layer, size)

    resized = recipe.resize(photo, size)
    image = preprocessing.to_network(resized.image, recipe)
    count = _count_of_predicted(wanted, options.top_k)
    given = jnp.array([target.index for target in wanted if target is not None], jnp.int32)
    explain = jax.jit(functools.partial(_explain_given_and_predicted, model, layer, count))
    explained, targets = _without_repeats(*jax.device_get(explain(variables, image, given)))
    explanation = explained._replace(
        guided_backprop=preprocessing.to_rgb(explained.guided_backprop, recipe),
        guided_grad_cam=preprocessing.to_rgb(explained.guided_grad_cam, recipe),
    )

    say(f"{options.input_image_path or 'sample photo'} through {entry.name} ({layer}, {size}x{size})")
    predictions = _predictions(explanation.outputs)
    say("predictions:")
    for class_, probability in predictions[:_SHOWN_PREDICTIONS]:
        say(f"  {probability:6.1%}  {class_.name}  (label {class_.label}, {class_.wnid})")
    say("explained:")
    for target, score, cam in zip(targets, explanation.scores, explanation.cam, strict=True):
        nothing = "" if cam.max() > 0 else "  - no position speaks for it: its map is blank"
        say(f"  {target.name}  label {target.label}, index {target.index}, score {score:.4f}{nothing}")
    files = _save_pictures(folder, options, photo, resized.box, targets, predictions, explanation)
    files += _save_numbers(folder, entry.name, layer, size, recipe, targets, predictions, explanation)
    say(f"wrote {len(files)} files to {folder}")
    return files


def parse_labels(text: str) -> list[ImageNetClass | None]:
    """Reads a comma-separated list of labels; None stands for -1, the predicted class.

    Example:
        >>> [target and target.name for target in parse_labels("243, tiger cat, -1")]
        ['boxer', 'tiger cat', None]
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise InputError("Expected a label, a comma-separated list of labels, or -1 for the predicted class.")
    return [None if part == "-1" else find_class(part) for part in parts]


def find_recipe(name: str) -> preprocessing.Preprocessing:
    """Returns a preprocessing recipe by name."""
    if name not in preprocessing.PREPROCESSINGS:
        raise InputError(f"There is no recipe {name!r}. There are: {', '.join(preprocessing.PREPROCESSINGS)}.")
    return preprocessing.PREPROCESSINGS[name]


def input_size(asked: int, recipe: preprocessing.Preprocessing) -> int:
    """Returns the side of the network's image: the one asked for, or the recipe's."""
    if asked == 0:
        return recipe.size
    if not 32 <= asked <= 4096:
        raise InputError(f"Expected --input_sz from 32 to 4096 pixels, got {asked} instead.")
    return asked


def _count_of_predicted(wanted: Sequence[ImageNetClass | None], top_k: int) -> int:
    if not 1 <= top_k <= len(imagenet_classes()):
        raise InputError(f"Expected --top_k from 1 to {len(imagenet_classes())}, got {top_k} instead.")
    if top_k > 1 and None not in wanted:
        raise InputError(
            f"--top_k {top_k} needs -1 among the labels, got {[c.name for c in wanted if c]} instead."
        )
    return top_k if None in wanted else 0


def _explain_given_and_predicted(
    model: Any, layer: str, count: int, variables: Any, image: jax.Array, given: jax.Array
) -> tuple[Explanation, jax.Array]:
    """Explains the classes given and the ``count`` highest predictions, in one compiled program."""
    highest = jax.lax.top_k(model.apply(variables, image), count)[1]  # merged with the forward pass below
    indices = jnp.concatenate([given, highest])
    return explain_classes(model, variables, layer, image, indices), indices


def _without_repeats(explanation: Explanation, indices: np.ndarray) -> tuple[Explanation, list[ImageNetClass]]:
    """Drops targets that were asked for twice, as by their name and as the prediction."""
    first = np.sort(np.unique(indices, return_index=True)[1])
    outputs, *by_target = explanation
    kept = Explanation(outputs, *(values[first] for values in by_target))
    return kept, [imagenet_classes()[index] for index in indices[first]]


def _predictions(logits: np.ndarray) -> list[Prediction]:
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    classes = imagenet_classes()
    return [Prediction(classes[i], float(probabilities[i])) for i in np.argsort(-logits, kind="stable")]


def _save_pictures(
    folder: Path,
    options: Options,
    photo: np.ndarray,
    box: tuple[float, float, float, float],
    targets: Sequence[ImageNetClass],
    predictions: Sequence[Prediction],
    explanation: Explanation,
) -> list[Path]:
    files, rows = [], []
    shape = (max(round(box[3] - box[1]), 1), max(round(box[2] - box[0]), 1))
    heading = "Why " + " and why ".join(target.name for target in targets) + "?"
    for index, target in enumerate(targets):
        name = _file_label(options.output_image_name, target, len(targets))
        heatmap = np.asarray(explanation.heatmap[index])
        pixels = np.asarray(explanation.guided_backprop[index])
        fine = np.asarray(explanation.guided_grad_cam[index])
        laid = rendering.overlay(photo, heatmap, box)
        if options.save_as_heatmap:
            files += [output.save_picture(rendering.heat_map(heatmap), folder / f"classify_gcam_hm_{name}.png")]
        else:
            files += [output.save_picture(rendering.grey_map(heatmap), folder / f"classify_gcam_{name}.png")]
        files += [
            output.save_picture(rendering.gradient_picture(pixels), folder / f"classify_gb_{name}.png"),
            output.save_picture(rendering.gradient_picture(fine), folder / f"classify_gb_gcam_{name}.png"),
            output.save_picture(laid, folder / f"classify_overlay_{name}.png"),
        ]
        rows.append(
            rendering.Row(
                _title(target, float(explanation.scores[index]), predictions, heatmap),
                [
                    ("photo", photo),
                    ("Grad-CAM", laid),
                    ("guided backprop", rendering.stretch_to(rendering.centred_gradient_picture(pixels), shape)),
                    ("Guided Grad-CAM", rendering.stretch_to(rendering.centred_gradient_picture(fine), shape)),
                ],
            )
        )
        one = rendering.panel(rows[-1:], heading=f"Why {target.name}?")
        files.append(output.save_picture(one, folder / f"classify_panel_{name}.png"))
    if len(targets) > 1:
        files.append(output.save_picture(rendering.panel(rows, heading=heading), folder / "classify_panel.png"))
    return files


def _save_numbers(
    folder: Path,
    model: str,
    layer: str,
    size: int,
    recipe: preprocessing.Preprocessing,
    targets: Sequence[ImageNetClass],
    predictions: Sequence[Prediction],
    explanation: Explanation,
) -> list[Path]:
    arrays = explanation._asdict()
    kept = {name: arrays[name] for name in ("cam", "heatmap", "guided_backprop", "guided_grad_cam")}
    record: dict[str, Any] = {
        "task": "classification",
        "model": model,
        "layer": layer,
        "input_size": size,
        "recipe": recipe.name,
        "targets": [
            {
                "label": target.label,
                "class_index": target.index,
                "name": target.name,
                "wnid": target.wnid,
                "score": float(score),
                "all_negative": bool(cam.max() <= 0),
            }
            for target, score, cam in zip(targets, explanation.scores, explanation.cam, strict=True)
        ],
        "predictions": [
            {"class_index": class_.index, "name": class_.name, "probability": probability}
            for class_, probability in predictions[:_SHOWN_PREDICTIONS]
        ],
    }
    return [
        output.save_arrays(folder / "explanation.npz", **kept),
        output.save_record(folder / "explanation.json", record),
    ]


def _file_label(name: str, target: ImageNetClass, count: int) -> str:
    if not name:
        return str(target.label)
    return output.safe_name(name if count == 1 else f"{name}_{target.label}")


def _title(target: ImageNetClass, score: float, predictions: Sequence[Prediction], heatmap: np.ndarray) -> str:
    rank = next(index for index, (class_, _) in enumerate(predictions) if class_ == target)
    title = f"{target.name}: logit {score:.2f}, probability {predictions[rank].probability:.1%} (rank {rank + 1})"
    return title if heatmap.max() > 0 else f"{title} - no position speaks for it"
