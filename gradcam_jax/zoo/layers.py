"""A model's layers that can be mapped, by name or by number."""

import jax

from gradcam_jax.errors import InputError, nearest
from gradcam_jax.interception.names import require_layers
from gradcam_jax.interception.tapped import layer_shapes
from gradcam_jax.zoo.loaded import Loaded
from gradcam_jax.zoo.loading import example_inputs


def spatial_layers(loaded: Loaded, size: int | None = None) -> dict[str, tuple[int, int, int]]:
    """Lists the layers that can be mapped, in the order of their calls, with their shapes ``(h, w, k)``.

    Args:
        loaded: The model; of one that has a CNN, the CNN's layers are listed.
        size: Side of the image, in pixels; None: the entry's.
    """
    return _spatial(loaded, _shapes(loaded, size))


def find_layer(loaded: Loaded, name: str, size: int | None = None) -> str:
    """Returns a layer that can be mapped, by its name or by its 1-based number as in the original program.

    Args:
        loaded: The model.
        name: ``"relu5_3"``, of a model that has a CNN also ``"cnn/relu5_3"``; or ``"30"``, the 30th of
            :func:`spatial_layers`, which is ``relu5_3`` in VGG-16. Empty: the model's own.
        size: Side of the image, in pixels; None: the entry's.

    Raises:
        LayerError: If there is no such layer; the nearest are listed.
        InputError: If the layer has no spatial extent, or there is no layer of that number.
    """
    if not name and size in (None, loaded.entry.size):
        return loaded.entry.layer  # known without tracing the model
    shapes = _shapes(loaded, size)
    spatial = list(_spatial(loaded, shapes))
    name = name or loaded.entry.layer
    if name.isdigit():
        if not 1 <= int(name) <= len(spatial):
            raise InputError(f"Expected a layer number from 1 to {len(spatial)}, got {name} instead.")
        return spatial[int(name) - 1]
    in_cnn = _prefix(loaded) + name
    layer = name if name in shapes and in_cnn not in shapes else in_cnn
    require_layers([layer], list(shapes))
    if layer not in spatial:
        near = nearest(layer, spatial, 3) or spatial[-3:]
        raise InputError(
            f"Layer {layer!r} has no spatial extent (its shape is {shapes[layer]}), so it has no map. "
            f"The last layers that have one: {', '.join(dict.fromkeys([*near, *spatial[-2:]]))}."
        )
    return layer


def _shapes(loaded: Loaded, size: int | None) -> dict[str, tuple[int, ...]]:
    variables = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), loaded.variables)
    shapes = layer_shapes(loaded._replace(variables=variables).tapped(), *example_inputs(loaded.entry, size))
    return {name: leaf.shape for name, leaf in shapes.items()}


def _spatial(loaded: Loaded, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, int, int]]:
    prefix = _prefix(loaded)
    return {name: (s[0], s[1], s[2]) for name, s in shapes.items() if len(s) == 3 and name.startswith(prefix)}


def _prefix(loaded: Loaded) -> str:
    return "" if loaded.entry.task == "classification" else "cnn/"
