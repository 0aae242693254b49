"""The peers' side of the benchmark: the torch libraries, each called as its documentation says.

Times are what a user waits for: pytorch-grad-cam enlarges and normalises its maps in every call, captum and
torch-cam are asked for raw ones. Frozen weights are the user's cheapest setting, and channels-last images the
fastest layout of torch's convolutions on CPUs; "default" is neither. On GPUs float32 is exact here, which is not
torch's own default for convolutions.
"""

# Libraries of an extra, which need not be here for the package to be checked.
# pyright: reportMissingImports=false

import functools
import sys
import types
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, NamedTuple

from gradcam_jax.experiments.benchmark.models import published_entry
from gradcam_jax.experiments.benchmark.torch_nets import torch_alexnet_caffe, torch_vgg
from gradcam_jax.experiments.benchmark.work import Prepared, Task, UnsupportedError, class_indices

_LITE0 = "efficientnet_lite0"
# Model -> (how it is built, its layer). Lite0's rectifiers are one module: hooks go before it.
_NETS: dict[str, tuple[Callable[[], Any], str]] = {
    "vgg16": (lambda: torch_vgg((2, 2, 3, 3, 3)), "relu5_3"),
    "vgg19": (lambda: torch_vgg((2, 2, 4, 4, 4)), "relu5_4"),
    "alexnet": (torch_alexnet_caffe, "relu5"),
    _LITE0: (lambda: _torch_lite0(), "_bn1"),
}


class TorchSide:
    """One torch library; keeps one model from task to task."""

    def __init__(self, library: str, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self._library = library
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model: tuple[str, Any, Any] | None = None

    def about(self) -> dict[str, Any]:
        """Returns the versions of torch and of the library."""
        import torch

        package = {"captum": "captum", "torch-cam": "torchcam"}.get(self._library, "grad-cam")
        own = "" if self._library == "torch" else f", {package} {version(package)}"
        return {"version": f"torch {torch.__version__}{own}", "device": self._device}

    def prepare(self, task: Task) -> Prepared:
        """Builds the net and the call."""
        import torch

        if self._device == "cuda":
            torch.cuda.empty_cache()  # torch keeps what the last task took, which the others may need
        calls = _CALLS[self._library]
        if task.work not in calls or task.model not in _NETS:
            raise UnsupportedError(f"{self._library} has no {task.work}")
        if task.model == _LITE0 and task.work.startswith("guided"):
            raise UnsupportedError("its guided rule knows ReLU alone, not ReLU6")
        dtype = self._set_precision(task.precision)
        layer, side = _NETS[task.model][1], published_entry(task.model).size
        default = self._library.endswith("(default)")
        model = self._load(task.model, default, dtype)
        images = torch.randn(task.batch_size, 3, side, side, device=self._device, dtype=dtype)
        if not default:
            images = images.contiguous(memory_format=torch.channels_last).requires_grad_(task.work != "forward")
        labels = class_indices(task.batch_size, 10 if task.work == "ten_classes" else 1)
        by_class = [list(row) for row in zip(*labels, strict=True)]
        call = calls[task.work](_Work(model, getattr(model, layer), images, by_class))
        if task.work.startswith("guided"):
            self._model = None  # its rectifiers may have been swapped for good

        def run() -> Any:
            result = call()
            if self._device == "cuda":
                torch.cuda.synchronize()
            return result

        return Prepared(run, {})

    def _set_precision(self, precision: str) -> Any:
        """Sets how torch computes float32, for this process, and returns the type of weights and images."""
        import torch

        if precision == "tensorfloat32" and self._device != "cuda":
            raise UnsupportedError("there is no tensorfloat32 on CPUs")
        if precision == "bfloat16" and self._library.startswith("pytorch-grad-cam"):
            raise UnsupportedError("its maps are made by numpy, which has no bfloat16")
        torch.backends.cuda.matmul.allow_tf32 = precision == "tensorfloat32"
        torch.backends.cudnn.allow_tf32 = precision == "tensorfloat32"
        return torch.bfloat16 if precision == "bfloat16" else torch.float32

    def _load(self, name: str, default: bool, dtype: Any) -> Any:
        import torch

        if self._model is None or self._model[:2] != (name, dtype):
            self._model = None
            torch.manual_seed(0)
            with torch.device(self._device):
                model = _NETS[name][0]().eval().to(self._device)
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    torch.nn.init.kaiming_normal_(parameter, nonlinearity="relu")
            if not default:
                model = model.requires_grad_(False).to(memory_format=torch.channels_last)
            self._model = name, dtype, model.to(dtype)
        return self._model[2]


def _torch_lite0() -> Any:
    from efficientnet_lite_pytorch import EfficientNet

    return EfficientNet.from_name("efficientnet-lite0")


class _Work(NamedTuple):
    """What a peer is given: a net, its layer, images, and for every class asked about one index an image."""

    model: Any
    layer: Any
    images: Any
    labels: list[list[int]]


def _forward(work: _Work) -> Callable[[], Any]:
    import torch

    return torch.inference_mode()(lambda: work.model(work.images))


def _captum_maps(work: _Work) -> Callable[[], Any]:
    from captum.attr import LayerGradCam

    method = LayerGradCam(work.model, work.layer)
    return lambda: [method.attribute(work.images, target=row, relu_attributions=False) for row in work.labels]


def _captum_guided(work: _Work) -> Callable[[], Any]:
    from captum.attr import GuidedBackprop

    method = GuidedBackprop(work.model)
    return lambda: method.attribute(work.images, target=work.labels[0])


def _captum_guided_cam(work: _Work) -> Callable[[], Any]:
    from captum.attr import GuidedGradCam

    method = GuidedGradCam(work.model, work.layer)
    return lambda: method.attribute(work.images, target=work.labels[0], interpolate_mode="bilinear")


def _torch_cam_maps(work: _Work) -> Callable[[], Any]:
    from torchcam.methods import GradCAM

    method, last = GradCAM(work.model, work.layer), len(work.labels) - 1

    def run() -> Any:
        scores, rows = work.model(work.images), enumerate(work.labels)
        return [method(row, scores, normalized=False, retain_graph=index < last) for index, row in rows]

    return run


def _pytorch_grad_cam_maps(work: _Work) -> Callable[[], Any]:
    library = import_pytorch_grad_cam()
    method = library.GradCAM(model=work.model, target_layers=[work.layer])
    target = library.utils.model_targets.ClassifierOutputTarget
    return lambda: [method(input_tensor=work.images, targets=[*map(target, row)]) for row in work.labels]


def _pytorch_grad_cam_methods(work: _Work) -> Callable[[], Any]:
    library = import_pytorch_grad_cam()
    kinds = (
        *(library.GradCAM, library.HiResCAM, library.GradCAMPlusPlus, library.XGradCAM, library.LayerCAM),
        *(library.GradCAMElementWise, library.EigenCAM, library.EigenGradCAM),
    )
    methods = [kind(model=work.model, target_layers=[work.layer]) for kind in kinds]
    targets = [*map(library.utils.model_targets.ClassifierOutputTarget, work.labels[0])]
    return lambda: [method(input_tensor=work.images, targets=targets) for method in methods]


def _pytorch_grad_cam_ablation(work: _Work) -> Callable[[], Any]:
    library = import_pytorch_grad_cam()
    method = library.AblationCAM(model=work.model, target_layers=[work.layer])
    targets = [*map(library.utils.model_targets.ClassifierOutputTarget, work.labels[0])]
    return lambda: method(input_tensor=work.images, targets=targets)


def _pytorch_grad_cam_guided(work: _Work) -> Callable[[], Any]:
    # It takes one image at a time, and swaps the model's rectifiers for good.
    method = import_pytorch_grad_cam().GuidedBackpropReLUModel(model=work.model, device=work.images.device)
    singles = list(zip(work.images.detach().split(1), work.labels[0], strict=True))
    return lambda: [method(image.clone(), target_category=label) for image, label in singles]


@functools.cache
def import_pytorch_grad_cam() -> Any:
    """Imports pytorch-grad-cam. It wants torchvision for helpers that are not used here."""
    try:
        import torchvision.transforms  # noqa: F401
    except (ImportError, RuntimeError):  # it is missing, or was built for another torch
        _forget_torchvision()
        unused = {"transforms": ("Compose", "Normalize", "ToTensor"), "transforms.functional": ("resize",)}
        sys.modules["torchvision"] = types.ModuleType("torchvision")
        for module, functions in unused.items():
            sys.modules[f"torchvision.{module}"] = types.ModuleType(f"torchvision.{module}")
            for function in functions:
                setattr(sys.modules[f"torchvision.{module}"], function, None)
        try:
            import pytorch_grad_cam
        finally:
            _forget_torchvision()  # whoever asks for it next meets no stand-in
    else:
        import pytorch_grad_cam
    return pytorch_grad_cam


def _forget_torchvision() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]


_CAPTUM = {
    "grad_cam": _captum_maps,
    "ten_classes": _captum_maps,
    "guided_backprop": _captum_guided,
    "guided_grad_cam": _captum_guided_cam,
}
_PYTORCH_GRAD_CAM = {
    "grad_cam": _pytorch_grad_cam_maps,
    "ten_classes": _pytorch_grad_cam_maps,
    "gradient_methods": _pytorch_grad_cam_methods,
    "ablation_cam": _pytorch_grad_cam_ablation,
}
_CALLS: dict[str, dict[str, Callable[[_Work], Callable[[], Any]]]] = {
    "torch": {"forward": _forward},
    "captum": _CAPTUM,
    "torch-cam": {"grad_cam": _torch_cam_maps, "ten_classes": _torch_cam_maps},
    "pytorch-grad-cam (default)": _PYTORCH_GRAD_CAM | {"guided_backprop": _pytorch_grad_cam_guided},
    "pytorch-grad-cam (frozen)": _PYTORCH_GRAD_CAM,
}

PEERS = tuple(_CALLS)
"""Every peer's name."""
