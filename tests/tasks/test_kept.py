"""A photo's kept activations give what the whole computation gives, for every task and whatever is asked next."""

import numpy as np
import pytest

from gradcam_jax.tasks import Setting, captioning, classification, explain_photo, kept, vqa
from gradcam_jax.tasks.kept import explain_kept, keep_photo
from gradcam_jax.zoo import load
from tests.app.small_models import add_small_models
from tests.comparison import assert_close

PHOTO = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def small_models(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        add_small_models(tmp_path_factory.mktemp("models"), patch)
        yield


@pytest.mark.parametrize(
    ("make", "requests"),
    [
        (classification, [{}, {"label": "boxer"}, {"label": "243, tabby"}]),
        (vqa, [{"question": "Is there a dog?"}, {"question": "What animal?", "answer": "no, dog"}]),
        (captioning, [{}, {"caption": "a dog"}, {"caption": "word1 dog", "phrases": "dog"}]),
    ],
)
@pytest.mark.parametrize("setting", [Setting(), Setting(layer="relu1_1", counterfactual=True)], ids=["own", "set"])
def test_what_is_asked_next_is_explained_alike(make, requests, setting):
    options = {"question": "What animal?"} if make is vqa else {}
    task = make(load(f"small_{make.__name__}"), setting, **options)
    photo = keep_photo(task, PHOTO)
    for request in requests:
        ours, whole = (
            explain_kept(task, photo, **request),
            explain_photo(task, PHOTO, methods=("grad_cam",), **request),
        )
        assert ours.box == whole.box
        assert ours.description.lines == whole.description.lines
        for kind in ("rows", "words", "phrases"):
            rows, expected = getattr(ours.description, kind), getattr(whole.description, kind)
            assert [row.name for row in rows] == [row.name for row in expected]
            for row, other in zip(rows, expected, strict=True):
                assert_close(row.cam, other.cam, 1e-6)
                assert row.maps.keys() == other.maps.keys()
                for name, cam in row.maps.items():
                    assert_close(cam, other.maps[name], 1e-6)
                assert_close(np.array(row.score), np.array(other.score), 1e-6)


def test_the_trunk_is_not_run_again(monkeypatch):
    task = classification(load("small_classification"))
    photo = keep_photo(task, PHOTO)
    monkeypatch.setattr(kept, "activations_of", lambda *_: pytest.fail("the trunk ran"))
    # Its layers are dropped from the compiled program too: with other pixels the map stays.
    explained = explain_kept(task, photo, label="boxer")
    other = explain_kept(task, photo._replace(image=photo.image + 1), label="boxer")
    np.testing.assert_array_equal(explained.description.rows[0].cam, other.description.rows[0].cam)
