"""optax raises a Python float to an integer count, which strict promotion refuses: it is on in all other tests."""

import jax
import pytest


@pytest.fixture(autouse=True)
def standard_promotion():
    with jax.numpy_dtype_promotion("standard"):
        yield
