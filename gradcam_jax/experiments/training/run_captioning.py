"""Trains the bundled captioner and writes its checkpoint with a card that says how good it is."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gradcam_jax.app import output
from gradcam_jax.errors import InputError, nearest
from gradcam_jax.experiments.training.caption_run import LITE0, PRESETS, Preset, Trained, train_captioner
from gradcam_jax.zoo import captioners
from gradcam_jax.zoo.checkpoint import Card, count_parameters, write_checkpoint

_LICENCE = (
    "BSD-3-Clause as far as the weights are this project's; trained on photos and captions under their own terms "
    "(Flickr8k: research use; COCO: Creative Commons, by photo; ImageNet samples: research use)"
)


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        data: The folder with captioned photos, or a TensorFlow dataset such as ``tfds:coco_captions/2014``.
        preset: Name of the sizes and settings.
        steps: Steps of the run, or 0 for the preset's.
        seed: Of everything drawn by chance.
        work: Where features, snapshots and the history go; a second run there goes on where the first stopped.
        checkpoint: The file to write.
    """

    data: str
    preset: str = LITE0.name
    steps: int = 0
    seed: int = 123
    work: str = "output/captioner"
    checkpoint: str = f"checkpoints/{captioners.DEFAULT}.safetensors"


def run(options: Options, say: Callable[[str], None] = lambda _: None) -> Path:
    """Trains a captioner and writes its checkpoint.

    Args:
        options: What the user asked for.
        say: Takes each line of the report.

    Returns:
        The checkpoint.

    Raises:
        InputError: If the data or the preset is not there, or the working folder holds another run.
    """
    preset = _preset(options)
    work = output.make_folder(options.work)

    def report(step: int, numbers: Mapping[str, float]) -> None:
        say(f"step {step}: " + ", ".join(f"{name} {value:.4f}" for name, value in numbers.items()))

    def progress(name: str, done: int, count: int) -> None:
        if done == count or done % 1600 == 0:
            say(f"features of {name}: {done} of {count} pictures")

    trained = train_captioner(options.data, work, preset, seed=options.seed, report=report, progress=progress)
    path = Path(options.checkpoint)
    write_checkpoint(path, checkpoint_arrays(trained), card_of(trained, preset, options.seed))
    say(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return path


def checkpoint_arrays(trained: Trained) -> dict[str, Any]:
    """Returns what a checkpoint holds: the head in float16, and the mean of the features."""
    head = _in_half(trained.params)
    first, second = captioners.MEAN_FEATURES.split("/")
    return {"params": head, first: {second: trained.mean_features.astype(np.float32)}}


def card_of(trained: Trained, preset: Preset, seed: int) -> Card:
    """Describes a trained head: data, settings, scores on the photos kept for choices, and what it cannot do."""
    scores = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in trained.validation.items())
    data = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in trained.data.items())
    notes = (
        "Head of a captioner on frozen EfficientNet-Lite0 features. "
        f"Trained on {data}; preset {preset.name}, {preset.steps} steps of {preset.batch_size} captions, "
        f"seed {seed}; the best evaluation was kept. Greedy, on photos kept apart for choices: {scores}. "
        "scripts/evaluate.py --task captioning gives the scores on the test photos. "
        "It knows dogs, people outdoors and sports best; it guesses the colours of clothes and the number of "
        "people, and takes unfamiliar scenes for familiar ones. Not for any use that matters."
    )
    return Card(
        model=captioners.DEFAULT,
        recipe=captioners.CAPTIONERS[captioners.DEFAULT].recipe.name,
        licence=_LICENCE,
        parameters=count_parameters({"params": trained.params}),
        words=trained.vocabulary.entries,
        notes=notes,
    )


def _preset(options: Options) -> Preset:
    if options.preset not in PRESETS:
        near = nearest(options.preset, PRESETS) or list(PRESETS)
        raise InputError(f"There is no preset {options.preset!r}. Nearest: {', '.join(near)}.")
    preset = PRESETS[options.preset]
    return preset._replace(steps=options.steps) if options.steps else preset


def _in_half(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _in_half(leaf) if isinstance(leaf, Mapping) else np.asarray(leaf).astype(np.float16)
        for name, leaf in tree.items()
    }
