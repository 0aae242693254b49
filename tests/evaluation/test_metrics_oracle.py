"""The tests of faithfulness against torch-cam's and pytorch-grad-cam's, on one small network written twice."""

import contextlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradcam_jax.evaluation.confidence import confidence_change
from gradcam_jax.evaluation.curves import deletion, insertion
from gradcam_jax.evaluation.imputation import PERCENTILES, imputed, road
from gradcam_jax.evaluation.perturbed import blurred
from gradcam_jax.experiments.benchmark.peers import import_pytorch_grad_cam
from tests.comparison import assert_close, random_images

torch = pytest.importorskip("torch", reason="compares with torch's libraries: install the extra `oracle`")
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # numpy's, about torch's arrays
]

HEIGHT, WIDTH = 20, 28
LABELS = [3, 1, 6]
IMAGES = random_images(3, HEIGHT, WIDTH)
HEATMAPS = np.random.default_rng(3).random((3, HEIGHT, WIDTH), np.float32)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 12, 5, padding=2)
        self.fc = torch.nn.Linear(12, 8)
        for parameter in self.parameters():
            parameter.requires_grad_(False)

    def forward(self, x):
        return 12 * self.fc(torch.relu(self.conv(x)).mean(dim=(2, 3)))


NET = Net().eval()
CONV, CONV_BIAS, DENSE, DENSE_BIAS = (np.asarray(value) for value in NET.state_dict().values())


def probability(label):
    """The same network here: a class's probability of one image."""

    def score(image):
        hidden = jax.lax.conv_general_dilated(
            image[jnp.newaxis],
            CONV.transpose(2, 3, 1, 0),
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision="highest",
        )
        means = jnp.mean(jax.nn.relu(hidden + CONV_BIAS.reshape(1, 1, 1, -1)), axis=(1, 2))[0]
        return jax.nn.softmax(12 * (jnp.matmul(DENSE, means, precision="highest") + DENSE_BIAS))[label]

    return score


def to_torch(images):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, 1)))


class GivenMaps:
    """What torch-cam's metrics ask of a method: these maps."""

    model = NET

    def __call__(self, class_idx, scores):
        return [torch.from_numpy(HEATMAPS)]

    def fuse_cams(self, cams):
        return cams[0]

    def _hooks_off(self):
        return contextlib.nullcontext()


def torchcam_summary(name, **options):
    metrics = pytest.importorskip("torchcam.metrics", reason="compares with torch-cam: install the extra `oracle`")
    metric = getattr(metrics, name)(GivenMaps(), lambda logits: torch.softmax(logits, dim=-1), **options)
    metric.update(to_torch(IMAGES), class_idx=LABELS)
    return metric.summary()


def over_images(function):
    return [
        function(probability(label), image, heatmap)
        for label, image, heatmap in zip(LABELS, IMAGES, HEATMAPS, strict=True)
    ]


def test_both_networks_are_one():
    logits = torch.softmax(NET(to_torch(IMAGES)), dim=-1).numpy()
    expected = logits[np.arange(3), LABELS]
    assert_close([probability(label)(image) for label, image in zip(LABELS, IMAGES, strict=True)], expected)
    assert expected.min() > 0.01


def test_average_drop_and_increase_are_torch_cams():
    expected = torchcam_summary("ClassificationMetric")
    changes = over_images(confidence_change)
    assert 0 < expected["conf_increase"] < 1  # the labels are chosen so that there are both
    assert np.mean([float(change.drop) for change in changes]) == pytest.approx(expected["avg_drop"], rel=1e-5)
    assert np.mean([bool(change.increase) for change in changes]) == expected["conf_increase"]


@pytest.mark.parametrize("steps", [20, 7])
def test_deletion_and_insertion_are_torch_cams(steps):
    fills = np.stack([np.asarray(blurred(image)) for image in IMAGES])
    expected = torchcam_summary("DeletionInsertionMetric", steps=steps, baseline=to_torch(fills))
    blank = torchcam_summary("DeletionInsertionMetric", steps=steps)

    def area(curve):
        return lambda *arguments: float(curve(*arguments, steps=steps).area)

    assert np.mean(over_images(area(insertion))) == pytest.approx(expected["insertion_auc"], rel=1e-5)
    assert np.mean(over_images(area(deletion))) == pytest.approx(blank["deletion_auc"], rel=1e-5)


@pytest.fixture
def their_road():
    if "cv2" not in sys.modules:
        pytest.importorskip("cv2", reason="compares with pytorch-grad-cam: install the extra `oracle`")
    import_pytorch_grad_cam()
    return __import__("pytorch_grad_cam.metrics.road", fromlist=["road"])


@pytest.mark.parametrize("percentile", [10, 50, 90])
def test_imputation_is_pytorch_grad_cams(their_road, percentile):
    known = HEATMAPS[0] < np.percentile(HEATMAPS[0], percentile)
    (image,) = to_torch(IMAGES[:1])
    expected = their_road.NoisyLinearImputer(noise=0)(image, torch.from_numpy(known.astype(np.float32)))
    found = imputed(jnp.asarray(IMAGES[0]), jnp.asarray(known), tolerance=1e-7)
    assert_close(np.moveaxis(np.asarray(found), -1, 0), expected.numpy(), 2e-5)


def test_road_is_pytorch_grad_cams(their_road, monkeypatch):
    monkeypatch.setattr(their_road.torch, "randn_like", torch.zeros_like)  # its noise cannot be turned off
    targets = [lambda logits, label=label: torch.softmax(logits, dim=-1)[label] for label in LABELS]
    metric = their_road.ROADCombined(percentiles=list(PERCENTILES))
    expected = metric(to_torch(IMAGES), HEATMAPS, targets, NET)
    key = jax.random.key(0)
    found = over_images(lambda score, image, heatmap: road(score, image, heatmap, key, noise=0.0).combined)
    assert np.abs(expected).max() > 0.01
    assert_close(np.array(found), expected, 1e-3)  # conjugate gradients end at 1e-5 of the right side's length
