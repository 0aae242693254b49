"""The one way in which tests compare arrays, and the random numbers they start from."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

SHARED_DATA = Path(
    os.environ.get("GRADCAM_JAX_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
needs_shared_data = pytest.mark.skipif(
    not SHARED_DATA.is_dir(), reason=f"needs the photos and files of {SHARED_DATA} (GRADCAM_JAX_SHARED_DATA)"
)


def relative_error(actual: Any, expected: Any) -> float:
    """Returns the largest difference, as a share of the expected array's largest magnitude."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, f"shapes {actual.shape} and {expected.shape}"
    assert np.isfinite(actual).all()
    assert expected.size
    return float(np.abs(actual - expected).max() / max(np.abs(expected).max(), 1e-30))


def assert_close(actual: Any, expected: Any, relative: float = 1e-5) -> None:
    """Asserts that two arrays agree within a share of the expected one's largest magnitude."""
    error = relative_error(actual, expected)
    assert error <= relative, f"relative error {error:.3g} > {relative:.3g}"


def kaiming_variables(shapes: Any, seed: int = 0) -> Any:
    """Draws weights at which activations keep their scale: He-normal kernels, N(0, .05) biases."""
    generator = np.random.default_rng(seed)

    def draw(leaf: Any) -> np.ndarray:
        if len(leaf.shape) == 1:
            return (0.05 * generator.standard_normal(leaf.shape)).astype(np.float32)
        fan_in = int(np.prod(leaf.shape[:-1]))
        return (generator.standard_normal(leaf.shape) * np.sqrt(2 / fan_in)).astype(np.float32)

    return jax.tree.map(draw, shapes)


@contextlib.contextmanager
def plain_convolutions() -> Iterator[None]:
    """Lets operations be counted as on GPUs and TPUs.

    On CPUs Winograd's transforms need far fewer for a photo's forward pass, so that what follows it, which needs
    no fewer, would be a larger share.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradcam_jax.models.winograd.suits_winograd", lambda *_: False)
        yield


def random_images(count: int, height: int, width: int | None = None, seed: int = 1) -> np.ndarray:
    """Draws standard normal images, ``(count, height, width, 3)`` float32."""
    shape = (count, height, width or height, 3)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
