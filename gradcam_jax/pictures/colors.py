"""Colour maps by name, and the papers that panels are drawn on.

A colour map takes values in [0, 1] to RGB. The original program's is the default; the others are matplotlib's,
which grow in brightness evenly (viridis, inferno, magma, cividis: these can be read in grey, too) or go through
the rainbow (turbo).
"""

from typing import NamedTuple

import numpy as np

from gradcam_jax.errors import lookup

Color = tuple[int, int, int]

ORIGINAL = "original"

# From 0 to 1, with lines between them; off matplotlib's 256 colours by at most 11 of 255.
_ANCHORS = {
    "viridis": "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21908c 1f9f88 27ad81 3ebc74 5cc863 82d34d "
    "aadc32 d5e21a fde725",
    "inferno": "000004 0b0724 210c4a 3d0965 56106e 70196e 89226a a32c61 bb3654 d14545 e35932 f1721e f98c0a fcaa0f "
    "f9c932 f2e865 fcffa4",
    "magma": "000004 0a0822 1d1147 36106b 50127c 691c81 822681 9c2e7f b6367a cf4070 e65164 f46a5c fb8861 fea571 "
    "fec287 fde0a1 fcfdbf",
    "cividis": "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7c7c78 8b8778 9a9376 aaa073 bbad6d ccba64 "
    "ddc858 efd748 fee838",
    "turbo": "30123b 4040a2 466be3 4293ff 28bbec 18dcc3 31f299 6bfe64 a2fc3c cced34 edd03a fdad35 fb8022 ec520f "
    "d23105 ac1701 7a0403",
    "red": "ff0000 ff0000",
}
COLORS = (ORIGINAL, *_ANCHORS)
"""Names of the colour maps. ``red`` is one colour: the map is seen by its opacity alone."""


def color_values(values: np.ndarray, colors: str = ORIGINAL) -> np.ndarray:
    """Colours values by a colour map.

    Args:
        values: ``(h, w)`` in [0, 1].
        colors: Of :data:`COLORS`.

    Returns:
        Float32 RGB in [0, 1], ``(h, w, 3)``.

    Raises:
        InputError: If there is no such colour map.

    Example:
        >>> (color_values(np.array([[0.0, 1.0]]), "viridis") * 255).round().astype(int).tolist()
        [[[68, 1, 84], [253, 231, 37]]]
    """
    v = np.asarray(values, np.float32)
    if colors == ORIGINAL:  # exactly, as the original computes it
        v = v * 4
        return np.clip(np.stack([v - 2, np.minimum(v, 4 - v), 2 - v], axis=-1), 0, 1)
    anchors = np.array([list(bytes.fromhex(one)) for one in lookup(_ANCHORS, colors, "colour map").split()]) / 255
    places = np.linspace(0, 1, len(anchors))
    channels = [np.interp(v, places, anchors[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


class Paper(NamedTuple):
    """What panels are drawn on.

    Attributes:
        ground: Its colour.
        ink: Of titles.
        faint: Of captions.
        warning: Of what must not be overlooked.
    """

    ground: Color
    ink: Color
    faint: Color
    warning: Color


PAPERS = {
    "white": Paper((255, 255, 255), (24, 24, 27), (113, 113, 122), (185, 28, 28)),
    "black": Paper((0, 0, 0), (244, 244, 245), (161, 161, 170), (252, 165, 165)),
}
"""Papers by name."""

WHITE = PAPERS["white"]
