"""Models of the zoo whose variables are shapes: everything but numbers, without their weights."""

import functools

from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.text.vocabulary import Vocabulary
from gradcam_jax.zoo import Loaded, build_model, example_inputs, find

LENGTHS = {"vqa_vgg19": (1000, 12602), "captioner_vgg16": (0, 9567)}  # answers and words of the published ones


@functools.cache
def load_shapes(name):
    entry = find(name)
    labels, words = LENGTHS.get(name, (0, 0) if entry.task == "classification" else (3, 4))
    model = build_model(entry, [""] * labels, [""] * words)
    variables = variable_shapes(model, *example_inputs(entry))
    return Loaded(entry, model, variables, Vocabulary(()), Vocabulary(()), None, {})
