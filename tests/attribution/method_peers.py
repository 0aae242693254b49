"""The methods beside other people's programs, with the same random weights: one row a comparison.

In float64 up to the gradients, where a gate that hangs on rounding would decide; maps here are float32. The peers
run as they are installed: pytorch-grad-cam, captum and torch-cam.
"""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

import gradcam_jax as gc
from gradcam_jax.attribution.channel_perturbation import ablation_weights, score_weights
from gradcam_jax.conversion.rules import variable_shapes
from gradcam_jax.experiments.benchmark.peers import import_pytorch_grad_cam
from gradcam_jax.models.alexnet import alexnet_torchvision
from gradcam_jax.models.vgg import vgg16_torchvision
from gradcam_jax.tasks.methods import GRADIENT_MAPS
from tests.comparison import kaiming_variables, random_images, relative_error
from tests.models import torch_twins

LABELS = [3, 7]
WINDOW, STRIDE, STEPS = (16, 24), (8, 8), 20
PGC, CAPTUM, TORCHCAM = "pytorch-grad-cam", "captum", "torch-cam"
# Their names for the maps of activations and gradients.
CLASSES = {
    "grad_cam": "GradCAM",
    "hires_cam": "HiResCAM",
    "grad_cam_plusplus": "GradCAMPlusPlus",
    "x_grad_cam": "XGradCAM",
    "layer_cam": "LayerCAM",
    "grad_cam_elementwise": "GradCAMElementWise",
    "eigen_cam": "EigenCAM",
    "eigen_grad_cam": "EigenGradCAM",
}
# pytorch-grad-cam adds an epsilon to the denominator of Grad-CAM++; equation 19 has none.
OURS = {"grad_cam": gc.grad_cam, **GRADIENT_MAPS}
LIKE_THEIRS = {**OURS, "grad_cam_plusplus": functools.partial(gc.grad_cam_plusplus, epsilon=1e-6)}


class Row(NamedTuple):
    """One comparison.

    Attributes:
        method: The name here.
        peer: Whose program.
        call: What of it.
        what: What is compared.
        error: The largest difference, as a share of the peer's largest magnitude.
    """

    method: str
    peer: str
    call: str
    what: str
    error: float


class Lab:
    """A net here and its twin in torch, two images, a class each."""

    def __init__(self, build, layer, grid, size, build_twin):
        """Draws weights and computes what all methods start from, here and in torch."""
        self.layer, self.size = layer, size
        model = build(classes=10)
        shapes = variable_shapes(model, jax.ShapeDtypeStruct((*size, 3), jnp.float32))
        variables = kaiming_variables(shapes)
        self.images = random_images(2, *size).astype(np.float64)
        with torch.device("meta"):
            twin = build_twin()
        self.twin = torch_twins.filled(twin, variables, grid).double()
        self.inputs = torch_twins.channels_first(self.images)
        self.module = getattr(self.twin, layer)
        with jax.enable_x64(True):
            double = jax.tree.map(lambda leaf: leaf.astype(np.float64), variables)
            self.forward = gc.tapped(model, double, layer)

            @jax.jit
            def run(forward, images, labels):
                def one(image, label):
                    return gc.layer_grads(forward, lambda logits: logits[label], image)

                return jax.vmap(one)(images, labels)

            self.logits, activations, gradients = run(self.forward, self.images, jnp.array(LABELS))
        self.activations, self.gradients = (np.asarray(values[layer]) for values in (activations, gradients))

    def peer(self, name) -> Any:
        """Returns pytorch-grad-cam's program of a name, entered."""
        return getattr(import_pytorch_grad_cam(), name)(model=self.twin, target_layers=[self.module])

    @functools.cached_property
    def targets(self):
        """pytorch-grad-cam's."""
        library = import_pytorch_grad_cam()
        return [library.utils.model_targets.ClassifierOutputTarget(label) for label in LABELS]

    @functools.cached_property
    def theirs(self):
        """Their activations and gradients, channels first."""
        with self.peer("GradCAM") as cam:
            cam(input_tensor=self.inputs, targets=self.targets)
            store = cam.activations_and_grads
            return store.activations[0].detach().numpy(), store.gradients[0].detach().numpy()

    def map_of(self, method):
        """Our signed maps of the two images."""
        with jax.enable_x64(True):
            return np.asarray(method(jnp.asarray(self.activations), jnp.asarray(self.gradients), rectify=False))

    def per_example(self, function, count=2):
        """Applies a function of (forward, image, label) to both images or the first, compiled in float64."""
        with jax.enable_x64(True):
            run = jax.jit(lambda forward, image, label: function(forward, image, label))
            return np.stack(
                [
                    run(self.forward, jnp.asarray(image), label)
                    for image, label in zip(self.images[:count], LABELS[:count], strict=True)
                ]
            )


def alexnet(size=(96, 96)):
    """AlexNet as torchvision has it."""
    return Lab(alexnet_torchvision, "relu5", 6, size, torch_twins.torch_alexnet_torchvision)


def vgg16(size=(64, 64)):
    """VGG-16 as torchvision has it, with narrow fully connected layers: the maps come before them."""
    build = functools.partial(vgg16_torchvision, hidden=64)
    return Lab(build, "relu5_3", 7, size, lambda: torch_twins.torch_vgg_torchvision((2, 2, 3, 3, 3)))


def like_pytorch_grad_cam(cams, size):
    """Normalises signed maps as pytorch-grad-cam does: rectified, min-max, enlarged, min-max once more."""
    small = np.maximum(cams, 0)

    def stretched(maps):
        maps = maps - maps.min((1, 2), keepdims=True)
        return maps / (1e-7 + maps.max((1, 2), keepdims=True))

    return stretched(np.asarray(gc.resize_half_pixel(jnp.asarray(stretched(small), jnp.float32), size)))


def gradient_rows(lab: Lab) -> Iterator[Row]:
    """Compares the maps of activations and gradients: raw, and as they leave the other programs."""
    for name, their_name in CLASSES.items():
        with lab.peer(their_name) as cam:
            raw = cam.get_cam_image(lab.inputs, lab.module, lab.targets, *lab.theirs, False)
            final = cam(input_tensor=lab.inputs, targets=lab.targets)
        ours = lab.map_of(LIKE_THEIRS[name])
        if name.startswith("eigen"):  # whose sign is LAPACK's there
            signs = np.sign((ours * raw).sum((1, 2), keepdims=True))
            yield Row(name, PGC, their_name, "raw map, up to its sign", relative_error(ours, signs * raw))
            ours = signs * ours
        else:
            yield Row(name, PGC, their_name, "raw map", relative_error(ours, raw))
        error = relative_error(like_pytorch_grad_cam(ours, lab.size), final)
        yield Row(name, PGC, their_name, "normalised map", error)
    with lab.peer("GradCAM") as cam:
        targets_of = import_pytorch_grad_cam().utils.model_targets.FinerWeightedTarget
        order = np.argsort(
            np.abs(np.asarray(lab.logits) - np.asarray(lab.logits)[[0, 1], LABELS][:, None]), axis=1
        )
        finer = [targets_of(label, row[1:4].tolist(), 1.0) for label, row in zip(LABELS, order, strict=True)]
        cam(input_tensor=lab.inputs, targets=finer)
        store = cam.activations_and_grads
        arrays = (values[0].detach().numpy() for values in (store.activations, store.gradients))
        raw = cam.get_cam_image(lab.inputs, lab.module, finer, *arrays, False)

    def finer_map(forward, image, label):
        grads = gc.layer_grads(forward, lambda logits: gc.finer_score(logits, label), image)
        return gc.grad_cam(grads.activations[lab.layer], grads.gradients[lab.layer], rectify=False)

    yield Row(
        "finer_cam",
        PGC,
        "GradCAM, FinerWeightedTarget",
        "raw map",
        relative_error(lab.per_example(finer_map), raw),
    )
    import captum.attr

    for name, method in (("grad_cam", "LayerGradCam"), ("hires_cam", "LayerGradientXActivation")):
        raw = getattr(captum.attr, method)(lab.twin, lab.module).attribute(lab.inputs, target=LABELS)
        raw = raw.sum(1).detach().numpy()
        yield Row(name, CAPTUM, method, "raw map", relative_error(lab.map_of(OURS[name]), raw))
    for name, method in (("grad_cam", "GradCAM"), ("layer_cam", "LayerCAM"), ("x_grad_cam", "XGradCAM")):
        rectified = np.maximum(lab.map_of(OURS[name]), 0)
        yield Row(name, TORCHCAM, method, "rectified map", relative_error(rectified, torchcam_map(lab, method)))


def torchcam_map(lab: Lab, method: str) -> np.ndarray:
    """Returns torch-cam's rectified maps, not normalised."""
    import torchcam.methods

    with getattr(torchcam.methods, method)(lab.twin, lab.layer, input_shape=(3, *lab.size)) as extractor:
        scores = lab.twin(lab.inputs)
        return extractor(LABELS, scores, normalized=False)[0].detach().numpy()


def evaluated_rows(lab: Lab) -> Iterator[Row]:
    """Compares what takes many passes: Ablation-CAM's and Score-CAM's weights of channels, of one image."""
    for name, their_name in (("ablation_cam", "AblationCAM"), ("score_cam", "ScoreCAM")):
        activations, gradients = (values[:1] for values in lab.theirs)
        with lab.peer(their_name) as cam, torch.no_grad():
            theirs = cam.get_cam_weights(lab.inputs[:1], lab.module, lab.targets[:1], activations, gradients)
        if name == "ablation_cam":  # theirs divides by the score, ours by its size
            theirs = theirs * np.sign(np.asarray(lab.logits)[0, LABELS[0]])
            ours = lab.per_example(functools.partial(_ablation_weights, layer=lab.layer), count=1)
        else:
            ours = lab.per_example(functools.partial(_score_weights, layer=lab.layer), count=1)
        yield Row(name, PGC, their_name, "weights of channels", relative_error(ours[:, 0], theirs))


def _ablation_weights(forward, image, label, *, layer):
    head = forward.at(()).resumed(layer)
    activation = forward({}, image)[1][layer]
    scores_of = jax.vmap(lambda values: head({}, values, image)[0][label][None])
    return ablation_weights(scores_of, activation, chunk_size=100)


def _score_weights(forward, image, label, *, layer):
    scores_of = jax.vmap(lambda image: forward({}, image)[0][label][None])
    return score_weights(scores_of, image, forward({}, image)[1][layer], chunk_size=16)


def pixel_rows(lab: Lab) -> Iterator[Row]:
    """Compares gradients at the pixels and occlusion."""
    import captum.attr

    def saliency(forward, image, label):
        return gc.input_grad(forward, lambda logits: logits[label], image)

    def integrated(forward, image, label):
        return gc.integrated_gradients(forward, lambda logits: logits[label], image, steps=STEPS)

    def deconvnet(forward, image, label):
        return saliency(forward.with_relu_rule(gc.deconvolved), image, label)

    def guided(forward, image, label):
        return saliency(forward.with_relu_rule(gc.guided), image, label)

    calls = {
        "input_grad": (saliency, "Saliency", {"abs": False}),
        "integrated_gradients": (integrated, "IntegratedGradients", {"n_steps": STEPS}),
        "deconvnet": (deconvnet, "Deconvolution", {}),
        "guided_backprop": (guided, "GuidedBackprop", {}),
    }
    for name, (ours, their_name, options) in calls.items():
        inputs = lab.inputs.clone().requires_grad_()
        theirs = getattr(captum.attr, their_name)(lab.twin).attribute(inputs, target=LABELS, **options)
        error = relative_error(lab.per_example(ours), torch_twins.channels_last(theirs))
        yield Row(name, CAPTUM, their_name, "gradient at the pixels", error)
    theirs = captum.attr.Occlusion(lab.twin).attribute(
        lab.inputs, (3, *WINDOW), strides=(3, *STRIDE), target=LABELS, perturbations_per_eval=16
    )
    with jax.enable_x64(True):
        labels = jnp.array(LABELS)[:, None]
        ours = gc.occlusion(lab.forward, jnp.asarray(lab.images), labels, window=WINDOW, stride=STRIDE).cam
    error = relative_error(ours[:, 0], torch_twins.channels_last(theirs)[..., 0])
    yield Row("occlusion", CAPTUM, "Occlusion", "map at the pixels", error)


def resize_rows(lab: Lab) -> Iterator[Row]:
    """Compares the two rules by which a map is enlarged with torch's."""
    cam = np.maximum(lab.map_of(gc.grad_cam), 0)
    for name, corners in (("resize_half_pixel", False), ("resize_corner_aligned", True)):
        ours = getattr(gc, name)(jnp.asarray(cam, jnp.float32), (224, 224))
        theirs = torch_resized(cam, "bilinear", align_corners=corners)
        call = f"interpolate(mode='bilinear', align_corners={corners})"
        yield Row(name, "torch", call, "enlarged map", relative_error(ours, theirs))


def torch_resized(cam, mode, **options):
    """Returns maps enlarged to 224 by 224 by torch's rule of a name."""
    return torch.nn.functional.interpolate(torch.tensor(cam)[:, None], (224, 224), mode=mode, **options)[
        :, 0
    ].numpy()
