"""What is said of a target, for people."""

import pytest

from gradcam_jax.tasks.rows import percent


@pytest.mark.parametrize(
    ("probability", "said"),
    [
        (1.0, "100.0%"), (0.9312, "93.1%"), (0.01, "1.0%"), (0.001, "0.1%"), (0.00099, "0.1%"), (0.00034, "0.03%"),
        (1e-6, "0.0001%"), (9e-7, "under 0.0001%"), (0.0, "under 0.0001%"),
        (float("nan"), "nan%"),
    ],
)  # fmt: skip
def test_a_probability_is_never_said_to_be_nothing(probability, said):
    assert percent(probability) == said
