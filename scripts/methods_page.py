"""Writes docs/methods.md: every method, and to how many digits it equals other programs, measured here and now.

  python scripts/methods_page.py

Needs the extra `oracle`. AlexNet and VGG-16 get the same random weights here and in torch; the comparisons are
those of tests/attribution/method_peers.py, which the tests hold to 1e-5. Takes some minutes on two cores.
"""

import math
import pathlib
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import version
from typing import NamedTuple

from absl import app, flags

_ROOT = pathlib.Path(__file__).resolve().parents[1]
# The comparisons of the test suite: the page shows what the tests hold.
sys.path.insert(0, str(_ROOT))

_OUT = flags.DEFINE_string("out_path", str(_ROOT / "docs" / "methods.md"), "The page.")


class Method(NamedTuple):
    """What the page says of a method."""

    name: str
    equation: str
    use: str
    reference: str


_PAIRS = (
    Method(
        "grad_cam",
        "Σₖ mean(gᵏ) Aᵏᵢⱼ",
        "The default: which regions speak for a target. Needs only that the layer has positions.",
        "Selvaraju et al., [arXiv:1610.02391](https://arxiv.org/abs/1610.02391), Eq. 1 and 2",
    ),
    Method(
        "counterfactual_grad_cam",
        "Σₖ mean(−gᵏ) Aᵏᵢⱼ",
        "What would have to go for the model to be surer.",
        "the same, section 3.3",
    ),
    Method(
        "hires_cam",
        "Σₖ gᵏᵢⱼ Aᵏᵢⱼ",
        "Where no position may be shown that the model did not use; equals Grad-CAM before a global mean pooling.",
        "Draelos and Carin, [arXiv:2011.08891](https://arxiv.org/abs/2011.08891)",
    ),
    Method(
        "grad_cam_plusplus",
        "Σₖ (Σ αᵏ ReLU(gᵏ)) Aᵏᵢⱼ, α = g² / (2g² + g³ ΣA)",
        "Several objects of one class. `epsilon=1e-6` adds pytorch-grad-cam's epsilon; Eq. 19 has none.",
        "Chattopadhay et al., [arXiv:1710.11063](https://arxiv.org/abs/1710.11063), Eq. 7 and 19",
    ),
    Method(
        "x_grad_cam",
        "Σₖ (Σ gᵏ Aᵏ / Σ Aᵏ) Aᵏᵢⱼ",
        "Weights of channels whose map keeps HiResCAM's sum.",
        "Fu et al., [arXiv:2008.02312](https://arxiv.org/abs/2008.02312)",
    ),
    Method(
        "layer_cam",
        "Σₖ ReLU(gᵏᵢⱼ) Aᵏᵢⱼ",
        "Early layers, with fine detail; fuse several layers with `fuse_maps`.",
        "Jiang et al., IEEE Transactions on Image Processing 30 (2021)",
    ),
    Method(
        "grad_cam_elementwise",
        "Σₖ ReLU(gᵏᵢⱼ Aᵏᵢⱼ)",
        "Layers that are not behind a ReLU; behind one it is LayerCAM.",
        "pytorch-grad-cam",
    ),
    Method(
        "eigen_cam",
        "first principal component of A",
        "What the layer sees at all: the same map for every target.",
        "Muhammad and Yeasin, [arXiv:2008.00299](https://arxiv.org/abs/2008.00299)",
    ),
    Method("eigen_grad_cam", "first principal component of g A", "EigenCAM of one target.", "pytorch-grad-cam"),
)
_OTHERS = (
    Method(
        "finer_cam",
        "Grad-CAM of Σ p_d (y_c − γ y_d) / Σ p_d",
        "What tells a class from those nearest to it: breeds, models of a car. In Python "
        "`explain(..., score=gc.finer_score)`, with any method.",
        "Zhang et al., [arXiv:2501.11309](https://arxiv.org/abs/2501.11309)",
    ),
    Method(
        "ablation_cam",
        "Σₖ ((y − yₖ) / \\|y\\|) Aᵏᵢⱼ, yₖ without channel k",
        "Where gradients saturate. An evaluation of the layers after the mapped one a channel.",
        "Desai and Ramaswamy, WACV 2020",
    ),
    Method(
        "score_cam",
        "Σₖ softmaxₖ(y(X ∘ Hₖ)) Aᵏᵢⱼ",
        "No gradient at all. A pass through the whole model a channel, since the image changes.",
        "Wang et al., [arXiv:1910.01279](https://arxiv.org/abs/1910.01279)",
    ),
    Method(
        "smooth_grad_cam",
        "mean of the maps of noisy images",
        "Maps that change with a little noise. The PRNG argument is `key`.",
        "Smilkov et al., [arXiv:1706.03825](https://arxiv.org/abs/1706.03825)",
    ),
    Method(
        "augmented_cam",
        "mean of the maps of mirrored and brightened images",
        "Test-time augmentation: smoother edges.",
        "pytorch-grad-cam's `aug_smooth`",
    ),
    Method(
        "occlusion",
        "mean loss of the windows that hide a pixel",
        "A check that needs no layer; at the image's resolution.",
        "Zeiler and Fergus, [arXiv:1311.2901](https://arxiv.org/abs/1311.2901)",
    ),
    Method(
        "rise",
        "mean of random masks, by the probability each leaves",
        "The same with masks of every shape; thousands of passes.",
        "Petsiuk et al., [arXiv:1806.07421](https://arxiv.org/abs/1806.07421)",
    ),
)
_PIXELS = (
    Method(
        "input_grad", "∂y / ∂x", "Saliency.", "Simonyan et al., [arXiv:1312.6034](https://arxiv.org/abs/1312.6034)"
    ),
    Method(
        "input_grad` of `forward.with_relu_rule(gc.guided)",
        "f′(x) ReLU(g) at each rectifier",
        "Guided backpropagation: fine detail; `explain(..., guided=True)` makes it in the same pass.",
        "Springenberg et al., [arXiv:1412.6806](https://arxiv.org/abs/1412.6806)",
    ),
    Method(
        "input_grad` of `forward.with_relu_rule(gc.deconvolved)",
        "ReLU(g) at each rectifier",
        "The deconvnet.",
        "Zeiler and Fergus, [arXiv:1311.2901](https://arxiv.org/abs/1311.2901)",
    ),
    Method(
        "smooth_grad",
        "mean of ∂y / ∂x of noisy images",
        "Saliency with less noise.",
        "Smilkov et al., [arXiv:1706.03825](https://arxiv.org/abs/1706.03825)",
    ),
    Method(
        "integrated_gradients",
        "(x − x′) ∫ ∂y / ∂x",
        "Parts that add up to the score's difference from a baseline.",
        "Sundararajan et al., [arXiv:1703.01365](https://arxiv.org/abs/1703.01365)",
    ),
    Method(
        "guided_grad_cam",
        "map times guided backpropagation",
        "Fine detail of one target alone.",
        "Selvaraju et al., [arXiv:1610.02391](https://arxiv.org/abs/1610.02391), section 3.2",
    ),
)

_HEAD = """# Methods

Made by `python scripts/methods_page.py`. Aᵏᵢⱼ is the layer's activation in channel k at the position (i, j),
g its gradient, y the target's score. A map has only what speaks for the target where it is drawn (ReLU);
`explain` returns it signed.

```sh
python scripts/explain.py --methods grad_cam,hires_cam,layer_cam,eigen_cam   # side by side, from one forward pass
python scripts/explain.py --images photos/ --methods layer_cam,ablation_cam --out_path run
```

Files carry the method's name (`classify_layer_cam_hm_243.png`, `classify_layer_cam_overlay_243.png`), and so
do the arrays in `explanation.npz` and in a run's shards; a caption's words have `word_layer_cam`. `cam` is
always Grad-CAM.

```python
import jax.numpy as jnp, gradcam_jax as gc

forward = gc.tapped_functions({"features": jnp.sin, "head": lambda x: x.mean((0, 1))}, "features")
images, labels = jnp.ones((2, 8, 8, 3)), jnp.array([[0, 2], [1, 2]])
maps = gc.explain(forward, images, labels, method={"grad_cam": gc.grad_cam, "layer_cam": gc.layer_cam}).cam
ablated = gc.ablation_cam(forward, images, labels).cam  # (2, 2, 8, 8), signed
```

## From one forward and one backward pass

Functions `method(activations, gradients, *, rectify=True)` of arrays `(..., h, w, k)`: cheap, differentiable,
for signals and volumes too."""

_DISAGREE = """## Where programs disagree

Differences as a share of the largest magnitude, on the same AlexNet: what to know before two programs' maps
are compared."""

_NOTES = """
- **Grad-CAM++**: Eq. 19 is 1 / (2 + g ΣA), which needs no epsilon behind a ReLU. pytorch-grad-cam adds 1e-6
  to 2g² + g³ΣA; where gradients are small that outweighs g². torch-cam divides a copy of alpha, so its maps
  are those of relu(g) g².
- **Ablation-CAM** here and in pytorch-grad-cam are equal where the score is positive. They divide by the
  score, which turns the map of a negative one upside down; here it is divided by its size. Where a layer's
  least value is not 0 they put a number of -1e7 and less in the channel's place; here, as in the paper, it is
  0.
- **Score-CAM** is pytorch-grad-cam's: enlarged with aligned corners, then stretched to [0, 1], the softmax
  over the scores. torch-cam stretches first and enlarges by the half-pixel rule.
- **EigenCAM** is centred, as in pytorch-grad-cam; the paper's is not. A component has no sign: theirs is what
  LAPACK returns, here the map rises with the activations (EigenCAM) or with HiResCAM (EigenGrad-CAM).
- **Several layers**: pytorch-grad-cam takes the mean, torch-cam the maximum, `fuse_maps` the mean.
- **Map a layer behind its ReLU** when comparing: where the ReLU works in place, the convolution's output is
  overwritten before pytorch-grad-cam has read it."""


def main(arguments: list[str]) -> None:
    """Measures, and writes the page."""
    if len(arguments) > 1:
        raise app.UsageError(f"Expected flags only, got {' '.join(arguments[1:])!r}.")
    from tests.attribution import method_peers as peers
    from tests.attribution.method_disagreements import disagreements

    alexnet, vgg16 = peers.alexnet((96, 128)), peers.vgg16((64, 96))
    rows = [*peers.gradient_rows(alexnet), *peers.gradient_rows(vgg16)]
    rows += [*peers.evaluated_rows(alexnet), *peers.pixel_rows(alexnet), *peers.resize_rows(alexnet)]
    parts = [_HEAD, _methods(_PAIRS)]
    parts += ["## By passes of their own\n\nVerbs `verb(forward, images, targets, *inputs, ...)` like `explain`."]
    parts += [_methods(_OTHERS), "## At the pixels\n\nOf one example, for `jax.vmap`.", _methods(_PIXELS)]
    parts += [
        _agreement_head(),
        _table(("method", "program", "compared", "difference", "digits"), _agreements(rows)),
    ]
    parts += [_DISAGREE, _table(("what", "program", "difference"), _disagreements(disagreements(alexnet)))]
    pathlib.Path(_OUT.value).write_text("\n\n".join([*parts, _NOTES.strip()]) + "\n", encoding="utf-8")
    print(f"wrote {_OUT.value}")


def _methods(methods: Iterable[Method]) -> str:
    cells = ((f"`{one.name}`", one.equation, one.use, one.reference) for one in methods)
    return _table(("name", "map", "when to use it", "reference"), cells)


def _agreement_head() -> str:
    packages = {"grad-cam": "pytorch-grad-cam", "captum": "captum", "torchcam": "torch-cam", "torch": "torch"}
    peers = ", ".join(f"{name} {version(package)}" for package, name in packages.items())
    return (
        "## To how many digits programs agree\n\n"
        "AlexNet (96x128) and VGG-16 (64x96), He-normal weights, two images with a class each, float64 up to the\n"
        "gradients, maps in float32. The difference is the largest as a share of the largest magnitude, over\n"
        f"both nets. {peers};\njax {version('jax')} on {platform.machine()}."
    )


def _agreements(rows: Iterable) -> list[tuple[str, ...]]:
    worst: dict[tuple[str, ...], float] = {}
    for row in rows:
        key = (f"`{row.method}`", f"{row.peer}: {row.call}", row.what)
        worst[key] = max(worst.get(key, 0.0), row.error)
    return [(*key, f"{error:.1e}", str(_digits(error))) for key, error in worst.items()]


def _disagreements(rows: Iterable) -> list[tuple[str, ...]]:
    return [
        (f"{row.method.replace('_', ' ')}: {row.what}", f"{row.peer}: {row.call}", f"{row.error:.1e}")
        for row in rows
    ]


def _digits(error: float) -> int:
    return math.floor(-math.log10(max(error, 1e-16)))


def _table(head: tuple[str, ...], cells: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    app.run(main)
