"""The run of the classification task: its files, its numbers, its report, its errors."""

import json

import numpy as np
import PIL.Image
import pytest

from gradcam_jax.app.one_photo import explain_one
from gradcam_jax.app.options import Options, make_task
from gradcam_jax.errors import InputError
from gradcam_jax.images.preprocessing import EFFICIENTNET_LITE
from tests.comparison import SHARED_DATA, assert_close, needs_shared_data


@pytest.fixture(scope="module")
def sample_run(tmp_path_factory):
    """The run of the command without any flag, and what it says."""
    folder, lines = tmp_path_factory.mktemp("sample"), []
    files = explain_one(Options(out_path=str(folder)), lines.append)
    return folder, files, "\n".join(lines)


def test_files_carry_the_originals_names(sample_run):
    folder, files, _ = sample_run
    per_label = ["gcam_hm", "gb", "gb_gcam", "overlay", "panel"]
    expected = {f"classify_{kind}_{label}.png" for kind in per_label for label in (286, 968)}
    expected |= {"classify_panel.png", "explanation.npz", "explanation.json"}
    assert {path.name for path in files} == {path.name for path in folder.iterdir()} == expected


def test_arrays_are_raw_signed_and_rectified(sample_run):
    with np.load(sample_run[0] / "explanation.npz") as arrays:
        assert arrays["cam"].shape == (2, 10, 10)
        assert arrays["cam"].min() < 0
        assert arrays["heatmap"].shape == (2, 320, 320)
        assert arrays["heatmap"].min() == 0
        corners = np.maximum(arrays["cam"], 0)[:, ::9, ::9]  # the resize is corner-aligned
        assert_close(arrays["heatmap"][:, ::319, ::319], corners, 1e-5)
        assert arrays["guided_backprop"].shape == arrays["guided_grad_cam"].shape == (2, 320, 320, 3)
        product = arrays["guided_backprop"] * arrays["heatmap"][..., None]
        assert_close(arrays["guided_grad_cam"], product, 1e-6)
        assert {array.dtype for array in arrays.values()} == {np.dtype("float32")}


def test_the_record_says_what_was_explained(sample_run):
    record = json.loads((sample_run[0] / "explanation.json").read_text())
    assert record["task"] == "classification"
    assert (record["model"], record["layer"], record["input_size"]) == ("efficientnet_lite0", "head_relu", 320)
    assert [target["name"] for target in record["targets"]] == ["Egyptian cat", "espresso"]
    first = record["targets"][0]
    assert (first["label"], first["class_index"], first["wnid"]) == (286, 285, "n02124075")
    assert first["all_negative"] is False
    assert len(record["predictions"]) == 5
    probabilities = [prediction["probability"] for prediction in record["predictions"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert {prediction["name"] for prediction in record["predictions"][:2]} == {"Egyptian cat", "espresso"}
    assert record["versions"]["jax"]


def test_the_cat_is_above_and_the_coffee_below(sample_run):
    with np.load(sample_run[0] / "explanation.npz") as arrays:
        cat, coffee = (np.unravel_index(cam.argmax(), cam.shape)[0] for cam in arrays["cam"])
    assert cat < 4.5 < coffee


def test_pictures_have_the_sizes_promised(sample_run):
    with PIL.Image.open(sample_run[0] / "classify_gcam_hm_286.png") as picture:
        assert (picture.size, picture.mode) == ((320, 320), "RGB")
    with PIL.Image.open(sample_run[0] / "classify_overlay_286.png") as picture:
        assert picture.size == (450, 599)


def test_the_report_names_predictions_and_targets(sample_run):
    report = sample_run[2]
    assert "Egyptian cat  (label 286, n02124075)" in report
    assert "espresso  label 968, index 967, score " in report


@needs_shared_data
def test_the_boxer_is_the_dog_and_the_tiger_cat_the_cat(tmp_path):
    photo = str(SHARED_DATA / "original_images" / "cat_dog.jpg")
    explain_one(
        Options(input_image_path=photo, label="243, tiger cat, -1, boxer", top_k=2, out_path=str(tmp_path))
    )
    record = json.loads((tmp_path / "explanation.json").read_text())
    assert [target["label"] for target in record["targets"]] == [243, 283, 244]  # boxer again is left out
    with np.load(tmp_path / "explanation.npz") as arrays:
        (dog_row, dog_column), (cat_row, cat_column) = (
            np.unravel_index(heatmap.argmax(), heatmap.shape) for heatmap in arrays["heatmap"][:2]
        )
    # Boxes in the stretched image, read off the photo: the dog sits above, the cat lies below.
    assert 115 < dog_column < 229
    assert 14 < dog_row < 179
    assert 57 < cat_column < 279
    assert 179 < cat_row < 320


def test_one_label_in_grey_under_another_name(tmp_path):
    photo = tmp_path / "grey.png"
    PIL.Image.new("L", (1, 1), 100).save(photo)
    options = Options(
        input_image_path=str(photo), label="n02108089", save_as_heatmap=False, output_image_name="a/b",
        input_sz=64, out_path=str(tmp_path / "new" / "folder"),
    )  # fmt: skip
    names = {path.name for path in explain_one(options)}
    assert {"classify_gcam_a_b.png", "classify_gb_a_b.png", "classify_gb_gcam_a_b.png"} < names
    with PIL.Image.open(tmp_path / "new" / "folder" / "classify_gcam_a_b.png") as picture:
        assert (picture.size, picture.mode) == ((64, 64), "L")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_image_path": "no/such/photo.jpg"}, r"no/such/photo\.jpg' does not exist"),
        ({"label": "bokser"}, "Nearest: boxer"),
        ({"label": "0"}, "from 1 to 1000"),
        ({"label": "1001"}, "from 1 to 1000"),
        ({"label": ","}, "Expected labels, comma-separated, or -1"),
        ({"label": "-1", "top_k": 0}, "--top_k from 1 to 1000"),
        ({"top_k": 3}, "--top_k 3 needs -1"),
        ({"model": "vgg6"}, r"no model or file 'vgg6'\. Nearest: vgg"),
        ({"layer_name": "headrelu"}, "Nearest: head_relu"),
        ({"layer_name": "classifier"}, r"no spatial extent \(its shape is \(1000,\)\)"),
        ({"input_sz": 8}, "--input_sz from 32"),
        ({"recipe": "caffe"}, r"no recipe 'caffe'\. Nearest: caffe_alexnet"),
        ({"out_path": "/proc/here"}, "Cannot write to the output folder"),
    ],
)
def test_bad_input_is_a_clear_error(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        explain_one(Options(**{"out_path": str(tmp_path), **changes}))
    assert not list(tmp_path.iterdir())


def test_a_missing_checkpoint_is_one_command_away(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADCAM_JAX_CHECKPOINTS", str(tmp_path))
    monkeypatch.setattr("gradcam_jax.zoo.places.checkpoint_folders", lambda: [tmp_path])
    with pytest.raises(InputError, match=r"python scripts/download_checkpoints\.py vgg16"):
        explain_one(Options(model="vgg16", out_path=str(tmp_path)))


def test_labels_recipes_and_sizes():
    task = make_task(Options(label="boxer,-1"))
    assert task.encode({})["targets"].tolist() == [242, -1]
    assert (task.plan.preprocessing, task.size) == (EFFICIENTNET_LITE, 320)
    task = make_task(Options(recipe="efficientnet_lite", input_sz=224))
    assert (task.plan.preprocessing, task.size) == (EFFICIENTNET_LITE, 224)
