"""What ``explain`` refuses, and what it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gradcam_jax as gc
from tests.comparison import assert_close, random_images
from tests.models.nnx_vit import VisionTransformer
from tests.models.small_vgg import small_vgg

LAYER = "relu3_1"


def forward_at(*layers):
    return gc.tapped(*small_vgg(), layers or LAYER)


def photos(count=1, seed=1):
    return jnp.asarray(random_images(count, 32, seed=seed))


def test_bytes_are_refused():
    with pytest.raises(gc.InputError, match=r"float images as the model takes them.*got uint8.*to_network"):
        gc.explain(forward_at(), np.zeros((2, 32, 32, 3), np.uint8), gc.top_k(1))


def test_channels_first_are_refused():
    with pytest.raises(gc.InputError, match=r"channels last.*moveaxis\(images, 1, -1\)"):
        gc.explain(forward_at(), jnp.zeros((2, 3, 32, 32)), gc.top_k(1))


@pytest.mark.parametrize("labels", [[[7]], [[0, 99]]])
def test_a_class_past_the_outputs_is_refused(labels):
    with pytest.raises(gc.InputError, match=f"under 7, the number of outputs, got {np.max(labels)}"):
        gc.explain(forward_at(), photos(), jnp.array(labels))


@pytest.mark.parametrize("labels", [3, [3], [3, 4], [[3], [4], [5]]])
def test_targets_of_another_shape_are_refused(labels):
    with pytest.raises(gc.InputError, match=r"leading axes \(n, targets\), n = 2.*labels\[:, None\]"):
        gc.explain(forward_at(), photos(2), labels)


def test_classes_that_are_no_integers_are_refused():
    with pytest.raises(gc.InputError, match="integers, got float32"):
        gc.explain(forward_at(), photos(2), jnp.ones((2, 1)))


def test_classes_may_be_a_list():
    explanation = gc.explain(forward_at(), photos(2), [[3, 0], [4, 1]])
    assert_close(explanation.cam, gc.explain(forward_at(), photos(2), jnp.array([[3, 0], [4, 1]])).cam, 0)


@pytest.mark.parametrize("layers", ["fc7", ("relu2_1", "fc7")])
@pytest.mark.parametrize("method", [gc.grad_cam, gc.counterfactual_grad_cam, {"a": gc.grad_cam}])
def test_a_layer_without_spatial_extent_is_refused_by_its_name(layers, method):
    with pytest.raises(gc.LayerError, match=r"Layer 'fc7' cannot be mapped\. .*spatial extent.*\(16,\)"):
        gc.explain(gc.tapped(*small_vgg(), layers), photos(), gc.top_k(1), method=method)


def test_no_layer_is_refused():
    with pytest.raises(gc.InputError, match=r"tapped\(model, variables, layer\)"):
        gc.explain(gc.tapped(*small_vgg()), photos(), gc.top_k(1))


def test_an_unknown_layer_lists_the_nearest():
    for layers in ("relu3-1", ("relu2_1", "relu3-1")):
        with pytest.raises(gc.LayerError, match=r"no layer 'relu3-1'.*relu3_1"):
            gc.explain(gc.tapped(*small_vgg(), layers), photos(), gc.top_k(1))


def test_a_score_that_is_not_a_scalar_is_an_error():
    with pytest.raises(ValueError, match=r"scalar, got shape \(7,\)"):
        gc.explain(forward_at(), photos(), jnp.zeros((1, 1), int), score=whole_logits)


def whole_logits(logits, target):
    return logits


def several_heads(x):
    """Outputs of three classes: of the image, of each pixel, of each token of a text, of each detection."""
    return {
        "image": x.mean((0, 1)),
        "pixels": x,
        "text": x[0],
        "detections": (jnp.zeros((8, 4)), x[0]),
    }


PAST = {
    "image": (gc.class_score, jnp.array([[99]])),
    "image, two": (gc.difference_score, jnp.array([[[1, 99]]])),
    "pixels": (gc.segmentation_score, {"label": jnp.array([[99]]), "mask": jnp.ones((1, 1, 8, 8))}),
    "detections": (gc.detection_score, {"label": jnp.array([[99]]), "box": jnp.ones((1, 1, 4))}),
    "text": (gc.token_score, {"tokens": jnp.full((1, 1, 8), 99), "mask": jnp.ones((1, 1, 8))}),
    "text, next": (gc.next_token_score, {"tokens": jnp.full((1, 1, 8), 99), "mask": jnp.ones((1, 1, 8))}),
}


@pytest.mark.parametrize("case", PAST)
def test_every_score_refuses_what_is_past_its_outputs(case):
    score, targets = PAST[case]
    forward = gc.tapped_functions({"features": jnp.tanh, "heads": several_heads}, "features")
    images, part = jnp.asarray(random_images(1, 8)), case.split(",")[0]
    with pytest.raises(gc.InputError, match="under 3, the number of outputs, got 99"):
        gc.explain(forward, images, targets, score=gc.score_of(part, score))
    alone = gc.tapped_functions({"features": jnp.tanh, "head": lambda x: several_heads(x)[part]}, "features")
    with pytest.raises(gc.InputError, match="under 3, the number of outputs, got 99"):
        gc.explain(alone, images, targets, score=score)


def test_tokens_that_count_are_not_negative():
    forward = gc.tapped_functions({"features": jnp.tanh, "text": lambda x: x[0]}, "features")
    images, tokens = jnp.asarray(random_images(1, 8)), jnp.array([[2, 1, 0, 1, 2, -100, -100, -100]])
    with pytest.raises(gc.InputError, match=r"tokens from 0, got -100 where the mask counts it\. Padding"):
        gc.explain(forward, images, gc.token_targets(tokens, [(0, 8)]), score=gc.token_score)
    assert np.isfinite(
        gc.explain(forward, images, gc.token_targets(tokens, [(0, 5)]), score=gc.token_score).cam
    ).all()


def test_targets_of_other_scores_may_be_lists_too():
    scores = gc.explain(forward_at(), photos(), [[[3, 0], [4, 1]]], score=gc.difference_score).scores
    expected = gc.explain(forward_at(), photos(), jnp.array([[[3, 0], [4, 1]]]), score=gc.difference_score).scores
    assert_close(scores, expected, 0)


@pytest.mark.parametrize("targets", [gc.top_k(1), [[3]]])
def test_one_image_without_a_batch_axis_is_told_how_it_was_read(targets):
    with pytest.raises((ValueError, TypeError)) as caught:
        gc.explain(forward_at(), photos()[0], targets)
    expected = "The images were read as 32 signals of shape (32, 3). One image is image[None]."
    assert caught.value.__notes__[-1] == expected


def test_tokens_that_count_for_nothing_have_no_map_of_zeros():
    """Behind the last attention a transformer's class token alone counts."""
    model, images = VisionTransformer((16, 16), 4, rngs=nnx.Rngs(0)), jnp.asarray(random_images(2, 16))
    forward, layout = gc.tapped(model, "encoder.layers.1"), gc.token_grid()
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        with pytest.raises(gc.LayerError, match=r"Every map of layer 'encoder\.layers\.1' is zero.*suggest_layer"):
            gc.explain(forward, images, gc.top_k(1), layout=layout)
        cam = gc.explain(forward.at("encoder.layers.1.norm1"), images, gc.top_k(1), layout=layout).cam
    assert np.abs(cam).max() > 0


def test_under_the_callers_jit_traps_are_errors_too():
    @jax.jit
    def run(forward, images, labels):
        return gc.explain(forward, images, labels).cam

    with pytest.raises(gc.InputError, match="uint8"):
        run(forward_at(), jnp.zeros((2, 32, 32, 3), jnp.uint8), jnp.zeros((2, 1), int))
    with pytest.raises(gc.InputError, match="channels last"):
        run(forward_at(), jnp.zeros((2, 3, 32, 32)), jnp.zeros((2, 1), int))
    with pytest.raises(gc.InputError, match="leading axes"):
        run(forward_at(), photos(2), jnp.zeros(2, int))
