"""Photos are kept for as long as a visit, and no longer."""

import numpy as np
import pytest

from gradcam_jax.page.visits import ForgottenError, Limits, Recent, Visits

PHOTO = np.zeros((2, 2, 3), np.uint8)


def test_photos_that_nobody_asks_about_are_forgotten():
    now = [0.0]
    visits = Visits(Limits(idle_seconds=10), lambda: now[0])
    first, second = visits.begin(PHOTO), visits.begin(PHOTO)
    now[0] = 8
    visits.get(first)
    now[0] = 15
    visits.forget_idle()
    assert len(visits._visits) == 1
    visits.get(first)
    with pytest.raises(ForgottenError, match="not kept any more"):
        visits.get(second)


def test_the_photo_asked_about_longest_ago_makes_room():
    visits = Visits(Limits(photos=2))
    first, second = visits.begin(PHOTO), visits.begin(PHOTO)
    visits.get(first)
    third = visits.begin(PHOTO)
    visits.get(first)
    visits.get(third)
    with pytest.raises(ForgottenError):
        visits.get(second)


def test_ending_a_visit_twice_is_ending_it():
    visits = Visits(Limits())
    name = visits.begin(PHOTO)
    visits.end(name)
    visits.end(name)
    assert len(visits) == 0


def test_what_was_used_longest_ago_is_made_again():
    recent = Recent(2)
    made = []
    for key in "abacab":
        recent.use(key, lambda key=key: made.append(key))
    assert made == ["a", "b", "c", "b"]
