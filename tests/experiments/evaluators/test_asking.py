"""What a model is asked about an object: which class, which answer, which word of which caption."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.experiments.data.words import classes_of
from gradcam_jax.experiments.evaluators.asking import asking
from gradcam_jax.tasks import Setting
from gradcam_jax.text.vocabulary import Vocabulary
from gradcam_jax.zoo import load
from tests.app.small_models import add_small_models
from tests.pipeline import small_task


@pytest.fixture
def models(tmp_path, monkeypatch):
    add_small_models(tmp_path, monkeypatch)


def test_a_classifier_is_asked_for_the_most_probable_class_of_a_group():
    asked = asking(small_task.loaded(), Setting())
    group = asked.arrays_of("cat")["targets"]
    assert np.flatnonzero(group[0]).tolist() == list(classes_of("cat")) == [281, 282, 283, 284, 285]
    assert np.flatnonzero(asked.arrays_of("n02123045")["targets"][0]).tolist() == [281]  # as ILSVRC names it
    assert asked.arrays_of("person") is asked.arrays_of("yak") is None
    logits = jnp.zeros(1000).at[283].set(1.0).at[7].set(9.0)
    assert asked.plan.spec.choose(logits, jnp.asarray(group)).tolist() == [283]
    assert asked.predicted.spec.choose(logits, None).tolist()[:2] == [7, 283]
    expected = np.exp(1) / (np.exp(9) + np.exp(1) + 998)
    assert float(asked.confidence(logits, jnp.int32(283))) == pytest.approx(expected, rel=1e-5)


def test_a_classifier_with_own_classes_is_asked_for_the_class_of_the_objects_name():
    names = ("aeroplane", "dog", "teapot")
    entry = small_task.ENTRY._replace(build=functools.partial(small_task.build, classes=3))
    asked = asking(small_task.loaded(entry)._replace(labels=Vocabulary(names)), Setting())
    assert [asked.classes(word) for word in ("airplane", "dog", "teapot", "cat")] == [(0,), (1,), (2,), ()]


@pytest.mark.usefixtures("models")
def test_an_animal_is_asked_for_as_an_animal():
    asked = asking(load("small_vqa"), Setting())
    arrays = asked.arrays_of("dog")
    expected = asked.task.encode({"question": "What animal?", "answer": "dog"})
    assert {name: value.tolist() for name, value in arrays.items()} == {
        name: value.tolist() for name, value in expected.items()
    }
    assert asked.arrays_of("cat") is asked.predicted is None


@pytest.mark.usefixtures("models")
def test_of_a_caption_the_objects_word_is_explained():
    asked = asking(load("small_captioning"), Setting())
    arrays = asked.arrays_of("dog")
    assert np.flatnonzero(arrays["targets"][0]).tolist() == [1]  # of "a dog"
    assert int(arrays["length"]) == 2
    assert asked.arrays_of("cat") is None
