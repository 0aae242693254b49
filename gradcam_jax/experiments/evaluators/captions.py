"""Measures what a captioner says of photos kept out of training, and how probable it finds what people said."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.experiments.data.captioned_views import CaptionedView, people_views
from gradcam_jax.experiments.data.captions import CaptionedPhoto, encode_captions
from gradcam_jax.experiments.evaluators.findings import Finding
from gradcam_jax.experiments.metrics.captions import caption_scores, nearest_neighbour_captions, perplexity
from gradcam_jax.experiments.reporting import Progress
from gradcam_jax.experiments.training.caption_head import references, token_log_probs, written_captions
from gradcam_jax.experiments.training.frozen_features import view_features
from gradcam_jax.tasks.captioning import BEAM_SIZE, LENGTH_EXPONENT
from gradcam_jax.zoo import Loaded


def evaluate(
    loaded: Loaded,
    splits: Mapping[str, Sequence[CaptionedPhoto]],
    work: Path,
    progress: Progress,
    *,
    beam_size: int = BEAM_SIZE,
    enough: int = 100,
) -> Iterator[Finding]:
    """Yields the scores of captions written in several ways beside those of baselines, and the perplexity.

    Features are cached in ``work``. A source of ``enough`` photos is also measured by itself: CIDEr's weights of
    words need many photos.
    """
    if loaded.entry.cnn is None or "mean_features" not in loaded.statistics:
        raise InputError(f"Expected a captioner on the bundled CNN's features, got {loaded.name} instead.")
    views, train_views = people_views(splits["test"]), people_views(splits["train"])
    if not views:
        raise InputError("None of the captioned photos is kept for tests: there are too few.")
    features, train_features = (
        view_features([view.view for view in part], loaded.entry.size, work / name, progress).features
        for part, name in ((views, "people_test.safetensors"), (train_views, "people_train.safetensors"))
    )
    captions = _captions(loaded, features, train_features, references(train_views), beam_size)
    best = captions[f"beam_{beam_size}_by_length"]
    encoded = encode_captions([view.captions for view in views], loaded.words)
    mean_features = np.broadcast_to(loaded.statistics["mean_features"], features.shape)
    log_probs = {
        name: token_log_probs(loaded.model, _head(loaded), vectors, encoded)
        for name, vectors in (("with_photo", features), ("with_mean_features", mean_features))
    }
    people = references(views)
    yield "beam_size", beam_size
    yield "length_exponent", LENGTH_EXPONENT
    for name, photos in _photo_sets(views, enough).items():
        scores = {
            way: caption_scores([texts[photo] for photo in photos], [people[photo] for photo in photos])
            for way, texts in captions.items()
        }
        one_person = [people[photo][0] for photo in photos], [people[photo][1:] for photo in photos]
        rows = np.isin(encoded.photos, photos)
        yield f"test_photos/{name}/photos", len(photos)
        yield f"test_photos/{name}/scores", scores | {"one_person": caption_scores(*one_person)}
        yield (
            f"test_photos/{name}/perplexity",
            {way: perplexity(values[rows], counted[rows]) for way, (values, counted) in log_probs.items()},
        )
    yield "distinct_captions", len(set(best))
    examples = range(0, len(views), max(len(views) // 20, 1))
    yield (
        "examples",
        [{"photo": _photo(views[index]), "caption": best[index], "people": people[index]} for index in examples],
    )


def _captions(
    loaded: Loaded,
    features: np.ndarray,
    train_features: np.ndarray,
    train_captions: list[list[str]],
    beam_size: int,
) -> dict[str, list[str]]:
    """Returns a caption of each photo by name of the way in which it is found."""
    write = functools.partial(written_captions, loaded.model, _head(loaded), vocabulary=loaded.words)
    mean = train_features.mean(axis=0, keepdims=True)
    return {
        "greedy": write(features=features, width=1),
        f"beam_{beam_size}": write(features=features, width=beam_size),
        f"beam_{beam_size}_by_length": write(features=features, width=beam_size, length_exponent=LENGTH_EXPONENT),
        "nearest_neighbour": nearest_neighbour_captions(features, train_features, train_captions),
        "constant": write(features=mean, width=beam_size) * len(features),
    }


def _head(loaded: Loaded) -> dict[str, Any]:
    return {name: leaf for name, leaf in loaded.variables["params"].items() if name != "cnn"}


def _photo_sets(views: Sequence[CaptionedView], enough: int) -> dict[str, list[int]]:
    """Returns the numbers of all photos, and of each large source's."""
    sources: dict[str, list[int]] = {}
    for index, view in enumerate(views):
        sources.setdefault(_photo(view).split("/")[0], []).append(index)
    large = {name: photos for name, photos in sorted(sources.items()) if enough <= len(photos) < len(views)}
    return {"all": list(range(len(views))), **large}


def _photo(view: CaptionedView) -> str:
    return view.view.parts[0].photo.key
