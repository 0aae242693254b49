"""A model's layers that can be mapped, by name or by number."""

import jax
import jax.numpy as jnp

from gradcam_jax.attribution.layouts import Layout, channels_last
from gradcam_jax.errors import InputError, nearest
from gradcam_jax.interception.names import require_layers
from gradcam_jax.interception.tapped import layer_shapes
from gradcam_jax.zoo.entries import Entry
from gradcam_jax.zoo.loaded import Loaded, example_inputs


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


def find_layout(loaded: Loaded, layer: str, size: int | None = None) -> Layout:
    """Returns how a layer's axes are arranged that can be mapped.

    Args:
        loaded: The model.
        layer: The layer's name, as :func:`find_layer` returns it.
        size: Side of the image, in pixels; None: the entry's.
    """
    entry = loaded.entry
    if layer == entry.layer or entry.layout is channels_last:
        return entry.layout
    return channels_last if len(_shapes(loaded, size)[layer]) == 3 else entry.layout


def map_shape(entry: Entry, shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """Returns the rows, columns and channels of a layer of this shape, or None if it has no spatial extent.

    Args:
        entry: The model's.
        shape: What the layer returns for one example.

    Example:
        >>> from gradcam_jax.zoo import find
        >>> map_shape(find("vgg16"), (14, 14, 512)), map_shape(find("vgg16"), (4096,))
        ((14, 14, 512), None)
        >>> map_shape(find("vit_b_16_torchvision"), (197, 768))
        (14, 14, 768)
    """
    if len(shape) != 3:
        try:
            shape = jax.eval_shape(entry.layout, jax.ShapeDtypeStruct(shape, jnp.float32)).shape
        except ValueError:  # other than one token for each position and those before them
            return None
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else None


def _shapes(loaded: Loaded, size: int | None) -> dict[str, tuple[int, ...]]:
    variables = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), loaded.variables)
    shapes = layer_shapes(loaded._replace(variables=variables).tapped(), *example_inputs(loaded.entry, size))
    return {name: leaf.shape for name, leaf in shapes.items()}


def _spatial(loaded: Loaded, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, int, int]]:
    prefix = _prefix(loaded)
    mapped = {name: map_shape(loaded.entry, shape) for name, shape in shapes.items() if name.startswith(prefix)}
    return {name: shape for name, shape in mapped.items() if shape is not None}


def _prefix(loaded: Loaded) -> str:
    return "" if loaded.entry.task == "classification" else "cnn/"
