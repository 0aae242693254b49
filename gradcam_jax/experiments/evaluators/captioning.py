"""Measures a captioner on photos kept out of training: its captions, its surprise, and where its words point."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gradcam_jax.app import output
from gradcam_jax.app.captioning import LENGTH_EXPONENT
from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.captions import caption_scores, nearest_neighbour_captions, perplexity
from gradcam_jax.experiments.data.captioned_views import CaptionedView, people_views, read_captioned_photos
from gradcam_jax.experiments.data.captions import encode_captions
from gradcam_jax.experiments.evaluators.word_maps import box_figures, pointing_figures
from gradcam_jax.experiments.training.caption_head import token_log_probs, written_captions
from gradcam_jax.experiments.training.caption_run import SIZE, references
from gradcam_jax.experiments.training.vqa_features import view_features
from gradcam_jax.zoo import captioners
from gradcam_jax.zoo.captioners import LoadedCaptioner, load_captioner

_ENOUGH = 100  # photos of one source, for CIDEr's weights of words to mean anything


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        data: The folder with captioned photos.
        model_path: A captioner's name, or a checkpoint of one; its head must be on the bundled CNN.
        beam_size: Beginnings kept while captions are generated.
        work: Where features are cached; that of a training run spares computing them again.
        out_path: The folder for evaluation.json.
    """

    data: str
    model_path: str = captioners.DEFAULT
    beam_size: int = 3
    work: str = "output/captioner"
    out_path: str = "output"


def run(options: Options, say: Callable[[str], None] = lambda _: None) -> Path:
    """Scores a captioner on the test photos of a folder and writes ``evaluation.json``.

    Args:
        options: What the user asked for.
        say: Takes each line of the report.

    Returns:
        The file written.

    Raises:
        InputError: If the data or the model is not there.
    """
    captioner = load_captioner(options.model_path)
    if captioner.entry.cnn is None or captioner.mean_features is None:
        raise InputError(f"Expected a captioner on the bundled CNN's features, got {captioner.name} instead.")
    folder, work = output.make_folder(options.out_path), output.make_folder(options.work)
    record: dict[str, Any] = {"task": "captioning", "model": captioner.name, "beam_size": options.beam_size}
    record["length_exponent"] = LENGTH_EXPONENT
    record |= _caption_figures(captioner, options.data, work, options.beam_size, say)
    record["word_pointing"] = pointing_figures(captioner, options.data, say)
    record["inside_over_outside"] = box_figures(captioner, options.data, say)
    path = output.save_record(folder / "evaluation.json", record)
    say(f"wrote {path}")
    return path


class _Figures(NamedTuple):
    """What was measured on one set of photos."""

    scores: dict[str, dict[str, float]]
    perplexity: dict[str, float]


def _caption_figures(
    captioner: LoadedCaptioner, data: str, work: Path, width: int, say: Callable[[str], None]
) -> dict[str, Any]:
    def progress(name: str, done: int, count: int) -> None:
        if done == count or done % 1600 == 0:
            say(f"features of {name}: {done} of {count} pictures")

    splits = read_captioned_photos(data)
    views, known = people_views(splits["test"]), people_views(splits["train"])
    if not views:
        raise InputError(f"None of the captioned photos in {data!r} is kept for tests: there are too few.")
    features, known_features = (
        view_features([view.view for view in part], SIZE, work / f"{name}.safetensors", progress).features
        for part, name in ((views, "people_test"), (known, "people_train"))
    )
    head = {name: leaf for name, leaf in captioner.variables["params"].items() if name != "cnn"}
    model, vocabulary = captioner.model, captioner.vocabulary
    assert captioner.mean_features is not None
    write = functools.partial(written_captions, model, head, vocabulary=vocabulary)
    blind = np.broadcast_to(captioner.mean_features, features.shape)
    written = {
        "greedy": write(features=features, width=1),
        f"beam_{width}": write(features=features, width=width),
        f"beam_{width}_by_length": write(features=features, width=width, length_exponent=LENGTH_EXPONENT),
        "nearest_neighbour": nearest_neighbour_captions(features, known_features, references(known)),
        "constant": write(features=known_features.mean(axis=0, keepdims=True), width=width) * len(views),
    }
    captions = encode_captions([view.captions for view in views], vocabulary)
    log_probs = {
        name: token_log_probs(model, head, seen, captions)
        for name, seen in (("with_photo", features), ("with_mean_features", blind))
    }
    record: dict[str, Any] = {}
    for name, photos in _photo_sets(views).items():
        figures = _figures_of(photos, written, references(views), log_probs, captions.photos)
        _say_figures(name, len(photos), figures, say)
        record[name] = {"photos": len(photos), **figures._asdict()}
    best = written[f"beam_{width}_by_length"]
    shown = slice(None, None, max(len(views) // 20, 1))
    return {
        "test_photos": record,
        "distinct_captions": len(set(best)),
        "examples": [
            {"photo": view.view.parts[0].photo.key, "caption": text, "people": texts}
            for view, text, texts in list(zip(views, best, references(views), strict=True))[shown]
        ],
    }


def _photo_sets(views: Sequence[CaptionedView]) -> dict[str, np.ndarray]:
    """Returns the numbers of all photos, and of each source's: CIDEr weighs words by the set it is measured on."""
    sources = np.array([view.view.parts[0].photo.key.split("/")[0] for view in views])
    sets = {str(source): np.flatnonzero(sources == source) for source in np.unique(sources)}
    large = {source: photos for source, photos in sets.items() if _ENOUGH <= len(photos) < len(views)}
    return {"all": np.arange(len(views)), **large}


def _figures_of(
    photos: np.ndarray,
    written: Mapping[str, list[str]],
    texts: list[list[str]],
    log_probs: Mapping[str, tuple[np.ndarray, np.ndarray]],
    photo_of_caption: np.ndarray,
) -> _Figures:
    people = [texts[photo] for photo in photos.tolist()]
    scores = {
        name: caption_scores([captions[photo] for photo in photos.tolist()], people)
        for name, captions in written.items()
    }
    scores["one_person"] = caption_scores([said[0] for said in people], [said[1:] for said in people])
    rows = np.isin(photo_of_caption, photos)
    surprise = {name: perplexity(values[rows], counted[rows]) for name, (values, counted) in log_probs.items()}
    return _Figures(scores, surprise)


def _say_figures(name: str, photos: int, figures: _Figures, say: Callable[[str], None]) -> None:
    say(f"test photos: {name} ({photos})")
    for captions, numbers in figures.scores.items():
        say(f"  {captions:<20}" + "  ".join(f"{score} {value:.3f}" for score, value in numbers.items()))
    seen, blind = figures.perplexity["with_photo"], figures.perplexity["with_mean_features"]
    less = 1 - seen / blind
    say(f"  perplexity {seen:.2f}, with mean features instead of the photo's {blind:.2f} ({less:.0%} less)")
