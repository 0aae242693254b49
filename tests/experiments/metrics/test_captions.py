import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.metrics.captions import (
    CiderReward,
    caption_scores,
    nearest_neighbour_captions,
    perplexity,
)

REFERENCES = [["a dog runs fast on grass", "the dog runs"], ["a cat sleeps on a bed", "one cat on a bed"]]


@pytest.fixture
def scorer():
    pytest.importorskip("pycocoevalcap", reason="scoring captions needs pycocoevalcap (extra `train`)")


@pytest.mark.usefixtures("scorer")
def test_what_people_wrote_scores_highest():
    perfect = caption_scores([texts[0] for texts in REFERENCES], REFERENCES)
    swapped = caption_scores([texts[0] for texts in REFERENCES[::-1]], REFERENCES)
    assert {"bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider"} == set(perfect)
    assert perfect["bleu_4"] == perfect["rouge_l"] == 1
    assert all(swapped[name] < perfect[name] for name in perfect)
    assert swapped["cider"] == pytest.approx(0, abs=0.5)


@pytest.mark.usefixtures("scorer")
def test_bleu_counts_words_in_common():
    """One caption of four words, three of them right, and as long as the reference: BLEU-1 is 3/4."""
    assert caption_scores(["a b c x"], [["a b c d"]])["bleu_1"] == pytest.approx(0.75)


@pytest.mark.usefixtures("scorer")
def test_a_caption_too_few_is_an_error():
    with pytest.raises(InputError, match="got 1 for 2 photos"):
        caption_scores(["a"], REFERENCES)


THREE_PHOTOS = [
    ["a dog runs fast on grass", "the dog runs"],
    ["a cat sleeps on a bed", "one cat on a bed"],
    ["two people ride a bus", "people on a red bus", "a bus"],
]
SAID = ["a dog on grass", "a bus on a bed", "two people ride a bus"]


@pytest.mark.usefixtures("scorer")
def test_the_mean_of_all_photos_is_the_challenges_cider():
    scores = CiderReward(THREE_PHOTOS)(SAID, [0, 1, 2])
    assert scores.mean() == pytest.approx(caption_scores(SAID, THREE_PHOTOS)["cider"], rel=1e-6)


@pytest.mark.usefixtures("scorer")
def test_any_number_of_captions_of_any_photos_are_scored_each_by_itself():
    reward = CiderReward(THREE_PHOTOS)
    photos = [2, 0, 0, 1, 2, 2, 1]
    captions = ["a bus", "a dog", "a cat", "a cat on a bed", "people", "something unseen", "a cat"]
    scores = reward(captions, photos)
    alone = [reward([caption], [photo])[0] for caption, photo in zip(captions, photos, strict=True)]
    np.testing.assert_array_equal(scores, alone)
    assert scores.dtype == np.float32
    assert scores[1] > scores[2] == scores[5] == 0


def test_perplexity_of_a_uniform_choice_is_the_number_of_choices():
    log_probs = np.full((3, 5), -np.log(7))
    counted = np.arange(5)[np.newaxis] <= np.array([1, 4, 2])[:, np.newaxis]
    assert perplexity(log_probs, counted) == pytest.approx(7)
    log_probs[~counted] = -1000  # padding
    assert perplexity(log_probs, counted) == pytest.approx(7)


def test_the_nearest_neighbour_is_the_photo_of_the_same_direction():
    known = np.array([[1.0, 0.0], [0.0, 1.0]])
    captions = [["right", "r"], ["up", "u"]]
    assert nearest_neighbour_captions(np.array([[0.1, 5.0], [9.0, 1.0]]), known, captions) == ["up", "right"]
