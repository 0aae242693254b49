"""The evaluation: loads a model, runs the evaluators that fit the data, and writes what they find."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gradcam_jax import zoo
from gradcam_jax.app import output
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.captioned_views import read_whole_captioned_photos
from gradcam_jax.experiments.data.faults import Faults, keep_whole
from gradcam_jax.experiments.data.photos import read_photos
from gradcam_jax.experiments.data.question_sets import read_question_set, with_whole_photos
from gradcam_jax.experiments.evaluators import captions, classification, easy_vqa, official_vqa, vqa, words
from gradcam_jax.experiments.evaluators.explanations import MapOptions
from gradcam_jax.experiments.evaluators.explanations import evaluate as evaluate_maps
from gradcam_jax.experiments.evaluators.findings import Finding, gathered, shown
from gradcam_jax.experiments.reporting import Progress, Say, silent
from gradcam_jax.experiments.training.program import WHOLE_PHOTOS
from gradcam_jax.images.preprocessing import EFFICIENTNET_LITE, EFFICIENTNET_LITE_CROP
from gradcam_jax.tasks.captioning import BEAM_SIZE
from gradcam_jax.tasks.task import Setting, preprocessing_and_size
from gradcam_jax.zoo import Loaded

RESULTS = "vqa_results.json"
"""The file of the answers to official questions."""

EASY_VQA = "easy_vqa"
"""The name of the data set that comes as a package."""


class Run(NamedTuple):
    """Where findings go, what takes what is wrong with the data, and what is told how far it is."""

    folder: Path
    faults: Faults
    progress: Progress


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for, by the names of ``scripts/evaluate.py``'s flags, which say what each means."""

    task: str = "classification"
    model: str = ""
    checkpoint: str = ""
    labels: str = ""
    data: str = ""
    dataset: str = ""
    questions: Sequence[str] = ()
    annotations: Sequence[str] = ()
    images: Sequence[str] = ()
    recipe: str = ""
    methods: Sequence[str] = ()
    metrics: Sequence[str] = ()
    split: str = ""
    max_photos: int = 0
    steps: int = 28
    layer_name: str = ""
    input_sz: int = 0
    beam_size: int = BEAM_SIZE
    work: str = ""
    skip_bad: bool = False
    out_path: str = "output"


def run(options: Options, say: Say = silent, progress: Progress = silent) -> Path:
    """Measures a model and writes ``evaluation.json``.

    Returns:
        The file written; the file of answers where official questions have no published ones to compare with.
    """
    folder = output.make_folder(options.out_path)
    task, default, evaluate = _evaluation(options)
    name = options.model or default

    def reported() -> Iterator[Finding]:
        faults = Faults(skip=options.skip_bad, say=say)
        own = {"recipe": options.recipe} if zoo.is_function_name(name) else {}
        loaded = zoo.load(name, task=task, checkpoint=options.checkpoint, labels=options.labels, **own)
        for key, value in evaluate(loaded, options, Run(folder, faults, progress)):
            for line in shown(key, value):
                say(line)
            yield key, value

    record = gathered(reported())
    if not record:
        return folder / RESULTS
    head = {"task": options.task, "model": name}
    path = output.save_record(folder / "evaluation.json", head | record)
    say(f"wrote {path}")
    return path


def _evaluation(options: Options) -> tuple[str, str, Callable[..., Iterator[Finding]]]:
    """Returns the task, the model that is evaluated unless another is named, and the evaluator."""
    data = options.dataset or ("official_vqa" if options.questions else options.task)
    if options.metrics and data != options.task:
        raise InputError(f"--metrics needs boxes: --data of COCO, Pascal VOC, ILSVRC or TFDS, not {data}.")
    values = {field.name: (field.default, getattr(options, field.name)) for field in dataclasses.fields(options)}
    given = [name for name, (default, value) in values.items() if value not in (default, [])]
    read = _READ_BY_ALL | (_READ_BY_MAPS if options.metrics else _READ[data])
    unread = [name for name in given if name not in read]
    if unread:
        named, one = " and ".join(f"--{name}" for name in unread), len(unread) == 1
        if not options.metrics and (_READ_BY_MAPS - {"data"}).issuperset(unread):
            raise InputError(f"{named} {'needs' if one else 'need'} --metrics: what is measured of the maps.")
        asked = "--metrics" if options.metrics else data
        raise InputError(f"{named} {'has' if one else 'have'} no meaning for {asked}.")
    if data == options.task and not options.data:
        raise InputError("Name the folder with the data: --data DIR.")
    if options.metrics:
        return options.task, zoo.DEFAULTS[options.task], _maps
    return _EVALUATIONS[data]


def _maps(loaded: Loaded, options: Options, run: Run) -> Iterator[Finding]:
    if len(options.images) > 1:
        raise InputError(f"Expected one folder of photos, got {', '.join(options.images)} instead.")
    return evaluate_maps(
        loaded,
        MapOptions(
            data=options.data,
            images=next(iter(options.images), ""),
            split=options.split,
            max_photos=options.max_photos,
            methods=tuple(options.methods),
            metrics=tuple(options.metrics),
            steps=options.steps,
            setting=Setting(options.layer_name, options.input_sz, options.recipe),
        ),
        run.folder,
        run.progress,
    )


def _classification(loaded: Loaded, options: Options, run: Run) -> Iterator[Finding]:
    own = loaded.entry.preprocessing
    preprocessing = EFFICIENTNET_LITE_CROP if own == EFFICIENTNET_LITE else own  # the published evaluation's
    size = preprocessing.size
    if options.recipe or options.input_sz:
        preprocessing, size = preprocessing_and_size(loaded, Setting("", options.input_sz, options.recipe))
    folder = Path(options.data) / "imagenet_samples"
    return classification.accuracy(loaded, folder, preprocessing, run.faults, run.progress, size=size)


def _vqa(loaded: Loaded, options: Options, run: Run) -> Iterator[Finding]:
    return vqa.evaluate(loaded, options.data, run.faults, run.progress, pictures=run.folder)


def _easy_vqa(loaded: Loaded, _: Options, run: Run) -> Iterator[Finding]:
    if loaded.name != "vqa_easy":
        raise InputError(f"Expected vqa_easy or a file of it, got a file of {loaded.name} instead.")
    return easy_vqa.evaluate(loaded, run.progress)


def _official_vqa(loaded: Loaded, options: Options, run: Run) -> Iterator[Finding]:
    if loaded.entry.cnn is None:
        known = ", ".join(entry.name for entry in zoo.MODELS.values() if entry.task == "vqa" and entry.cnn)
        raise InputError(f"Expected a model of {known}, got one of {loaded.name} instead.")
    work = Path(options.work or "output/train_official_vqa")
    data = read_question_set(options.questions, options.annotations, options.images, run.faults)
    data = with_whole_photos(data, run.faults, run.progress, work / WHOLE_PHOTOS)
    run.faults.settle()
    answers = official_vqa.write_answers(loaded, data, work, run.folder / RESULTS, run.progress)
    return official_vqa.scores(answers, data) if options.annotations else iter(())


def _captioning(loaded: Loaded, options: Options, run: Run) -> Iterator[Finding]:
    work = output.make_folder(options.work or "output/captioner")
    faults, progress = run.faults, run.progress
    captioned = read_whole_captioned_photos(options.data, faults, progress, work / WHOLE_PHOTOS)
    photos = keep_whole(read_photos(options.data, faults, required=False), faults, memory=work / WHOLE_PHOTOS)
    faults.settle()
    yield from captions.evaluate(loaded, captioned, work, progress, beam_size=options.beam_size)
    yield from words.word_pointing(loaded, photos)
    yield from words.inside_over_outside_of_boxes(loaded, photos, captioned["test"], pictures=run.folder)


# The flags that each evaluation reads, by its data.
_READ_BY_ALL = frozenset({"task", "model", "checkpoint", "labels", "skip_bad", "out_path"})
_READ_BY_MAPS = frozenset(
    {"data", "metrics", "methods", "images", "split", "max_photos", "steps", "layer_name", "input_sz", "recipe"}
)
_READ: Mapping[str, frozenset[str]] = {
    "classification": frozenset({"data", "recipe", "input_sz"}),
    "vqa": frozenset({"data"}),
    EASY_VQA: frozenset({"dataset"}),
    "official_vqa": frozenset({"questions", "annotations", "images", "work"}),
    "captioning": frozenset({"data", "beam_size", "work"}),
}

# Data -> task, the model that is evaluated on it unless another is named, and the evaluator.
_EVALUATIONS: Mapping[str, tuple[str, str, Callable[[Loaded, Options, Run], Iterator[Finding]]]] = {
    "classification": ("classification", zoo.DEFAULTS["classification"], _classification),
    "vqa": ("vqa", zoo.DEFAULTS["vqa"], _vqa),
    EASY_VQA: ("vqa", "vqa_easy", _easy_vqa),
    "official_vqa": ("vqa", "vqa_vgg19", _official_vqa),
    "captioning": ("captioning", zoo.DEFAULTS["captioning"], _captioning),
}
