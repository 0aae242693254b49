"""Checks the layer names asked for, and says which were probably meant."""

import difflib
from collections.abc import Iterable, Sequence

from gradcam_jax.errors import InputError


class LayerError(InputError):
    """A layer name is unknown, was not reached, or was reached more than once."""


def nearest(name: str, known: Iterable[str], count: int = 5) -> list[str]:
    """Returns the known names nearest to one that was mistyped, best first.

    Example:
        >>> nearest("Relu5-3", ["conv5_3", "relu5_3", "fc8"])
        ['relu5_3']
    """
    lowered = {candidate.lower(): candidate for candidate in known}
    return [lowered[match] for match in difflib.get_close_matches(name.lower(), lowered, count, 0.4)]


def require_layers(layers: Sequence[str], known: Sequence[str]) -> None:
    """Raises :class:`LayerError` for the first name asked for that the model's forward pass never reached."""
    for layer in layers:
        if layer not in known:
            near = nearest(layer, known) or list(known)[-5:]
            raise LayerError(
                f"The forward pass reaches no layer {layer!r}. Nearest: {', '.join(near)}. "
                f"All {len(known)}: layer_shapes(...), or --list_layers on the command line. "
                "(A layer inside nn.scan, nn.RNN or nn.vmap cannot be reached by name.)"
            )


def as_names(layers: str | Sequence[str]) -> tuple[str, ...]:
    """Returns one name or several as a tuple, without repeats."""
    return (layers,) if isinstance(layers, str) else tuple(dict.fromkeys(layers))
