"""Lists a model's layers, with the numbers by which they may be named."""

from collections.abc import Callable

from gradcam_jax.app.options import Options
from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.interception.linen import tapped
from gradcam_jax.interception.tapped import layer_shapes
from gradcam_jax.zoo import DEFAULTS, MODELS, example_inputs, find, load, map_shape


def list_layers(options: Options, say: Callable[[str], None]) -> None:
    """Says which layers a model has, in the order of their calls: name, shape, and number where it can be mapped.

    A classifier's weights need not be here.

    Raises:
        InputError: If there is no such model, or a flag has no meaning for the task.
    """
    options.check()
    name = options.model or DEFAULTS[options.task]
    if options.task == "classification" and name in MODELS:
        entry = find(name)
        model, inputs = entry.build(), example_inputs(entry, options.input_sz or None)
        variables = variable_shapes(model, *inputs)
    else:
        loaded = load(name, task=options.task)
        entry, model, variables = loaded.entry, loaded.model, loaded.variables
        inputs = example_inputs(entry, options.input_sz or None)
    number = 0
    for layer, leaf in layer_shapes(tapped(model, variables), *inputs).items():
        in_cnn = layer.startswith("cnn/") or options.task == "classification"
        mapped = in_cnn and map_shape(entry, leaf.shape) is not None
        number += mapped
        say(f"{layer:<28}{'x'.join(map(str, leaf.shape)):<14}{number if mapped else ''}".rstrip())
