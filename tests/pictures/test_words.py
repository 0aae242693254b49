"""Words in colours, as tiles and as an animation."""

import numpy as np
import pytest

from gradcam_jax.pictures.sheet import drawn
from gradcam_jax.pictures.words import WordMap, sentence, word_color, word_frames, word_strips

PHOTO = np.full((60, 90, 3), 120, np.uint8)
BOX = (0.0, 0.0, 90.0, 60.0)


def word_map(word, log_prob=-1.0, highest=1.0):
    heatmap = np.zeros((4, 4), np.float32)
    heatmap[1, 1] = highest
    return WordMap(word, log_prob, heatmap)


@pytest.mark.parametrize(
    ("importance", "color"),
    [(1.0, (239, 68, 68)), (-1.0, (59, 130, 246)), (0.0, (255, 255, 255)), (0.5, (247, 162, 162))],
)
def test_words_are_red_for_and_blue_against(importance, color):
    assert word_color(importance) == color


def test_a_sentences_grounds_are_shares_of_the_largest_importance():
    picture = drawn(sentence(["what", "animal"], [-4.0, 2.0]))
    assert tuple(picture[16, 15]) == word_color(-1.0)
    grounds = {tuple(pixel) for pixel in picture[16].tolist()}
    assert word_color(0.5) in grounds
    assert word_color(1.0) not in grounds


def test_a_sentence_without_importances_is_white():
    picture = drawn(sentence(["what", "?"], [0.0, 0.0]))
    assert (picture[15, :] == 255).all()


def test_a_legend_stands_below_the_sentence():
    words, importances = ["a"], [1.0]
    captions = ("", "red words speak for it")
    plain, told = (drawn(sentence(words, importances, caption=caption)) for caption in captions)
    assert told.shape[0] == plain.shape[0] + 26
    assert told.shape[1] > plain.shape[1]
    assert (told[-20:] < 255).any()


@pytest.mark.parametrize(
    ("probability", "shown"), [(0.994, "99%"), (0.1, "10%"), (0.043, "4%"), (0.002, "0.2%"), (1e-4, "0.01%")]
)
def test_a_small_probability_is_not_shown_as_none(probability, shown):
    (strip,) = word_strips(PHOTO, [word_map("coffee", np.log(probability), 1.0)], BOX)
    assert strip.tiles[0][0] == f"coffee  ({shown}, strength 1.00)"


def test_word_tiles_tell_probability_and_strength():
    words = [word_map("a", np.log(0.5), 1.0), word_map("dog", np.log(0.25), 4.0), word_map("and", -1.0, 0.0)]
    (strip,) = word_strips(PHOTO, words, BOX)
    assert strip.title.startswith("Word by word (")
    assert [caption for caption, _ in strip.tiles] == [
        "a  (50%, strength 0.25)",
        "dog  (25%, strength 1.00)",
        "and  (37%, nothing speaks for it)",
    ]
    np.testing.assert_array_equal(strip.tiles[2][1], PHOTO)
    changed = [np.abs(picture.astype(int) - PHOTO).mean() for _, picture in strip.tiles]
    assert 0 < changed[0] < changed[1] / 2  # shaded by their strength
    assert (strip.tiles[0][1] != PHOTO).any()


def test_word_tiles_stand_four_a_strip():
    strips = word_strips(PHOTO, [word_map(str(number)) for number in range(9)], BOX)
    assert [len(strip.tiles) for strip in strips] == [4, 4, 1]
    assert [bool(strip.title) for strip in strips] == [True, False, False]
    assert word_strips(PHOTO, [], BOX) == []


def test_frames_mark_one_word_after_the_other():
    words = [word_map("dog", highest=0.0), word_map("cat", highest=0.0)]
    whole, dog, cat = word_frames(PHOTO, words, np.zeros((4, 4)), BOX)
    assert whole.shape == dog.shape == cat.shape == (133 + 40, 200, 3)  # a photo of 90 pixels is enlarged
    text = slice(133, None)

    def marked(frame):
        return (frame[text, :, 0].astype(int) - frame[text, :, 1] > 80).nonzero()[1]

    middle = 10 + 40
    assert marked(dog).max() < middle < marked(cat).min()
    assert marked(whole).min() == marked(dog).min()
    assert marked(whole).max() == marked(cat).max()


def test_frames_break_long_captions_into_lines():
    words = [word_map("refrigerator")] * 12
    frames = word_frames(PHOTO, words, np.ones((4, 4)), BOX)
    assert len(frames) == 13
    assert len({frame.shape for frame in frames}) == 1
    assert frames[0].shape[0] > 133 + 40


def test_a_tiny_photo_is_enlarged_to_be_seen():
    photo = np.zeros((30, 40, 3), np.uint8)
    photo[:, 20:] = 255
    frame, _ = word_frames(photo, [word_map("dog", highest=0.0)], np.zeros((4, 4)), (0, 0, 40, 30))
    assert frame.shape == (150 + 40, 200, 3)
    assert (frame[:150, :80] == 0).all()
    assert (frame[:150, 120:] == 255).all()


def test_frames_shrink_large_photos():
    frame, _ = word_frames(np.zeros((1000, 2000, 3), np.uint8), [word_map("dog")], np.ones((4, 4)), (0, 0, 9, 9))
    assert frame.shape[:2] == (240 + 40, 480)
