"""A captioner's checkpoint with random weights and few words, on the real CNN: enough to run the commands."""

from pathlib import Path

import jax
import numpy as np

from gradcam_jax.models.captioner import captioner_lite0
from gradcam_jax.zoo import DEFAULTS, Card, example_inputs, find, write_checkpoint

WORDS = ("a", "dog", "and", "cat", "on", "the", "grass", "two", "UNK")


def write_small_captioner(folder: Path, *, end_bias: float = -2.0) -> Path:
    """Writes the checkpoint; a high ``end_bias`` makes it fall silent at once."""
    model = captioner_lite0(len(WORDS), embedding_size=12, hidden_size=16)
    name = DEFAULTS["captioning"]
    shapes = jax.eval_shape(model.init, jax.random.key(0), *example_inputs(find(name)))
    head = {name: leaf for name, leaf in shapes["params"].items() if name != "cnn"}
    generator = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: generator.normal(size=leaf.shape).astype(np.float16) / 2, head)
    params["decoder"]["bias"][-1] = end_bias
    card = Card(name, "efficientnet_lite", "none: random numbers", 0, words=WORDS)
    path = folder / f"{name}.safetensors"
    mean = generator.normal(size=1280).astype(np.float32)
    write_checkpoint(path, {"params": params, "statistics": {"mean_features": mean}}, card)
    return path
