"""Checks the layer names asked for, and says which were probably meant."""

from collections.abc import Sequence

from gradcam_jax.errors import LayerError, nearest


def require_layers(layers: Sequence[str], known: Sequence[str]) -> None:
    """Raises :class:`LayerError` for the first name asked for that the model's forward pass never reached."""
    for layer in layers:
        if layer not in known:
            near = nearest(layer, known) or list(known)[-5:]
            raise LayerError(
                f"The forward pass reaches no layer {layer!r}. Nearest: {', '.join(near)}. "
                f"All {len(known)}: layer_shapes(...), or --list_layers on the command line. "
                "(A layer inside cond or while_loop cannot be reached by name.)"
            )


def as_names(layers: str | Sequence[str]) -> tuple[str, ...]:
    """Returns one name or several as a tuple, without repeats."""
    return (layers,) if isinstance(layers, str) else tuple(dict.fromkeys(layers))
