"""One panel for every task: what a description holds decides what is drawn."""

import numpy as np
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.pictures import photo
from gradcam_jax.pictures.colors import PAPERS
from gradcam_jax.pictures.maps import gradient_on, heatmap_of, overlay
from gradcam_jax.pictures.panels import Strip, panel, panel_sheet, stacked, stretch_to
from gradcam_jax.pictures.photo import Style, draw_row, draw_rows, for_panels, frames_of, own_heading, panel_of
from gradcam_jax.pictures.sheet import drawn
from gradcam_jax.pictures.words import sentence
from gradcam_jax.tasks.rows import Description
from tests.pictures.descriptions import BOX, PHOTO, SIZE, TASKS, VIEW, captioning, classification, row, vqa


def strip_of(row, title=None, label="Grad-CAM"):
    """A row's strip, as the functions below it draw it."""
    gradients = {"guided backprop": row.guided_backprop, "Guided Grad-CAM": row.guided_grad_cam}
    tiles = [("photo", PHOTO), (label, overlay(PHOTO, heatmap_of(row.cam, SIZE), BOX))]
    for caption, gradient in gradients.items():
        if gradient is not None:
            tiles.append((caption, stretch_to(gradient_on(gradient), (40, 48))))
    return Strip(row.title if title is None else title, tiles)


@pytest.mark.parametrize("guided", [True, False])
def test_a_row_is_photo_map_and_the_gradients_that_were_computed(guided):
    one = row("boxer", "243", seed=1, guided=guided)
    drawn = draw_row(one, VIEW._replace(map_label="counterfactual"))
    expected = strip_of(one, label="counterfactual").tiles
    assert [caption for caption, _ in drawn.tiles] == [caption for caption, _ in expected]
    assert len(drawn.tiles) == (4 if guided else 2)
    for (_, picture), (_, wanted) in zip(drawn.tiles, expected, strict=True):
        np.testing.assert_array_equal(picture, wanted)
    np.testing.assert_array_equal(drawn.heatmap, heatmap_of(one.cam, SIZE))


def test_without_a_size_the_layers_map_is_laid_on_the_photo():
    one = row("boxer", "243", seed=1)
    drawn = draw_row(one, VIEW._replace(size=None))
    np.testing.assert_array_equal(drawn.heatmap, np.maximum(one.cam, 0))
    np.testing.assert_array_equal(drawn.overlay, overlay(PHOTO, np.maximum(one.cam, 0), BOX))


@pytest.mark.parametrize("size", [SIZE, None])
def test_a_row_that_nothing_speaks_for_leaves_the_photo_untouched(size):
    blank = row("tiger cat", "283", seed=2, positive=False)
    assert blank.all_negative
    np.testing.assert_array_equal(draw_row(blank, VIEW._replace(size=size)).overlay, PHOTO)


@pytest.mark.parametrize("guided", [True, False])
def test_classes_stand_under_each_other(guided):
    description = classification(guided=guided)
    labels = ("Grad-CAM, strength 100%", "Grad-CAM, strength 0%")
    strips = [strip_of(one, label=label) for one, label in zip(description.rows, labels, strict=True)]
    expected = panel(strips, heading="Why boxer and why tiger cat?")
    np.testing.assert_array_equal(panel_of(description, VIEW), expected)


def test_a_row_of_several_has_a_panel_of_its_own():
    description = classification()
    first = description.rows[0]
    picture = panel_of(description, VIEW, [draw_row(first, VIEW)], heading=own_heading(description, first))
    np.testing.assert_array_equal(picture, panel([strip_of(first)], heading="Why boxer?"))
    assert own_heading(description._replace(rows=[first]), first) == "Why boxer and why tiger cat?"


def test_answers_have_the_question_over_them_and_its_words_below():
    description = vqa()._replace(heading="What animal? " * 10)
    legend = "full colour: with an average word there the score -1.00 is 2 lower (red) or higher (blue)"
    below = drawn(sentence(["what", "animal", "?"], [0.5, 2.0, -0.1], caption=legend))
    expected = []
    for one, label in zip(description.rows, ("Grad-CAM, strength 100%", "Grad-CAM, strength 0%"), strict=True):
        above = panel([strip_of(one, label=label)], heading=description.heading[:100])
        expected.append(stacked([above, below]))
        own = panel_of(description, VIEW, [draw_row(one, VIEW)], heading=own_heading(description, one))
        alone = panel([strip_of(one)], heading=description.heading[:100])
        np.testing.assert_array_equal(own, stacked([alone, below]))
    np.testing.assert_array_equal(panel_of(description, VIEW), stacked(expected))


def test_a_caption_is_shown_whole_then_word_by_word_then_by_phrases(monkeypatch):
    strips = []

    def panel_and_remember(given, **options):
        strips.extend(given)
        assert (options["heading"], options["height"]) == ("Why 'a dog and a cat on couch'?", 260)
        return panel_sheet(given, **options)

    monkeypatch.setattr(photo, "panel_sheet", panel_and_remember)
    panel_of(captioning(), VIEW)
    whole, first_words, last_words, phrases = strips
    assert whole.title == "The whole caption: where the photo speaks for it"
    assert [caption for caption, _ in whole.tiles] == ["photo", "Grad-CAM", "guided backprop", "Guided Grad-CAM"]
    captions = [caption.split()[0] for strip in (first_words, last_words) for caption, _ in strip.tiles]
    assert captions == ["a", "dog", "and", "a", "cat", "on", "couch"]
    np.testing.assert_array_equal(first_words.tiles[0][1], PHOTO)  # nothing speaks for the first word
    assert (phrases.title, [caption for caption, _ in phrases.tiles]) == ("Phrases", ["a dog", "on couch"])
    expected = overlay(PHOTO, heatmap_of(captioning().phrases[1].cam, SIZE), BOX)
    np.testing.assert_array_equal(phrases.tiles[1][1], expected)


def test_a_caption_without_phrases_or_words_of_its_own():
    description = captioning()._replace(phrases=())
    assert panel_of(description, VIEW).shape[0] < panel_of(captioning(), VIEW).shape[0]
    (whole,) = description.rows
    expected = panel([strip_of(whole)], heading=description.heading)
    np.testing.assert_array_equal(panel_of(description._replace(words=()), VIEW), expected)


def with_fields(one, **fields):
    return one._replace(fields=fields)


def test_an_improbable_target_says_so():
    rows = [with_fields(one, probability=p) for one, p in zip(classification().rows, (0.4, 0.002), strict=True)]
    description = classification()._replace(rows=rows)
    likely, unlikely = (panel_of(description, VIEW, [draw_row(one, VIEW)]) for one in rows)
    red = [(one[:110, :420] == PAPERS["white"].warning).all(axis=-1).sum() for one in (likely, unlikely)]
    assert red[0] == 0 < red[1]
    assert unlikely.shape[0] > likely.shape[0]


def test_targets_share_a_scale_or_have_each_its_own():
    strong = row("boxer", "243", seed=1)
    weak = row("tabby", "282", seed=2)._replace(cam=strong.cam / 4)
    own = draw_rows([strong, weak], VIEW)
    shared = draw_rows([strong, weak], VIEW._replace(style=Style(scale="shared")))
    np.testing.assert_array_equal(own[0].overlay, own[1].overlay)
    np.testing.assert_array_equal(own[0].overlay, shared[0].overlay)
    changed = [np.abs(one.overlay.astype(int) - PHOTO).mean() for one in shared]
    assert changed[1] < changed[0] / 2
    assert [one.tiles[1][0] for one in own] == ["Grad-CAM, strength 100%", "Grad-CAM, strength 25%"]
    with pytest.raises(InputError, match="no scale 'both'"):
        draw_row(strong, VIEW._replace(style=Style(scale="both")))


@pytest.mark.parametrize("describe", TASKS.values(), ids=TASKS)
def test_a_style_changes_colours_paper_and_footer(describe):
    style = Style("viridis", "shared", "black", "vgg16, relu5_3, Grad-CAM, 224x224 pixels, float32")
    plain, styled = panel_of(describe(), VIEW), panel_of(describe(), VIEW._replace(style=style))
    assert (plain[0] == 255).all()
    assert (styled[0] == 0).all()
    assert len(styled) > len(plain)  # the footer
    for frame in frames_of(describe(), VIEW._replace(style=style)):
        assert (frame[-3:] == 0).all()


def test_a_panel_alone_is_drawn_of_a_photo_no_larger_than_it_shows():
    large = VIEW._replace(photo=np.zeros((1500, 3000, 3), np.uint8), box=(300.0, 0.0, 1800.0, 1500.0))
    small = for_panels(large)
    assert small.photo.shape == (512, 1024, 3)
    np.testing.assert_allclose(small.box, np.array(large.box) * 1024 / 3000)
    assert for_panels(VIEW) is VIEW


def test_frames_walk_through_the_words():
    frames = frames_of(captioning(), VIEW)
    assert len(frames) == 8
    assert len({frame.shape for frame in frames}) == 1
    assert (frames[0] != frames[2]).any()


@pytest.mark.parametrize("describe", TASKS.values(), ids=TASKS)
def test_the_heading_is_the_callers_to_change(describe):
    description = describe()
    plain = panel_of(description, VIEW, heading="")
    assert plain.shape[0] < panel_of(description, VIEW).shape[0]


def test_nothing_to_draw_is_an_error():
    with pytest.raises(InputError, match="at least one explained target"):
        panel_of(Description("Why?", "boxer", []), VIEW)
