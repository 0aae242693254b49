"""The training program: every experiment is a configuration of it.

A configuration reads its data and makes an :class:`Experiment` of them: what the loop trains, what it is measured
by, and what the checkpoint holds. The program trains it, or goes on where an interrupted run stopped, and writes
the checkpoint with a card that says what it was trained on and how good it is.
"""

import abc
import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import optax

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.reporting import Progress, Say, silent
from gradcam_jax.experiments.training.loop import Batch, Loss, Params, train
from gradcam_jax.zoo import Card, Entry, count_parameters, write_checkpoint


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked for; names and meanings are the command line's. Empty or 0: the configuration's own."""

    data: str = ""
    questions: Sequence[str] = ()
    annotations: Sequence[str] = ()
    images: Sequence[str] = ()
    val_questions: Sequence[str] = ()
    val_annotations: Sequence[str] = ()
    val_images: Sequence[str] = ()
    start: str = ""
    steps: int = 0
    epochs: int = 0
    every: int = 0
    seed: int = 123
    work: str = ""
    checkpoint: str = ""
    skip_bad: bool = False


WHOLE_PHOTOS = "whole_photos.json"
"""The file in ``work`` that remembers which photos were found whole."""


class Experiment(NamedTuple):
    """What a configuration makes of its data.

    Attributes:
        epoch: Steps of an epoch.
        optimizer: From the number of steps to an optimiser.
        card: The checkpoint's, but for the number of parameters and the notes.
        facts: What the card's notes say of the data, as plain JSON values; a run of other facts is another run.
        variables: From trained parameters to what the checkpoint holds.
        evaluate: Numbers of the parameters on data kept apart, or None without such data.
        monitor: Which of these numbers is largest for the parameters that are kept; None keeps the last ones.
    """

    params: Params
    loss: Loss
    batch_at: Callable[[int], Batch]
    epoch: int
    optimizer: Callable[[int], optax.GradientTransformation]
    card: Card
    facts: Mapping[str, Any]
    variables: Callable[[Params], Mapping[str, Any]] = lambda params: {"params": params}
    evaluate: Callable[[Params], Mapping[str, float]] | None = None
    monitor: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Configuration(abc.ABC):
    """One experiment: further fields are its settings, and :meth:`prepare` reads its data.

    Attributes:
        preset: Its name on the command line.
        work: The folder of features, snapshots and the history, unless the user names another.
        checkpoint: The file to write, unless the user names another.
        snapshots: Subfolder of ``work`` for snapshots and the history.
        steps: Steps of the run, or 0 where ``epochs`` says its length.
        every: Steps between evaluations and snapshots, or 0 for an epoch.
    """

    preset: str
    work: str
    checkpoint: str
    snapshots: str = "."
    steps: int = 0
    epochs: int = 0
    every: int = 0

    @abc.abstractmethod
    def prepare(self, options: Options, say: Say, progress: Progress) -> Experiment:
        """Reads the data and makes what is trained; ``options.work`` is a folder that exists."""

    def settings(self) -> dict[str, Any]:
        """Returns the settings that are plain values: what the card's notes call the recipe."""
        plain = {name: value for name, value in vars(self).items() if isinstance(value, (str, int, float))}
        return {name: value for name, value in plain.items() if name not in _PLACES_AND_LENGTHS}


_PLACES_AND_LENGTHS = ("work", "checkpoint", "snapshots", "steps", "epochs", "every")


def blank_card(entry: Entry, *, words: Sequence[str], labels: Sequence[str] = ()) -> Card:
    """Returns the card of a model that is to be trained, without its number of parameters and notes."""
    terms = entry.name, entry.preprocessing.name, entry.licence
    return Card(*terms, parameters=0, labels=tuple(labels), words=tuple(words))


def run(configuration: Configuration, options: Options, say: Say = silent, progress: Progress = silent) -> Path:
    """Trains a configuration's model, or goes on with the folder's run; returns the checkpoint's file."""
    started = time.monotonic()
    work = _make_folder(options.work or configuration.work)
    experiment = configuration.prepare(dataclasses.replace(options, work=str(work)), say, progress)
    steps = steps_of(configuration, options, experiment.epoch)
    settings = {**configuration.settings(), "seed": options.seed}

    def batch_at(step: int) -> Batch:
        progress("training", step, steps)
        return experiment.batch_at(step)

    state = train(
        experiment.loss,
        experiment.params,
        batch_at,
        experiment.optimizer(steps),
        steps,
        key=jax.random.key(options.seed + 1),
        evaluate=experiment.evaluate,
        monitor=experiment.monitor,
        every=options.every or configuration.every or experiment.epoch,
        folder=work / configuration.snapshots,
        settings={**settings, **experiment.facts},
        report=lambda step, numbers: say(f"step {step}: {_listed(numbers)}"),
    )
    params = jax.device_get(state.best_params)
    validation = dict(experiment.evaluate(params)) if experiment.evaluate is not None else {}
    if validation:
        say(f"validation: {_listed(validation)}")
    variables = experiment.variables(params)
    notes = {
        **experiment.facts,
        "recipe": settings,
        "steps": steps,
        "seconds": round(time.monotonic() - started),
        "validation": {name: round(score, 4) for name, score in validation.items()},
    }
    card = experiment.card._replace(parameters=count_parameters(variables), notes=json.dumps(notes))
    path = Path(options.checkpoint or configuration.checkpoint)
    write_checkpoint(path, variables, card)
    say(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return path


def steps_of(configuration: Configuration, options: Options, epoch: int) -> int:
    """Returns a run's steps, from those of an epoch."""
    if options.steps or (configuration.steps and not options.epochs):
        return options.steps or configuration.steps
    return (options.epochs or configuration.epochs) * epoch


def _listed(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {number:.4f}" for name, number in numbers.items())


def _make_folder(path: str) -> Path:
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot write to the folder {path!r}: {error.strerror}.") from error
    return folder
