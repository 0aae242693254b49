"""What a visitor gets: the maps of ``explain_photo``, over the photo, as files, of the layer that was chosen."""

import io

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.page import explaining
from gradcam_jax.pictures import overlay
from gradcam_jax.tasks import Setting, captioning, classification, explain_photo, vqa
from gradcam_jax.zoo import load
from tests.comparison import assert_close
from tests.page.served import photo_bytes


def cams_of(visitor, photo, said):
    return visitor.ask(f"/api/photos/{photo}/{said['name']}/numbers").json["maps"]


@pytest.mark.parametrize(
    ("task", "make", "asked"),
    [
        ("classification", classification, {"label": "boxer, 3"}),
        ("vqa", vqa, {"question": "Is there a dog?", "answer": "no"}),
        ("captioning", captioning, {"caption": "a dog"}),
        ("captioning", captioning, {}),
    ],
)
@pytest.mark.parametrize("method", ["grad_cam", "counterfactual"])
def test_a_map_is_that_of_one_photo(visitor, task, make, asked, method):
    photo = visitor.begin()
    said = visitor.explain(photo, task=task, method=method, **asked)
    pixels = np.asarray(PIL.Image.open(io.BytesIO(photo_bytes())))
    one = make(load(f"small_{task}"), Setting(counterfactual=method == "counterfactual"))
    expected = explain_photo(one, pixels, methods=("grad_cam",), **asked).description
    rows = [*expected.rows, *expected.words]
    assert [row["name"] for row in said["rows"]][: len(rows)] == [row.name for row in rows]
    maps = cams_of(visitor, photo, said)
    for cam, row in zip(maps, rows, strict=False):
        assert_close(np.array(cam), row.cam, 1e-5)
    if task != "captioning":
        assert len(said["rows"]) >= 5  # the predictions stand behind what was typed
        probabilities = [row["probability"] for row in sorted(said["rows"], key=lambda row: row["rank"])]
        assert probabilities == sorted(probabilities, reverse=True)


def test_the_trunk_runs_once_a_photo(visitor, monkeypatch):
    calls = []
    keep = explaining.keep_photo
    monkeypatch.setattr(explaining, "keep_photo", lambda *arguments: calls.append(1) or keep(*arguments))
    photo = visitor.begin()
    for label in ("boxer", "tabby", "3"):
        visitor.explain(photo, label=label)
    visitor.explain(photo, task="vqa")
    for question in ("Is there a cat?", "What animal?"):
        visitor.explain(photo, task="vqa", question=question)
    assert len(calls) == 2


def test_the_layer_over_the_photo_is_the_overlay(visitor):
    photo = visitor.begin()
    said = visitor.explain(photo)
    base = f"/api/photos/{photo}/{said['name']}"
    layer = visitor.picture(f"{base}/layer?row=1").astype(np.float32)
    pixels = np.asarray(PIL.Image.open(io.BytesIO(photo_bytes())))
    share = 0.75 * layer[..., 3:] / 255
    blended = (1 - share) * pixels + share * layer[..., :3]
    drawn = visitor.picture(f"{base}/overlay?row=1&opacity=0.75")
    np.testing.assert_allclose(drawn, blended, atol=2)
    cam = np.array(cams_of(visitor, photo, said)[1])
    np.testing.assert_array_equal(drawn, overlay(pixels, cam))
    np.testing.assert_array_equal(visitor.picture(f"{base}/overlay?row=1&opacity=0"), pixels)


def test_one_scale_shows_weak_maps_as_weak(visitor):
    photo = visitor.begin()
    said = visitor.explain(photo)
    strengths = [row["strength"] for row in said["rows"]]
    assert max(strengths) == 1
    weakest = int(np.argmin(strengths))
    assert strengths[weakest] < 0.95
    base = f"/api/photos/{photo}/{said['name']}/layer?row={weakest}"
    own, shared = (visitor.picture(f"{base}&shared={shared}")[..., 3].max() for shared in (0, 1))
    assert (own > 200) == (strengths[weakest] > 0)
    assert abs(float(shared) - strengths[weakest] * float(own)) <= 1


@pytest.mark.parametrize("method", ["layer_cam", "eigen_cam", "smooth_grad_cam"])
def test_a_map_by_another_method_is_that_of_one_photo(visitor, method):
    photo = visitor.begin()
    said = visitor.explain(photo, method=method, label="boxer")
    pixels = np.asarray(PIL.Image.open(io.BytesIO(photo_bytes())))
    task = classification(load("small_classification"))
    row = explain_photo(task, pixels, methods=("grad_cam", method), label="boxer").description.rows[0]
    assert said["rows"][0]["name"] == "boxer"
    assert_close(np.array(cams_of(visitor, photo, said)[0]), row.maps[method], 1e-5)
    said = visitor.explain(photo, task="captioning", method=method, caption="a dog")
    assert [row["name"] for row in said["rows"]] == ["a dog", "a", "dog"]


@pytest.mark.parametrize("method", ["guided_backprop", "guided_grad_cam"])
def test_guided_gradients_are_those_of_the_one_target_asked_for(visitor, method):
    photo = visitor.begin()
    said = visitor.explain(photo, method=method, label="243")
    assert [row["name"] for row in said["rows"]] == ["boxer"]
    base = f"/api/photos/{photo}/{said['name']}"
    assert visitor.picture(f"{base}/layer").shape == (40, 60, 3)
    with np.load(io.BytesIO(visitor.ask(f"{base}/arrays").body)) as arrays:
        assert arrays[method].shape[-1] == 3
        assert arrays["names"].tolist() == ["boxer"]


def test_files_to_keep(visitor):
    photo = visitor.begin()
    said = visitor.explain(photo, task="vqa")
    base = f"/api/photos/{photo}/{said['name']}"
    for kind, end in {"overlay": ".png", "panel": ".png", "numbers": ".json", "arrays": ".npz"}.items():
        answer = visitor.ask(f"{base}/{kind}?keep=1")
        assert answer.headers["Content-Disposition"].endswith(end)
    assert visitor.picture(f"{base}/panel").shape[1] > 200
    numbers = visitor.ask(f"{base}/numbers").json
    assert numbers["choice"]["model"] == "small_vqa"
    assert np.array(numbers["maps"]).shape == (5, 16, 16)


def test_layers_sizes_and_models_can_be_chosen(visitor):
    offers = visitor.ask("/api/offers").json
    assert offers["tasks"]["vqa"][0]["name"] == "small_vqa"
    layers = visitor.ask("/api/layers?task=vqa&model=small_vqa").json
    assert [layer["name"] for layer in layers if layer["default"]] == ["cnn/relu2_1"]
    photo = visitor.begin()
    said = visitor.explain(photo, task="vqa", layer="relu1_1", size=224)
    assert (said["choice"]["layer"], said["choice"]["size"], said["rows"][0]["shape"]) == (
        "cnn/relu1_1",
        224,
        [224, 224],
    )
    assert "yes" in visitor.ask("/api/names?task=vqa&model=small_vqa").json
