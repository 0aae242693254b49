"""Measures a captioner on photos kept out of training: its captions, its surprise, and where its words point."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax import captioners
from gradcam_jax.captioners import LoadedCaptioner, load_captioner
from gradcam_jax.commands import output
from gradcam_jax.commands.captioning import EXPLAINING_SIZE, LENGTH_EXPONENT
from gradcam_jax.data.captioned_views import CaptionedView, people_views, read_captioned_photos, subject_of
from gradcam_jax.data.captions import encode_captions, split_of_things, training_words
from gradcam_jax.data.photos import read_photos
from gradcam_jax.data.views import render, two_animal_collages
from gradcam_jax.data.words import with_article
from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.caption_head import token_log_probs, written_captions
from gradcam_jax.evaluation.captions import caption_scores, nearest_neighbour_captions, perplexity
from gradcam_jax.evaluation.pointing import points_at
from gradcam_jax.preprocessing import to_network
from gradcam_jax.tasks.caption_text import encode_caption, find_phrase, span_mask
from gradcam_jax.tasks.captioning import explain_maps, write_captions
from gradcam_jax.training.vqa_features import TRAINING_SIZE, view_features

_COLLAGES = 120
_SEED = 123


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
    record |= _caption_figures(captioner, Path(options.data), work, options.beam_size, say)
    record["word_pointing"] = _pointing_figures(captioner, Path(options.data), say)
    path = output.save_record(folder / "evaluation.json", record)
    say(f"wrote {path}")
    return path


def _caption_figures(
    captioner: LoadedCaptioner, data: Path, work: Path, width: int, say: Callable[[str], None]
) -> dict[str, Any]:
    def progress(name: str, done: int, count: int) -> None:
        if done == count or done % 1600 == 0:
            say(f"features of {name}: {done} of {count} pictures")

    splits = read_captioned_photos(data)
    views = people_views(splits["test"], mirrored=False)
    if not views:
        raise InputError(f"None of the captioned photos in {str(data)!r} is kept for tests: there are too few.")
    features = view_features(
        [view.view for view in views], TRAINING_SIZE, work / "people_test.safetensors", progress
    ).features
    known = people_views(splits["train"], mirrored=True)
    known_features = view_features(
        [view.view for view in known], TRAINING_SIZE, work / "people_train.safetensors", progress
    ).features
    head = {name: leaf for name, leaf in captioner.variables["params"].items() if name != "cnn"}
    model, vocabulary = captioner.model, captioner.vocabulary
    assert captioner.mean_features is not None
    blind = np.broadcast_to(captioner.mean_features, features.shape)
    captions = encode_captions([view.captions for view in views], vocabulary)
    references = _references(views)
    written = {
        "greedy": written_captions(model, head, features, vocabulary, width=1),
        f"beam_{width}": written_captions(model, head, features, vocabulary, width=width),
        f"beam_{width}_by_length": written_captions(
            model, head, features, vocabulary, width=width, length_exponent=LENGTH_EXPONENT
        ),
        "nearest_neighbour": nearest_neighbour_captions(features, known_features, _references(known)),
        "constant": written_captions(model, head, blind[:1], vocabulary, width=width) * len(views),
    }
    scores: dict[str, Any] = {name: caption_scores(texts, references) for name, texts in written.items()}
    scores["one_person"] = caption_scores([texts[0] for texts in references], [texts[1:] for texts in references])
    perplexities = {
        name: perplexity(*token_log_probs(model, head, seen, captions))
        for name, seen in (("with_photo", features), ("with_mean_features", blind))
    }
    say(f"{len(views)} test photos, {len(captions.photos)} captions")
    for name, numbers in scores.items():
        say(f"  {name:<20}" + "  ".join(f"{score} {value:.3f}" for score, value in numbers.items()))
    less = 1 - perplexities["with_photo"] / perplexities["with_mean_features"]
    say(
        f"perplexity {perplexities['with_photo']:.2f}, with mean features instead of the photo's "
        f"{perplexities['with_mean_features']:.2f} ({less:.0%} less)"
    )
    return {
        "test_photos": len(views),
        "scores": scores,
        "perplexity": perplexities,
        "distinct_captions": len(set(written[f"beam_{width}"])),
        "examples": [
            {"photo": view.view.parts[0].photo.key, "caption": text, "people": list(texts)}
            for view, text, texts in list(zip(views, written[f"beam_{width}"], references, strict=True))[:20]
        ],
    }


def _pointing_figures(captioner: LoadedCaptioner, data: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Asks on collages of two animals whether each animal's word points at its half."""
    photos = [photo for photo in read_photos(data) if split_of_things(photo.key) == "test"]
    collages = two_animal_collages(photos, np.random.default_rng(_SEED), _COLLAGES)
    size = EXPLAINING_SIZE.get(captioner.name, captioner.entry.recipe.size)
    layer = captioners.find_layer(captioner, "", size)
    explain = jax.jit(functools.partial(explain_maps, captioner.model), static_argnums=1)
    write = jax.jit(functools.partial(write_captions, captioner.model, width=3, length_exponent=LENGTH_EXPONENT))
    hits, named, asked = [], 0, 0
    for view in collages:
        words = [subject_of(part) for part in view.parts]
        if any(word is None or not _is_known(word, captioner) for word in words):
            continue
        asked += 1
        image = to_network(jnp.asarray(render(view, size)), captioner.entry.recipe)
        for order in ((0, 1), (1, 0)):
            first, second = (str(words[index]) for index in order)
            caption = encode_caption(f"{with_article(first)} and {with_article(second)}", captioner.vocabulary)
            spans = [find_phrase(word, caption.words) for word in (first, second)]
            masks = np.stack([span_mask(*span) for span in spans])
            cams = explain(captioner.variables, layer, image, caption.tokens, masks)
            hits += [
                points_at(np.asarray(cam), [view.parts[index].place])
                for cam, index in zip(cams, order, strict=True)
            ]
        tokens = np.asarray(write(captioner.variables, image).tokens[0])
        said = {captioner.vocabulary.entries[token] for token in tokens if token < len(captioner.vocabulary)}
        named += all(set(str(word).split()) <= said for word in words)
    if not asked:
        raise InputError(f"There are no two animals in the test photos of {str(data)!r} that the captioner knows.")
    figures = {
        "collages": asked,
        "words": len(hits),
        "size": size,
        "words_on_their_half": float(np.mean(hits)),
        "chance": 0.5,
        "generated_caption_names_both": named / asked,
    }
    say(
        f"word pointing: {figures['words_on_their_half']:.3f} of {len(hits)} words on their half of {asked} "
        f"collages (chance .5); the generated caption names both in {named} of {asked}"
    )
    return figures


def _is_known(word: str, captioner: LoadedCaptioner) -> bool:
    return all(part in captioner.vocabulary for part in word.split())


def _references(views: Sequence[CaptionedView]) -> list[list[str]]:
    return [[" ".join(training_words(caption)) for caption in view.captions] for view in views]
