"""Where programs disagree with each other or with the papers, measured."""

import copy
from collections.abc import Iterator

import numpy as np

import gradcam_jax as gc
from gradcam_jax.experiments.benchmark.peers import import_pytorch_grad_cam
from tests.attribution.method_peers import PGC, TORCHCAM, Lab, Row, torch_resized, torchcam_map
from tests.comparison import relative_error


def disagreements(lab: Lab) -> Iterator[Row]:
    """Where programs disagree with each other or with the papers, by how much."""
    ours = lab.map_of(gc.grad_cam_plusplus)
    with lab.peer("GradCAMPlusPlus") as cam:
        raw = cam.get_cam_image(lab.inputs, lab.module, lab.targets, *lab.theirs, False)
    yield Row(
        "grad_cam_plusplus", PGC, "GradCAMPlusPlus", "epsilon of 1e-6, against Eq. 19", relative_error(ours, raw)
    )
    theirs = torchcam_map(lab, "GradCAMpp")
    what = "division that acts on a copy, against Eq. 19, both divided by their maxima"
    yield Row(
        "grad_cam_plusplus",
        TORCHCAM,
        "GradCAMpp",
        what,
        relative_error(of_its_maximum(ours), of_its_maximum(theirs)),
    )
    undivided = np.maximum(lab.gradients, 0) * lab.gradients**2
    undivided = np.einsum("nhwk,nk->nhw", lab.activations, undivided.sum((1, 2)))
    error = relative_error(undivided, theirs)
    yield Row("grad_cam_plusplus", TORCHCAM, "GradCAMpp", "the same, against the sum of relu(g) g^2", error)
    yield in_place_row(lab)
    cam = np.maximum(lab.map_of(gc.grad_cam), 0)
    half_pixel = torch_resized(cam, "bilinear", align_corners=False)
    rules = {
        "corner-aligned, of the original program and UpsamplingBilinear2d": ("bilinear", {"align_corners": True}),
        "bicubic": ("bicubic", {"align_corners": False}),
        "nearest, captum's default": ("nearest", {}),
    }
    for rule, (mode, options) in rules.items():
        error = relative_error(torch_resized(cam, mode, **options), half_pixel)
        yield Row("enlarging", "torch", f"interpolate(mode={mode!r})", f"{rule}, against half-pixel", error)


def of_its_maximum(cams):
    """Divides each rectified map by its maximum."""
    rectified = np.maximum(cams, 0)
    return rectified / rectified.max((1, 2), keepdims=True)


def in_place_row(lab: Lab) -> Row:
    """Grad-CAM at a convolution whose ReLU works in place: what pytorch-grad-cam's hook sees is overwritten."""
    layer = lab.layer.replace("relu", "conv")
    twin = copy.deepcopy(lab.twin)
    getattr(twin, lab.layer).inplace = True
    module = getattr(twin, layer)
    with import_pytorch_grad_cam().GradCAM(model=twin, target_layers=[module]) as cam:
        cam(input_tensor=lab.inputs, targets=lab.targets)
        store = cam.activations_and_grads
        arrays = (values[0].detach().numpy() for values in (store.activations, store.gradients))
        theirs = cam.get_cam_image(lab.inputs, module, lab.targets, *arrays, False)

    def map_at_convolution(forward, image, label):
        grads = gc.layer_grads(forward.at(layer), lambda logits: logits[label], image)
        return gc.grad_cam(grads.activations[layer], grads.gradients[layer], rectify=False)

    error = relative_error(theirs, lab.per_example(map_at_convolution))
    return Row("grad_cam", PGC, "GradCAM", "at a convolution before an in-place ReLU", error)
