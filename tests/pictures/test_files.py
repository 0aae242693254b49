"""The files of one photo and of a run, for the three tasks alike."""

import re

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.errors import InputError
from gradcam_jax.pictures.files import (
    picture_path,
    safe_name,
    save,
    save_animation,
    save_photo_pictures,
    save_run_pictures,
)
from gradcam_jax.pictures.maps import gradient_picture, grey_map, heat_map, heatmap_of
from gradcam_jax.pictures.photo import Style, panel_of
from gradcam_jax.tasks.rows import Description
from tests.pictures.descriptions import PHOTO, SIZE, TASKS, VIEW, classification
from tests.pictures.descriptions import row as made_row

CAPTION = "a dog and a cat on couch"
NAMES = {"classify": ["243", "283"], "vqa": ["dog", "24_7"], "caption": [CAPTION]}
TARGETS = {"classify": ["boxer", "tiger cat"], "vqa": ["dog", "24_7"], "caption": [CAPTION]}


def pixels(path):
    with PIL.Image.open(path) as picture:
        return np.asarray(picture)


def files_under(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("in_color", [True, False])
@pytest.mark.parametrize("prefix", TASKS)
def test_one_photos_files_have_the_originals_names(tmp_path, prefix, in_color, guided):
    description = TASKS[prefix](guided=guided)
    files = save_photo_pictures(tmp_path, prefix, description, VIEW, in_color=in_color)
    kinds = ["gcam_hm" if in_color else "gcam", *(["gb", "gb_gcam"] if guided else []), "overlay", "panel"]
    expected = {f"{prefix}_{kind}_{name}.png" for name in NAMES[prefix] for kind in kinds}
    expected |= {f"{prefix}_panel.png"} if len(description.rows) > 1 else set()
    expected |= {f"caption_words_{CAPTION}.gif"} if prefix == "caption" else set()
    assert files_under(tmp_path) == expected
    assert {path.name for path in files} == expected
    assert len(files) == len(expected)

    for row, name in zip(description.rows, NAMES[prefix], strict=True):
        drawn = pixels(tmp_path / f"{prefix}_{kinds[0]}_{name}.png")
        heatmap = heatmap_of(row.cam, SIZE)
        np.testing.assert_array_equal(drawn, heat_map(heatmap) if in_color else grey_map(heatmap))
        overlay = pixels(tmp_path / f"{prefix}_overlay_{name}.png")
        assert overlay.shape == PHOTO.shape
        assert (overlay == PHOTO).all() == row.all_negative
        if guided:
            fine = pixels(tmp_path / f"{prefix}_gb_gcam_{name}.png")
            np.testing.assert_array_equal(fine, gradient_picture(row.guided_grad_cam))
            assert pixels(tmp_path / f"{prefix}_gb_{name}.png").shape == (*SIZE, 3)


@pytest.mark.parametrize("prefix", ["classify", "vqa"])
def test_the_panel_of_several_targets_holds_them_all(tmp_path, prefix):
    description = TASKS[prefix]()
    save_photo_pictures(tmp_path, prefix, description, VIEW)
    whole = pixels(tmp_path / f"{prefix}_panel.png")
    np.testing.assert_array_equal(whole, panel_of(description, VIEW))
    single = pixels(tmp_path / f"{prefix}_panel_{NAMES[prefix][0]}.png")
    assert single.shape[0] < whole.shape[0]


def test_a_captions_animation_has_a_frame_for_the_whole_and_one_a_word(tmp_path):
    *_, path = save_photo_pictures(tmp_path, "caption", TASKS["caption"](), VIEW)
    with PIL.Image.open(path) as animation:
        assert animation.n_frames == 8
        assert animation.info["loop"] == 0
        assert animation.info["duration"] == 900


@pytest.mark.parametrize("guided", [True, False])
@pytest.mark.parametrize("prefix", TASKS)
def test_a_runs_files_are_an_overlay_a_target_and_a_panel_a_photo(tmp_path, prefix, guided):
    description = TASKS[prefix](guided=guided)
    files = save_run_pictures(tmp_path, "cats/1.jpg", description, VIEW)
    overlays = [f"overlays/cats/1.jpg_{target}.png" for target in TARGETS[prefix]]
    assert files_under(tmp_path) == {*overlays, "panels/cats/1.jpg.png"}
    assert {path.relative_to(tmp_path).as_posix() for path in files} == files_under(tmp_path)
    for row, path in zip(description.rows, overlays, strict=True):
        overlay = pixels(tmp_path / path)
        assert overlay.shape == PHOTO.shape
        assert (overlay == PHOTO).all() == row.all_negative
    np.testing.assert_array_equal(pixels(tmp_path / "panels/cats/1.jpg.png"), panel_of(description, VIEW))


def test_a_run_draws_what_it_is_asked_for(tmp_path):
    save_run_pictures(tmp_path / "one", "1.jpg", classification(), VIEW, kinds=("panels",))
    assert files_under(tmp_path / "one") == {"panels/1.jpg.png"}
    save_run_pictures(tmp_path / "two", "1.jpg", classification(), VIEW, kinds=("overlays",))
    assert files_under(tmp_path / "two") == {"overlays/1.jpg_boxer.png", "overlays/1.jpg_tiger cat.png"}
    assert save_run_pictures(tmp_path / "three", "1.jpg", Description("", "", []), VIEW) == []


def test_a_runs_heading_is_the_callers_and_is_cut(tmp_path):
    save_run_pictures(tmp_path, "1.jpg", classification(), VIEW, heading="What animal? " * 20)
    expected = panel_of(classification(), VIEW, heading=("What animal? " * 20)[:100])
    np.testing.assert_array_equal(pixels(tmp_path / "panels/1.jpg.png"), expected)


@pytest.mark.parametrize("shape", [(4, 6, 3), (4, 6)])
def test_saving_makes_the_folder_and_returns_the_path(tmp_path, shape):
    picture = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    path = save(picture, tmp_path / "a" / "b" / "picture.png")
    assert path == tmp_path / "a" / "b" / "picture.png"
    np.testing.assert_array_equal(pixels(path), picture)
    assert save(picture, str(tmp_path / "c.png")) == tmp_path / "c.png"


def test_saving_refuses_floats(tmp_path):
    with pytest.raises(InputError, match=r"Expected a uint8 picture for '.*x\.png', got float64"):
        save(np.zeros((2, 2, 3)), tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_an_animation_needs_a_frame(tmp_path):
    with pytest.raises(InputError, match="at least one frame"):
        save_animation([], tmp_path / "x.gif")


@pytest.mark.parametrize(
    ("text", "name"), [("a/b:c", "a_b_c"), ("...", "_"), ("  x ", "x"), ("é?", "é_"), ("50%#1", "50__1")]
)
def test_file_names_are_safe(text, name):
    assert safe_name(text) == name


@pytest.mark.parametrize(
    ("identifier", "path"),
    [("a.jpg", "a.jpg"), ("../a/b:c.jpg", "_/a/b_c.jpg"), ("/etc/passwd", "etc/passwd"), ("", "_")],
)
def test_pictures_of_a_run_stay_in_its_folder(identifier, path):
    found = picture_path(identifier).as_posix()
    # What is changed ends in a hash, so that no two ids share a file.
    assert found == path if path == identifier else re.fullmatch(rf"{re.escape(path)}-[0-9a-f]{{8}}", found)


ALIKE = [
    *("a:b.jpg", "a?b.jpg", "a_b.jpg", "a#b.jpg", "../a_b.jpg", "_/a_b.jpg", "a_b.jpg.", "/a_b.jpg"),
    *(f"{'x' * 100}{number}.jpg" for number in range(3)),
    *(f"{'猫' * 80}{number}" for number in range(3)),
    *(f"{'x' * 240}/{'y' * 240}{number}" for number in range(2)),
]


def test_pictures_of_a_run_have_names_of_their_own_that_a_file_system_takes(tmp_path):
    for identifier in ALIKE:
        files = save_run_pictures(tmp_path, identifier, classification(guided=False), VIEW)
        assert len(files) == 3
        for file in files:
            assert all(len(part.encode()) <= 255 for part in file.relative_to(tmp_path).parts)
            assert not set(file.name) & set('#%?:*"<>|')
    assert len(files_under(tmp_path)) == 3 * len(ALIKE)


def test_two_targets_of_one_name_have_two_files(tmp_path):
    cranes = Description("", "", [made_row("crane", "135", seed=1), made_row("crane", "518", seed=2)])
    files = save_run_pictures(tmp_path, "1.jpg", cranes, VIEW, kinds=("overlays",))
    assert [file.name for file in files] == ["1.jpg_crane.png", "1.jpg_crane_1.png"]


def test_an_animations_colours_pass_smoothly(tmp_path):
    ramp = np.linspace(0, 255, 200)
    frames = [np.stack([np.tile(ramp, (60, 1)), np.tile(ramp[::-1], (60, 1)), np.full((60, 200), level)], -1)
              for level in (0, 120, 240)]  # fmt: skip
    frames = [frame.astype(np.uint8) for frame in frames]
    for name, tolerance in (("a.gif", 6), ("a.png", 0), ("a.webp", 3)):
        with PIL.Image.open(save_animation(frames, tmp_path / name)) as animation:
            assert animation.n_frames == 3
            for place, frame in enumerate(frames):
                animation.seek(place)
                shown = np.asarray(animation.convert("RGB"), float)
                # Dithered, a GIF's 256 colours are right on the average of neighbours.
                blocks = (shown - frame).reshape(6, 10, 20, 10, 3).mean(axis=(1, 3))
                assert np.abs(blocks).max() <= tolerance


def test_panels_as_pdf(tmp_path):
    view = VIEW._replace(style=Style(panels="pdf"))
    files = save_photo_pictures(tmp_path, "classify", classification(), view)
    panels = {file.name for file in files if "panel" in file.name}
    assert panels == {"classify_panel.pdf", "classify_panel_243.pdf", "classify_panel_283.pdf"}
    assert (tmp_path / "classify_panel.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "classify_overlay_243.png").is_file()
