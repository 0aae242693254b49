"""Lists a model's layers, with the numbers by which they may be named, and the one that is mapped by default."""

from collections.abc import Callable

from gradcam_jax.app.options import Options, load_model
from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.interception.linen import tapped
from gradcam_jax.interception.tapped import layer_shapes
from gradcam_jax.zoo import DEFAULTS, MODELS, example_inputs, find, map_shape


def list_layers(options: Options, say: Callable[[str], None]) -> None:
    """Says which layers a model has, in the order of their calls: name, shape, and number where it can be mapped.

    The layer that is mapped unless another is named is marked.

    A classifier's weights need not be here.

    Raises:
        InputError: If there is no such model, or a flag has no meaning for the task.
    """
    options.check()
    name = options.model or DEFAULTS[options.task]
    if options.task == "classification" and name in MODELS and not options.checkpoint:
        entry = find(name)
        model, inputs = entry.build(), example_inputs(entry, options.input_sz or None)
        forward = tapped(model, variable_shapes(model, *inputs))
    else:
        loaded = load_model(options)
        entry, forward = loaded.entry, loaded.tapped()
        inputs = example_inputs(entry, options.input_sz or None)
        for note in loaded.notes:
            say(note)
    number, shapes = 0, layer_shapes(forward, *inputs)
    width = max(28, *(len(layer) + 2 for layer in shapes))
    for layer, leaf in shapes.items():
        in_cnn = layer.startswith("cnn/") or options.task == "classification"
        mapped = in_cnn and map_shape(entry, leaf.shape) is not None
        number += mapped
        note = f"{number}{'  (default)' if layer == entry.layer else ''}" if mapped else ""
        say(f"{layer:<{width}}{'x'.join(map(str, leaf.shape)):<14}{note}".rstrip())
