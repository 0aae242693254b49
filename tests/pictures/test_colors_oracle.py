"""Colour maps beside matplotlib's."""

import numpy as np
import pytest

from gradcam_jax.pictures.colors import COLORS, color_values

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("name", [name for name in COLORS if name not in ("original", "red")])
def test_colours_are_matplotlibs(name):
    colormaps = pytest.importorskip("matplotlib", reason="needs matplotlib").colormaps
    values = np.linspace(0, 1, 256)
    expected = colormaps[name](values)[:, :3]
    # Lines between 17 colours: off by at most 11 of 255 somewhere, by 2 on average.
    difference = 255 * np.abs(color_values(values[None], name)[0] - expected)
    assert difference.max() < 11
    assert difference.mean() < 2
