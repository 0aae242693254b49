"""Classes of a photo: the numbers that stand for them, what is computed, what is said."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradcam_jax as gc
from gradcam_jax.tasks.indices import EMPTY, NOTHING, choose_indices, count_targets, encode_targets
from gradcam_jax.tasks.methods import DEFAULT_METHODS, parse_methods
from gradcam_jax.tasks.task import Setting, explain_photo, explain_photos
from tests.comparison import assert_close
from tests.tasks.small_tasks import photo, small_classifier

LABEL = "tench, goldfish, boxer"
INDICES = [0, 1, 242]


def task(**options):
    return gc.tasks.classification(small_classifier(), **{"label": LABEL} | options)


@functools.cache
def explained():
    return explain_photo(task(), photo())


def test_every_part_is_what_explain_gives():
    one = task()
    image = gc.images.to_network(one.plan.preprocessing.resize(photo(), one.size).image, one.plan.preprocessing)
    images = jnp.asarray(image)[jnp.newaxis]
    expected = gc.explain(one.forward, images, jnp.array([INDICES]), guided=True)
    heatmaps = gc.resize_corner_aligned(jax.nn.relu(expected.cam), (one.size, one.size))
    fine = gc.guided_grad_cam(heatmaps, expected.guided_backprop)
    rows = explained().description.rows
    assert [row.fields["class_index"] for row in rows] == INDICES
    for place, row in enumerate(rows):
        assert_close(row.cam, expected.cam[0, place], 2e-6)
        assert_close(row.score, expected.scores[0, place], 1e-6)
        # This preprocessing keeps the order RGB, so that the gradients are the network's own.
        assert_close(row.guided_backprop, expected.guided_backprop[0, place], 2e-6)
        assert_close(row.guided_grad_cam, fine[0, place], 2e-6)


def test_what_is_said_of_a_class():
    description = explained().description
    rows = description.rows
    assert [(row.name, row.file_name) for row in rows] == [("tench", "1"), ("goldfish", "2"), ("boxer", "243")]
    named = {"label": 243, "class_index": 242, "name": "boxer", "wnid": "n02108089"}
    assert rows[2].fields == named | {name: rows[2].fields[name] for name in ("probability", "rank", "strength")}
    assert rows[2].fields["strength"] == pytest.approx(max(rows[2].cam.max(), 0))
    assert description.heading == "Why tench and why goldfish and why boxer?"
    assert description.fields["targets"][1]["score"] == rows[1].score
    assert len(description.fields["predictions"]) == 5
    assert description.prediction == description.fields["predictions"][0]["name"]
    assert description.lines[0] == "predictions:"


def test_the_predictions_ranks_and_probabilities_are_the_logits():
    one = task(label="-1", top_k=3)
    image = gc.images.to_network(one.plan.preprocessing.resize(photo(), one.size).image, one.plan.preprocessing)
    logits = one.loaded.model.apply(one.loaded.variables, image)
    rows = explain_photo(one, photo(), methods=("grad_cam",)).description.rows
    highest = np.argsort(-logits)[:3]
    assert [row.fields["class_index"] for row in rows] == highest.tolist()
    probabilities = jax.nn.softmax(logits)
    for rank, row in enumerate(rows):
        assert f"probability {probabilities[highest[rank]]:.1%} (rank {rank + 1})" in row.title
    assert rows[0].guided_backprop is None


def test_the_counterfactual_is_the_negated_map():
    counter = explain_photo(task(setting=Setting(counterfactual=True)), photo(), methods=("grad_cam",))
    for ours, usual in zip(counter.description.rows, explained().description.rows, strict=True):
        assert_close(ours.cam, -usual.cam, 1e-6)


def test_one_photo_asks_for_its_own_classes():
    own = explain_photo(task(), photo(), methods=("grad_cam",), label="boxer").description.rows
    assert [row.name for row in own] == ["boxer"]
    assert_close(own[0].cam, explained().description.rows[2].cam, 2e-6)


def test_a_new_class_or_photo_compiles_nothing():
    one, traces = task(), 0

    def counted(*arguments):
        nonlocal traces
        traces += 1
        return explain_photos(*arguments, plan=one.plan, methods=DEFAULT_METHODS)

    run = jax.jit(counted)
    images = jnp.asarray(np.stack([photo(seed=seed, size=(32, 32)) for seed in (1, 2)]))
    for label in ("tench, boxer", "-1, goldfish", "243, 1"):
        arrays = {"targets": np.stack([task(label=label).encode({})["targets"]] * 2)}
        run(one.forward, images, arrays)
    assert traces == 1


def test_empty_places_have_no_map_and_are_not_described():
    one = task(label="boxer", max_targets=3)
    encoded = one.encode({})["targets"]
    assert encoded.tolist() == [242, EMPTY, EMPTY]
    images = jnp.asarray(photo(size=(32, 32)))[jnp.newaxis]
    results = explain_photos(
        one.forward, images, {"targets": encoded[np.newaxis]}, plan=one.plan, methods=DEFAULT_METHODS
    )
    assert results["targets"].tolist() == [[242, NOTHING, NOTHING]]
    for name in ("cam", "scores", "guided_backprop", "guided_grad_cam"):
        assert float(jnp.abs(results[name][0, 1:]).max()) == 0
        assert float(jnp.abs(results[name][0, 0]).max()) > 0
    description = one.describe({name: np.asarray(leaf[0]) for name, leaf in results.items()}, {})
    assert [row.name for row in description.rows] == ["boxer"]


def test_float_images_and_bytes_are_the_same_photo():
    one = task()
    pixels = photo(size=(32, 32))[np.newaxis]
    arrays = {"targets": one.encode({})["targets"][np.newaxis]}
    bytes_, floats = (
        explain_photos(one.forward, jnp.asarray(images), arrays, plan=one.plan, methods=DEFAULT_METHODS)
        for images in (pixels, pixels.astype(np.float32) / 255)
    )
    for name, leaf in bytes_.items():
        assert_close(leaf, floats[name], 2e-6)


@pytest.mark.parametrize(
    ("scores", "targets", "indices"),
    [
        ([1.0, 3.0, 2.0, 0.0], [-1, -2], [1, 2]),
        ([1.0, 3.0, 2.0, 0.0], [1, -1, 0], [1, NOTHING, 0]),
        ([1.0, 3.0, 2.0, 0.0], [EMPTY, 3, 3], [NOTHING, 3, NOTHING]),
        ([1.0, 3.0], [-1, -2, 0, EMPTY], [1, 0, NOTHING, NOTHING]),
    ],
)
def test_each_index_once(scores, targets, indices):
    chosen = choose_indices(jnp.array(scores), jnp.array(targets, jnp.int32))
    assert chosen.tolist() == indices


def test_targets_are_read_from_text():
    find = "abcdef".index
    assert encode_targets("", 2, find).tolist() == [-1, -2]
    assert encode_targets("c, -1, a", 3, find).tolist() == [2, -1, -2, -3, 0]
    assert count_targets("c, -1, a", 3) == 5
    with pytest.raises(gc.InputError, match="Expected labels, comma-separated"):
        encode_targets(" , ", 1, find)
    with pytest.raises(gc.InputError, match=r"at most 1 labels a photo, got 2.*--max_targets 2"):
        encode_targets("a, b", 1, find, places=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "--top_k from 1 to 1000, got 0"),
        ({"top_k": 1001, "label": ""}, "--top_k from 1 to 1000, got 1001"),
        ({"top_k": 2, "label": "boxer"}, "--top_k 2 needs -1"),
        ({"label": "bokser"}, r"no class 'bokser'.*boxer"),
        ({"setting": Setting(layer="fc6")}, "no spatial extent"),
        ({"setting": Setting(layer="relu2_9")}, "relu2_1"),
        ({"setting": Setting(size=16)}, "--input_sz from 32 to 4096 pixels, got 16"),
        ({"setting": Setting(preprocessing="efficientnet")}, "efficientnet_lite"),
    ],
)
def test_what_cannot_be_had_is_said_at_once(options, message):
    with pytest.raises(gc.InputError, match=message):
        task(**options)


def test_methods_are_read_from_text():
    assert parse_methods("") == ("grad_cam",)
    assert parse_methods("guided_grad_cam, guided_backprop") == DEFAULT_METHODS
    with pytest.raises(gc.InputError, match="no method 'guided'"):
        parse_methods("guided")
