"""The five experiments, each a file, and the presets of each: configurations of the training program."""

from collections.abc import Mapping

from gradcam_jax.errors import lookup
from gradcam_jax.experiments.training.configs import (
    captioner_finetuning,
    captioner_lite0,
    vqa_easy,
    vqa_lite0,
    vqa_official,
)
from gradcam_jax.experiments.training.program import Configuration

EXPERIMENTS: Mapping[str, Mapping[str, Configuration]] = {
    "vqa": vqa_lite0.PRESETS,
    "easy_vqa": vqa_easy.PRESETS,
    "official_vqa": vqa_official.PRESETS,
    "captioning": {**captioner_lite0.PRESETS, **captioner_finetuning.PRESETS},
}
"""What is trained -> preset -> configuration; the first preset is the default."""


def find_configuration(experiment: str, preset: str = "") -> Configuration:
    """Returns an experiment's configuration.

    Args:
        experiment: A name of :data:`EXPERIMENTS`.
        preset: The name of one of its presets; empty: the first.

    Raises:
        InputError: If there is no such preset; the nearest are listed.
    """
    presets = lookup(EXPERIMENTS, experiment, "experiment")
    return lookup(presets, preset or next(iter(presets)), "preset")
