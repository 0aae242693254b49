"""The evaluation: loads a model, runs the evaluators that fit the data, and writes what they find."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from gradcam_jax import zoo
from gradcam_jax.app import output
from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.question_sets import read_question_set
from gradcam_jax.experiments.evaluators import captions, classification, easy_vqa, official_vqa, vqa, words
from gradcam_jax.experiments.evaluators.findings import Finding, gathered, shown
from gradcam_jax.experiments.reporting import Progress, Say, silent
from gradcam_jax.images.preprocessing import EFFICIENTNET_LITE, EFFICIENTNET_LITE_CROP, find_preprocessing
from gradcam_jax.tasks.captioning import BEAM_SIZE

RESULTS = "vqa_results.json"
"""The file of the answers to official questions."""

EASY_VQA = "easy_vqa"
"""The name of the data set that comes as a package."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        task: ``"classification"``, ``"vqa"`` or ``"captioning"``.
        model: A model's name or its file; empty for the one that is evaluated on this data by default.
        data: The folder with the data, for what follows none of the next four. Classification reads
            ``imagenet_samples/labels.csv`` (columns ``file`` and ``class_index``, 0-based) and
            ``imagenet_samples/images``, the others the sets of photos that training reads.
        dataset: VQA: :data:`EASY_VQA`, or empty.
        questions: VQA: official files of questions.
        annotations: Their answers, one file each; none for the test sets, whose answers are not published.
        images: Their photos, one folder each.
        recipe: Classification: a preprocessing, or empty for that of the model's published evaluation.
        beam_size: Captioning: beams kept while captions are generated.
        work: Captioning, and VQA on official files: where features are cached; a training run's spares computing
            them again. Empty for where training puts them.
        out_path: The folder for ``evaluation.json``.
    """

    task: str = "classification"
    model: str = ""
    data: str = ""
    dataset: str = ""
    questions: Sequence[str] = ()
    annotations: Sequence[str] = ()
    images: Sequence[str] = ()
    recipe: str = ""
    beam_size: int = BEAM_SIZE
    work: str = ""
    out_path: str = "output"


def run(options: Options, say: Say = silent, progress: Progress = silent) -> Path:
    """Measures a model and writes ``evaluation.json``.

    Args:
        options: What the user asked for.
        say: Takes each line of the report.
        progress: Called while something long is done.

    Returns:
        The file written; the file of answers where official questions have no published ones to compare with.

    Raises:
        InputError: If the data or the model is not there, or they do not fit each other.
    """
    folder = output.make_folder(options.out_path)
    data = options.dataset or ("official_vqa" if options.questions else options.task)
    default, evaluate = _EVALUATIONS[data]
    options = dataclasses.replace(options, model=options.model or default)
    if data == options.task and not options.data:
        raise InputError("Name the folder with the data: --data DIR.")

    def reported() -> Iterator[Finding]:
        for name, value in evaluate(options, folder, progress):
            for line in shown(name, value):
                say(line)
            yield name, value

    record = gathered(reported())
    if not record:
        return folder / RESULTS
    head = {"task": options.task, "model": options.model}
    path = output.save_record(folder / "evaluation.json", head | record)
    say(f"wrote {path}")
    return path


def _classification(options: Options, _: Path, progress: Progress) -> Iterator[Finding]:
    loaded = zoo.load(options.model, task="classification")
    own = loaded.entry.preprocessing
    published = EFFICIENTNET_LITE_CROP if own == EFFICIENTNET_LITE else own
    preprocessing = find_preprocessing(options.recipe) if options.recipe else published
    folder = Path(options.data) / "imagenet_samples"
    return classification.accuracy(loaded, folder, preprocessing, progress)


def _vqa(options: Options, _: Path, progress: Progress) -> Iterator[Finding]:
    return vqa.evaluate(zoo.load(options.model, task="vqa"), options.data, progress)


def _easy_vqa(options: Options, _: Path, progress: Progress) -> Iterator[Finding]:
    loaded = zoo.load(options.model, task="vqa")
    if loaded.name != "vqa_easy":
        raise InputError(f"Expected vqa_easy or a file of it, got a file of {loaded.name} instead.")
    return easy_vqa.evaluate(loaded, progress)


def _official_vqa(options: Options, folder: Path, progress: Progress) -> Iterator[Finding]:
    loaded = zoo.load(options.model, task="vqa")
    if loaded.entry.cnn is None:
        known = ", ".join(entry.name for entry in zoo.MODELS.values() if entry.task == "vqa" and entry.cnn)
        raise InputError(f"Expected a model of {known}, got one of {loaded.name} instead.")
    data = read_question_set(options.questions, options.annotations, options.images)
    work = Path(options.work or "output/train_official_vqa")
    answers = official_vqa.write_answers(loaded, data, work, folder / RESULTS, progress)
    return official_vqa.scores(answers, data) if options.annotations else iter(())


def _captioning(options: Options, _: Path, progress: Progress) -> Iterator[Finding]:
    loaded = zoo.load(options.model, task="captioning")
    work = output.make_folder(options.work or "output/captioner")
    yield from captions.evaluate(loaded, options.data, work, progress, beam_size=options.beam_size)
    yield from words.word_pointing(loaded, options.data)
    yield from words.inside_over_outside_of_boxes(loaded, options.data)


_EVALUATIONS: Mapping[str, tuple[str, Callable[[Options, Path, Progress], Iterator[Finding]]]] = {
    "classification": (zoo.DEFAULTS["classification"], _classification),
    "vqa": (zoo.DEFAULTS["vqa"], _vqa),
    EASY_VQA: ("vqa_easy", _easy_vqa),
    "official_vqa": ("vqa_vgg19", _official_vqa),
    "captioning": (zoo.DEFAULTS["captioning"], _captioning),
}
