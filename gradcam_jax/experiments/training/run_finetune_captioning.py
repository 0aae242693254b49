"""Trains a captioner's CNN together with its language model and writes a checkpoint that holds both."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from gradcam_jax.app import output
from gradcam_jax.experiments.training.caption_finetuning import finetune_captioner
from gradcam_jax.experiments.training.optimizers import published_captioning_with_cnn
from gradcam_jax.zoo import captioners
from gradcam_jax.zoo.captioners import load_captioner
from gradcam_jax.zoo.checkpoint import count_parameters, write_checkpoint

PRESET = "neuraltalk2_finetune"
"""Its name on the command line."""

STEPS = 50_000
"""Steps unless another number is given."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        data: The folder with captioned photos, or a TensorFlow dataset.
        start: The captioner to go on with: a name or a checkpoint.
        steps: Steps of the run.
        seed: Of everything drawn by chance.
        every: Steps between evaluations.
        images: Photos a batch, each with five captions.
        work: Where snapshots and the history go; a second run there goes on where the first stopped.
        checkpoint: The file to write.
    """

    data: str
    start: str = captioners.DEFAULT
    steps: int = STEPS
    seed: int = 123
    every: int = 2500
    images: int = 16
    work: str = "output/captioner"
    checkpoint: str = "output/captioner_finetuned.safetensors"


def run(options: Options, say: Callable[[str], None] = lambda _: None) -> Path:
    """Trains a captioner with its CNN and writes the checkpoint.

    Args:
        options: What the user asked for.
        say: Takes each line of the report.

    Returns:
        The checkpoint.

    Raises:
        InputError: If the data or the captioner is not there, or the working folder holds another run.
    """
    captioner = load_captioner(options.start)
    work = output.make_folder(options.work)

    def report(step: int, numbers: Mapping[str, float]) -> None:
        say(f"step {step}: " + ", ".join(f"{name} {value:.4f}" for name, value in numbers.items()))

    variables, scores = finetune_captioner(
        options.data,
        work,
        captioner.model,
        captioner.variables,
        captioner.vocabulary,
        captioner.entry.recipe,
        published_captioning_with_cnn(),
        options.steps,
        seed=options.seed,
        every=options.every,
        images=options.images,
        report=report,
    )
    shown = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in scores.items())
    notes = (
        f"{captioner.name} after {options.steps} steps of {PRESET}, its CNN trained too; the best evaluation was "
        f"kept. Greedy, on photos kept apart for choices: {shown}. Before that: {captioner.card.notes}"
    )
    card = captioner.card._replace(parameters=count_parameters(variables), notes=notes)
    path = Path(options.checkpoint)
    write_checkpoint(path, variables, card)
    say(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return path
