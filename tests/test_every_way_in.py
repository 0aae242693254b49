"""One photo explained by every way in, for every task: the same maps and the same guided gradients.

One function computes them all; what differs is who calls it, with which batch, and where the results are read.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

import gradcam_jax as gc
from gradcam_jax.app.many_photos import explain_many
from gradcam_jax.app.one_photo import explain_one
from gradcam_jax.app.options import Options, make_task
from gradcam_jax.engine.spec import class_score
from gradcam_jax.experiments.benchmark.own import PROGRAMS
from gradcam_jax.images import read_photo, to_network, to_rgb
from gradcam_jax.tasks.spoken import span_score
from gradcam_jax.tasks.task import explain_photo
from gradcam_jax.zoo import MODELS, write_checkpoint
from tests.models.small_captioner import word_masks
from tests.tasks.small_tasks import photo, small

# Task -> number of targets -> what is asked. Of a caption the targets are its words, and the whole of it.
REQUESTS = {
    "classification": {1: {"label": "boxer"}, 3: {"label": "tench, boxer, goldfish"}},
    "vqa": {
        1: {"question": "What animal is this?", "answer": "dog"},
        3: {"question": "Is this a yak?", "answer": "a cup, no, dog"},
    },
    "captioning": {
        1: {"caption": "grass", "beam_size": 1},
        3: {"caption": "dog and cat", "beam_size": 1},
    },
}
SCORES = {"classification": class_score, "vqa": class_score, "captioning": span_score}
GUIDED = ("guided_backprop", "guided_grad_cam")
NAME = "photo.png"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Two photos in a folder, and a checkpoint of a small model for each task."""
    folder = tmp_path_factory.mktemp("every_way_in")
    (folder / "photos").mkdir()
    for seed, name in enumerate((NAME, "another.png")):
        PIL.Image.fromarray(photo(seed)).save(folder / "photos" / name)
    with pytest.MonkeyPatch.context() as patch:
        for task in REQUESTS:
            loaded = small(task)
            patch.setitem(MODELS, loaded.name, loaded.entry)
            write_checkpoint(folder / f"{task}.safetensors", loaded.variables, loaded.card)
        yield folder


class Case:
    """What is asked of the photo, and the arrays that ``explain`` takes for it."""

    def __init__(self, lab, name, request, guided):
        self.lab, self.name, self.request, self.guided = lab, name, request, guided
        self.methods = ("grad_cam", *GUIDED) if guided else ("grad_cam",)
        self.options = functools.partial(
            Options, task=name, model=str(lab / f"{name}.safetensors"), methods=",".join(self.methods), **request
        )
        self.task = make_task(self.options(input_image_path=str(lab / "photos" / NAME)))
        arrays = self.task.encode({})
        targets = arrays["targets"] if "targets" in arrays else word_masks(int(arrays["length"]))
        self.arguments = targets, *(arrays[name] for name in self.task.plan.inputs)
        self.score = SCORES[name]
        self.guided_targets = slice(0, 1) if name == "captioning" else slice(None)

    def image(self, name=NAME):
        """Returns what the model takes of a photo."""
        preprocessing = self.task.plan.preprocessing
        image = preprocessing.resize(read_photo(self.lab / "photos" / name), self.task.size).image
        return to_network(image, preprocessing)

    def batch(self, *names):
        """Returns images and the rest of the arguments, each with a leading axis."""
        return jax.tree.map(
            lambda *leaves: jnp.asarray(np.stack(leaves)), *((self.image(name), *self.arguments) for name in names)
        )

    def explain(self, forward, *arguments):
        """Calls the public function."""
        return gc.explain(
            forward, *arguments, score=self.score, guided=self.guided, guided_targets=self.guided_targets
        )

    def parts(self, explanation):
        """Returns the first photo's map and gradients, these in the photo's order of channels."""
        found = {"cam": explanation.cam[0]}
        if self.guided:
            size = (self.task.size, self.task.size)
            pixels = to_rgb(explanation.guided_backprop[0], self.task.plan.preprocessing)
            heatmaps = gc.resize_corner_aligned(jax.nn.relu(explanation.cam[0]), size)[self.guided_targets]
            found |= {"guided_backprop": pixels, "guided_grad_cam": gc.guided_grad_cam(heatmaps, pixels)}
        return found


def eager(case, tmp_path):
    return case.parts(case.explain(case.task.forward, *case.batch(NAME)))


def eager_batch(case, tmp_path):
    return case.parts(case.explain(case.task.forward, *case.batch(NAME, "another.png")))


def jitted(case, tmp_path):
    return case.parts(jax.jit(case.explain)(case.task.forward, *case.batch(NAME, "another.png")))


def vmapped(case, tmp_path):
    def one(*arguments):
        explanation = case.explain(case.task.forward, *(leaf[jnp.newaxis] for leaf in arguments))
        return jax.tree.map(lambda leaf: leaf[0], explanation)

    return case.parts(jax.vmap(one)(*case.batch(NAME, "another.png")))


def one_photo_of_a_task(case, tmp_path):
    description = explain_photo(case.task, case.lab / "photos" / NAME, methods=case.methods).description
    rows = [*description.rows, *description.words]
    found = {"cam": np.stack([row.cam for row in rows])}
    if case.guided:
        found |= {name: np.stack([getattr(row, name) for row in description.rows]) for name in GUIDED}
    return found


def one_photo_of_the_command(case, tmp_path):
    explain_one(case.options(input_image_path=str(case.lab / "photos" / NAME), out_path=str(tmp_path / "one")))
    with np.load(tmp_path / "one" / "explanation.npz") as arrays:
        return with_words(arrays, case)


def many_photos_of_the_command(case, tmp_path):
    options = case.options(
        images=str(case.lab / "photos"),
        out_path=str(tmp_path / "many"),
        batch_size=2,
        workers=1,
        guided_dtype="float32",
    )
    assert explain_many(options) == 0
    return with_words(gc.pipeline.open_run(tmp_path / "many")[NAME].arrays, case)


def with_words(arrays, case):
    found = {name: arrays[name] for name in ("cam", *(GUIDED if case.guided else ()))}
    if "word_cams" in arrays:
        words = len(case.request["caption"].split())
        found["cam"] = np.concatenate([arrays["cam"], arrays["word_cams"][:words]])
    return found


def the_benchmark(case, tmp_path):
    images, labels = case.batch(NAME)

    def run(work):
        return jax.jit(PROGRAMS[work])(case.task.forward, images, labels)

    gradients = {name: to_rgb(run(name)[0], case.task.plan.preprocessing) for name in case.methods[1:]}
    _, cams = run("grad_cam")
    return {"cam": cams[0]} | gradients


WAYS = (
    eager, eager_batch, jitted, vmapped, one_photo_of_a_task, one_photo_of_the_command, many_photos_of_the_command,
    the_benchmark,
)  # fmt: skip


@pytest.mark.parametrize(("targets", "parts"), [(1, "maps"), (3, "guided")])
@pytest.mark.parametrize("name", REQUESTS)
def test_every_way_in_gives_the_same(lab, name, targets, parts, tmp_path):
    case = Case(lab, name, REQUESTS[name][targets], guided=parts == "guided")  # with the gradients come the maps
    expected = by_the_pure_functions(case)
    assert len(expected["cam"]) == targets + (name == "captioning")
    for way in WAYS:
        if way is the_benchmark and name != "classification":
            continue  # it times classifiers
        found = way(case, tmp_path)
        assert set(found) == set(expected), way.__name__
        for part, values in expected.items():
            assert found[part].shape == values.shape, way.__name__
            error = float(np.abs(found[part] - values).max()) / largest(part, expected)
            assert error <= 1e-6, f"{way.__name__}, {part}: {error:.2g}"


def largest(part, expected):
    """Returns an array's largest magnitude; of a product, that of its factors."""
    if part != "guided_grad_cam":
        return float(np.abs(expected[part]).max())
    return largest("cam", expected) * largest("guided_backprop", expected)


def by_the_pure_functions(case):
    """One target at a time, nothing shared: what all the ways must come to."""
    image, (targets, *inputs) = jnp.asarray(case.image()), case.arguments
    guided, layer = case.task.forward.with_relu_rule(gc.guided).at(()), case.task.layer

    @jax.jit
    def one(target):
        def score(outputs):
            return case.score(outputs, target)

        _, activations, gradients = gc.layer_grads(case.task.forward, score, image, *inputs)
        cam = gc.grad_cam(activations[layer], gradients[layer], rectify=False)
        return cam, gc.input_grad(guided, score, image, *inputs)

    cams, pixels = (jnp.stack(leaves) for leaves in zip(*(one(target) for target in targets), strict=True))
    explanation = gc.Explanation(None, None, cams[jnp.newaxis], pixels[jnp.newaxis, case.guided_targets], None)
    return case.parts(explanation)
