"""The five experiments, each a file, and the presets of each: configurations of the training program."""

from collections.abc import Mapping

from gradcam_jax.errors import lookup
from gradcam_jax.experiments.training.configs import captioner_lite0, vqa_easy, vqa_lite0, vqa_official
from gradcam_jax.experiments.training.configs.captioner_finetuning import NEURALTALK2_FINETUNE
from gradcam_jax.experiments.training.program import Configuration

EXPERIMENTS: Mapping[str, Mapping[str, Configuration]] = {
    name: {configuration.preset: configuration for configuration in configurations}
    for name, configurations in {
        "vqa": (vqa_lite0.MODERN, vqa_lite0.PUBLISHED),
        "easy_vqa": (vqa_easy.MODERN,),
        "official_vqa": (vqa_official.PUBLISHED, vqa_official.MODERN),
        "captioning": (captioner_lite0.LITE0, captioner_lite0.NEURALTALK2, NEURALTALK2_FINETUNE),
    }.items()
}
"""What is trained -> preset -> configuration; the first preset is the default."""


def find_configuration(experiment: str, preset: str = "") -> Configuration:
    """Returns the named preset of an experiment, or its first."""
    presets = lookup(EXPERIMENTS, experiment, "experiment")
    return lookup(presets, preset or next(iter(presets)), "preset")
