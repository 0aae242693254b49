"""A set that only grows, against Python's."""

import random

import pytest

from gradcam_jax.pipeline.seen import Seen


@pytest.mark.parametrize("recent", [1, 3, 64])
def test_it_is_a_set(recent):
    draw, known, seen = random.Random(0), set(), Seen(recent)
    for _ in range(3000):
        number = draw.choice((draw.randrange(2**64), draw.randrange(50), 2**64 - 1))
        assert seen.add(number) == (number not in known)
        known.add(number)


def test_it_takes_eight_bytes_each():
    seen = Seen(256)
    for number in range(10_000):
        seen.add(number * 7919)
    assert sum(array.nbytes for array in seen._arrays) <= 80_000
    assert len(seen._arrays) < 10
