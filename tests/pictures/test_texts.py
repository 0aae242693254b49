"""The panel and the animation of a text that any model said, from plain arrays."""

import numpy as np
import pytest

from gradcam_jax import InputError
from gradcam_jax.pictures import text_frames, text_panel
from gradcam_jax.pictures.photo import View, frames_of, panel_of
from gradcam_jax.tasks.rows import Description, Row
from tests.pictures.descriptions import BOX, PHOTO, captioning

WORDS = ["a", "red", "square"]


def maps(count=3, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 4, 4)).astype(np.float32)


@pytest.mark.parametrize("box", [None, BOX])
def test_it_draws_what_captions_have(box):
    scores, cams, whole, phrase = [-0.5, -1.0, -2.0], maps(), maps(1, 1)[0], maps(1, 2)[0]
    rows = [Row(word, word, word, score, cam) for word, score, cam in zip(WORDS, scores, cams, strict=True)]
    text = "a red square"
    description = Description(
        f"Why '{text}'?",
        text,
        [Row(text, text, text, -3.5, whole)],
        rows,
        [Row("red square", "", "", 0.0, phrase)],
    )
    view = View(PHOTO, box or (0.0, 0.0, 70.0, 40.0))
    panel = text_panel(PHOTO, WORDS, scores, cams, whole=whole, phrases={"red square": phrase}, box=box)
    np.testing.assert_array_equal(panel, panel_of(description, view))
    frames = text_frames(PHOTO, WORDS, cams, whole=whole, box=box)
    np.testing.assert_array_equal(frames, frames_of(description, view))
    assert len(frames) == 4


def test_it_draws_a_captions_rows_as_they_are():
    description = captioning(guided=False)
    words = [row.name for row in description.words]
    scores, cams = [row.score for row in description.words], np.stack([row.cam for row in description.words])
    panel = text_panel(
        PHOTO,
        words,
        scores,
        cams,
        whole=description.rows[0].cam,
        phrases={row.name: row.cam for row in description.phrases},
        box=BOX,
    )
    np.testing.assert_array_equal(panel, panel_of(description, View(PHOTO, BOX)))


def test_the_whole_texts_map_is_the_sum_unless_it_is_given():
    cams = maps()
    np.testing.assert_array_equal(
        text_panel(PHOTO, WORDS, np.zeros(3), cams), text_panel(PHOTO, WORDS, np.zeros(3), cams, whole=cams.sum(0))
    )
    assert (text_frames(PHOTO, WORDS, cams)[0] != text_frames(PHOTO, WORDS, cams, whole=-cams.sum(0))[0]).any()


def test_the_heading_may_be_given():
    own = text_panel(PHOTO, WORDS, np.zeros(3), maps(), heading="Another line")
    usual = text_panel(PHOTO, WORDS, np.zeros(3), maps())
    assert own.shape == usual.shape
    assert (own[:40] != usual[:40]).any()
    np.testing.assert_array_equal(own[50:], usual[50:])


@pytest.mark.parametrize(
    ("photo", "words", "scores", "cams", "message"),
    [
        (PHOTO / 255, WORDS, np.zeros(3), maps(), "uint8 RGB photo"),
        (PHOTO, [], np.zeros(0), maps(0), "at least one word.*got 0 words"),
        (PHOTO, WORDS, np.zeros(2), maps(), r"scores of shape \(2,\)"),
        (PHOTO, WORDS, np.zeros(3), maps(2), r"maps of shape \(2, 4, 4\)"),
        (PHOTO, WORDS, np.zeros(3), maps().reshape(3, 16), r"maps of shape \(3, 16\)"),
    ],
)
def test_what_does_not_fit_is_refused(photo, words, scores, cams, message):
    with pytest.raises(InputError, match=message):
        text_panel(photo, words, scores, cams)
